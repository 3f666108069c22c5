//! NumPy archives: `images` uint8 `[N, H, W]` or `[N, H, W, C]`, `labels` of any integer type, and the same for a test
//! split under `test_images` and `test_labels`.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use zip::ZipArchive;

use super::classes;
use super::file;
use super::load::{LoadOptions, Split};
use super::npy::{self, Header};
use super::set::ImageSet;
use crate::base::{Error, Result};

type Archive = ZipArchive<BufReader<File>>;

/// Names of the arrays of a split; the later pairs are what other tools write.
const fn names(split: Split) -> &'static [(&'static str, &'static str)] {
    match split {
        Split::Train => &[("images", "labels"), ("train_images", "train_labels"), ("x_train", "y_train")],
        Split::Test => &[("test_images", "test_labels"), ("x_test", "y_test")],
    }
}

fn open(path: &Path) -> Result<Archive> {
    let file = File::open(path).map_err(|e| Error::io("cannot open", path, e))?;
    ZipArchive::new(BufReader::new(file))
        .map_err(|e| Error::Data(format!("{}: not a readable .npz (zip) archive: {e}", path.display())))
}

/// The arrays in the archive, without `.npy`.
fn members(archive: &Archive) -> Vec<String> {
    archive.file_names().filter_map(|n| n.ok()).map(|n| n.strip_suffix(".npy").unwrap_or(&n).to_string()).collect()
}

fn find(archive: &Archive, split: Split) -> Option<(&'static str, &'static str)> {
    let members = members(archive);
    names(split).iter().copied().find(|(images, _)| members.iter().any(|m| m == images))
}

/// Whether the archive has images of the split.
pub(super) fn has(path: &Path, split: Split) -> Result<bool> {
    Ok(find(&open(path)?, split).is_some())
}

/// Loads a split of the archive.
pub(super) fn load(path: &Path, split: Split, options: &LoadOptions) -> Result<ImageSet> {
    let mut archive = open(path)?;
    let Some((image_name, label_name)) = find(&archive, split) else {
        return Err(Error::Data(format!(
            "{} has no {split} images; looked for {}, found {}",
            path.display(),
            names(split).iter().map(|(images, _)| *images).collect::<Vec<_>>().join(", "),
            members(&archive).join(", "),
        )));
    };
    let (header, pixels) = read(&mut archive, path, image_name, |h, reader, what| h.read_u8(reader, what))?;
    let (count, height, width, channels) = match header.shape[..] {
        [n, h, w] if h > 0 && w > 0 => (n, h, w, 1),
        [n, h, w, c @ (1 | 3)] if h > 0 && w > 0 => (n, h, w, c),
        _ => {
            let hint = if matches!(header.shape[..], [_, 1 | 3, _, _]) { "; channels must come last" } else { "" };
            return Err(Error::Data(format!(
                "{}: {image_name} has shape {}, and [N, H, W] or [N, H, W, C] with C 1 or 3 is needed{hint}",
                path.display(),
                header.shape_text(),
            )));
        }
    };
    let labels = read_labels(&mut archive, path, label_name)?;
    if labels.len() != count {
        return Err(Error::Data(format!(
            "{}: {image_name} holds {count} images, and {label_name} holds {} labels",
            path.display(),
            labels.len(),
        )));
    }
    // Both splits count: a test set that lacks the last class must not have fewer classes than its training set.
    let other = match find(&archive, split.other()) {
        Some((_, name)) => read_labels(&mut archive, path, name)?,
        None => Vec::new(),
    };
    let classes = classes::resolve(None, &[], options, None, &[&labels, &other])?;
    classes::check_labels(&format!("{}: {label_name}", path.display()), &labels, classes.len())?;
    Ok(ImageSet {
        name: file::name_of(path),
        height,
        width,
        channels,
        pixels,
        labels,
        classes,
        finer: Vec::new(),
        files: Vec::new(),
        skipped: Vec::new(),
        ignored: 0,
    })
}

/// Labels of shape `[N]` or `[N, 1]`.
fn read_labels(archive: &mut Archive, path: &Path, name: &str) -> Result<Vec<u32>> {
    let (header, values) = read(archive, path, name, |h, reader, what| h.read_integers(reader, what))?;
    if !matches!(header.shape[..], [_] | [_, 1]) {
        return Err(Error::Data(format!(
            "{}: {name} has shape {}, and [N] is needed (one class number for each image)",
            path.display(),
            header.shape_text(),
        )));
    }
    values
        .iter()
        .enumerate()
        .map(|(record, &v)| {
            u32::try_from(v).map_err(|_| {
                Error::Data(format!("{}: {name}: record {record} has label {v}, and labels start at 0", path.display()))
            })
        })
        .collect()
}

/// Reads the array `name` with `take`.
fn read<T>(
    archive: &mut Archive,
    path: &Path,
    name: &str,
    take: impl Fn(&Header, &mut dyn std::io::Read, &str) -> Result<T>,
) -> Result<(Header, T)> {
    let member =
        if archive.index_for_name(&format!("{name}.npy")).is_some() { format!("{name}.npy") } else { name.into() };
    let what = format!("{}: {member}", path.display());
    let mut reader = archive.by_name(&member).map_err(|e| Error::Data(format!("{what}: {e}")))?;
    let header = npy::read_header(&mut reader, &what)?;
    let values = take(&header, &mut reader, &what)?;
    Ok((header, values))
}
