//! A folder of class folders with PNG, JPEG and WebP files, with or without a level of splits above them.

use std::path::{Path, PathBuf};

use super::decode;
use super::file;
use super::load::{LoadOptions, Split};
use super::set::{ImageSet, Skipped};
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

/// Whether some class folder holds an image.
pub(super) fn detect(dir: &Path) -> Result<bool> {
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

/// Whether `dir` has a folder of the split.
pub(super) fn has(dir: &Path, split: Split) -> Result<bool> {
    Ok(roots(dir)?.of(split).is_some())
}

/// Loads a split of the class folders in `dir`.
pub(super) fn load(dir: &Path, split: Split, options: &LoadOptions) -> Result<ImageSet> {
    let roots = roots(dir)?;
    let Some(root) = roots.of(split) else {
        return Err(Error::Data(format!(
            "{} has no {split} images; looked for class folders in {}",
            dir.display(),
            split_names(split).join(" and "),
        )));
    };
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
