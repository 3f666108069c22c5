//! A folder of class folders with PNG, JPEG and WebP files, with or without a level of splits above them; or a folder
//! of images without labels, to any depth.

use std::path::{Path, PathBuf};

use super::decode;
use super::file;
use super::load::{LoadOptions, Split};
use super::set::{ImageSet, Skipped, UNLABELLED};
use crate::base::{Error, Result};

/// Names of a split's folder; the first that is there is taken.
const fn split_names(split: Split) -> &'static [&'static str] {
    match split {
        Split::Train => &["train"],
        Split::Test => &["test", "val"],
    }
}

/// Where class folders lie.
struct Roots {
    train: Option<PathBuf>,
    test: Option<PathBuf>,
}

impl Roots {
    fn of(&self, split: Split) -> Option<&Path> {
        if split == Split::Train { self.train.as_deref() } else { self.test.as_deref() }
    }
}

/// The folders of the splits. A `train` that holds no folder of its own is a class of that name, not a split.
fn roots(dir: &Path) -> Result<Roots> {
    let find = |split| -> Result<Option<PathBuf>> {
        for name in split_names(split) {
            let path = dir.join(name);
            if path.is_dir() && !class_folders(&path)?.is_empty() {
                return Ok(Some(path));
            }
        }
        Ok(None)
    };
    let (train, test) = (find(Split::Train)?, find(Split::Test)?);
    if train.is_none() && test.is_none() {
        return Ok(Roots { train: Some(dir.into()), test: None });
    }
    Ok(Roots { train, test })
}

/// Folders directly in `root`, sorted; hidden ones are none of the classes.
fn class_folders(root: &Path) -> Result<Vec<PathBuf>> {
    let hidden = |p: &Path| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
    Ok(decode::entries(root)?.into_iter().filter(|p| p.is_dir() && !hidden(p)).collect())
}

/// Whether the folder holds an image.
pub(super) fn detect(dir: &Path) -> Result<bool> {
    Ok(has_images(dir)? || has_classes(dir)?)
}

/// Whether an image lies directly in the folder.
fn has_images(dir: &Path) -> Result<bool> {
    Ok(decode::entries(dir)?.iter().any(|p| decode::is_image(p) && !p.is_dir()))
}

/// Whether some class folder holds an image.
fn has_classes(dir: &Path) -> Result<bool> {
    let roots = roots(dir)?;
    for root in [roots.train, roots.test].into_iter().flatten() {
        for class in class_folders(&root)? {
            if !decode::walk(&class)?.images.is_empty() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether the images of `dir` have no labels: by wish, or because they lie in `dir` itself and no folder holds more.
fn unlabelled(dir: &Path, options: &LoadOptions) -> Result<bool> {
    Ok(options.unlabelled || (has_images(dir)? && !has_classes(dir)?))
}

/// The folders of the splits of unlabelled images: `train` and `test` or `val` where `train` holds images, else `dir`.
fn unlabelled_roots(dir: &Path) -> Result<Roots> {
    let find = |split| -> Result<Option<PathBuf>> {
        for name in split_names(split) {
            let path = dir.join(name);
            if path.is_dir() && !decode::walk(&path)?.images.is_empty() {
                return Ok(Some(path));
            }
        }
        Ok(None)
    };
    match find(Split::Train)? {
        None => Ok(Roots { train: Some(dir.into()), test: None }),
        train => Ok(Roots { train, test: find(Split::Test)? }),
    }
}

/// Whether `dir` has a folder of the split.
pub(super) fn has(dir: &Path, split: Split, options: &LoadOptions) -> Result<bool> {
    let roots = if unlabelled(dir, options)? { unlabelled_roots(dir)? } else { roots(dir)? };
    Ok(roots.of(split).is_some())
}

/// Loads a split of the images in `dir`.
pub(super) fn load(dir: &Path, split: Split, options: &LoadOptions) -> Result<ImageSet> {
    if unlabelled(dir, options)? { load_unlabelled(dir, split, options) } else { load_classes(dir, split, options) }
}

/// All images of the split under one class.
fn load_unlabelled(dir: &Path, split: Split, options: &LoadOptions) -> Result<ImageSet> {
    if let Some(n) = options.classes {
        return Err(Error::Data(format!(
            "{} is read without labels, and `data.classes` is set to {n}; leave it out, or name a file of labels in \
             `data.labels_file`",
            dir.display(),
        )));
    }
    let roots = unlabelled_roots(dir)?;
    let Some(root) = roots.of(split) else { return Err(no_split(dir, split)) };
    let mut found = decode::Found::default();
    for path in decode::entries(root)? {
        match path.is_dir() {
            true => {}
            false if decode::is_image(&path) => found.images.push(path),
            false => found.others += 1,
        }
    }
    // Hidden folders hold previews and the like.
    for folder in class_folders(root)? {
        let inner = decode::walk(&folder)?;
        found.images.extend(inner.images);
        found.others += inner.others;
    }
    if found.images.is_empty() {
        return Err(Error::Data(format!(
            "{} holds no image: no .png, .jpg, .jpeg or .webp file in it or in its folders ({} other files)",
            root.display(),
            found.others,
        )));
    }
    found.images.sort();
    let labels = vec![0; found.images.len()];
    let listing = Listing { paths: found.images, labels, ignored: found.others };
    decoded(dir, listing, vec![UNLABELLED.to_owned()], options)
}

fn no_split(dir: &Path, split: Split) -> Error {
    Error::Data(format!(
        "{} has no {split} images; looked for class folders in {}",
        dir.display(),
        split_names(split).join(" and "),
    ))
}

/// Loads a split of the class folders in `dir`.
fn load_classes(dir: &Path, split: Split, options: &LoadOptions) -> Result<ImageSet> {
    let roots = roots(dir)?;
    let Some(root) = roots.of(split) else { return Err(no_split(dir, split)) };
    // The training folders name the classes of both splits, so that a label means the same in both.
    let classes = class_names(roots.train.as_deref().unwrap_or(root))?;
    if let Some(n) = options.classes
        && n != classes.len()
    {
        return Err(Error::Data(format!(
            "{} has {} class folders, and `data.classes` is set to {n}",
            dir.display(),
            classes.len(),
        )));
    }
    let listing = list(root, &classes, options.allow_empty_classes)?;
    decoded(dir, listing, classes, options)
}

/// The images of a listing.
fn decoded(dir: &Path, listing: Listing, classes: Vec<String>, options: &LoadOptions) -> Result<ImageSet> {
    let size = match options.size {
        Some(size) => size,
        None => decode::common_size(&listing.paths)?,
    };
    let batch = decode::decode_all(&listing.paths, size, options.channels, options.skip_bad)?;
    let relative = |p: &Path| p.strip_prefix(dir).unwrap_or(p).display().to_string();
    let skipped: Vec<Skipped> =
        batch.skipped.into_iter().map(|s| Skipped { file: relative(Path::new(&s.file)), reason: s.reason }).collect();
    Ok(ImageSet {
        name: file::name_of(dir),
        height: size.0,
        width: size.1,
        channels: batch.channels,
        pixels: batch.pixels,
        labels: batch.kept.iter().map(|&i| listing.labels[i]).collect(),
        classes,
        finer: Vec::new(),
        files: batch.kept.iter().map(|&i| relative(&listing.paths[i])).collect(),
        skipped,
        ignored: listing.ignored,
    })
}

fn class_names(root: &Path) -> Result<Vec<String>> {
    let names: Vec<String> = class_folders(root)?.iter().map(|p| file::name_of(p)).collect();
    if names.is_empty() {
        return Err(Error::Data(format!("{} has no class folders; each class is a folder of images", root.display())));
    }
    Ok(names)
}

/// The images of all classes, in the order of class and path.
struct Listing {
    paths: Vec<PathBuf>,
    labels: Vec<u32>,
    ignored: usize,
}

fn list(root: &Path, classes: &[String], allow_empty_classes: bool) -> Result<Listing> {
    let (mut paths, mut labels, mut ignored) = (Vec::new(), Vec::new(), 0);
    for entry in decode::entries(root)? {
        ignored += usize::from(!entry.is_dir());
    }
    for folder in class_folders(root)? {
        let name = file::name_of(&folder);
        let Some(label) = classes.iter().position(|c| *c == name) else {
            return Err(Error::Data(format!(
                "{}: the class {name:?} is not among the {} classes of the training folder",
                folder.display(),
                classes.len(),
            )));
        };
        let found = decode::walk(&folder)?;
        if found.images.is_empty() && !allow_empty_classes {
            return Err(Error::Data(format!(
                "{} is an empty class: it holds no .png, .jpg, .jpeg or .webp file ({} other files); add images, remove \
                 the folder, or set `data.allow_empty_classes = true`",
                folder.display(),
                found.others,
            )));
        }
        labels.extend(std::iter::repeat_n(label as u32, found.images.len()));
        paths.extend(found.images);
        ignored += found.others;
    }
    Ok(Listing { paths, labels, ignored })
}
