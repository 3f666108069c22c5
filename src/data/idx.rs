//! IDX files of the MNIST family, plain or gzip: a magic number, big-endian sizes, bytes.
//!
//! Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits", file formats.

use std::path::{Path, PathBuf};

use super::classes;
use super::file;
use super::load::{LoadOptions, Split};
use super::set::ImageSet;
use crate::base::{Error, Result};

/// Names of the image and label files of each split; the first pair in which one file is there is taken.
const TRAIN: [(&str, &str); 3] = [
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
    ("images-idx3-ubyte", "labels-idx1-ubyte"),
];
const TEST: [(&str, &str); 3] = [
    ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
    ("t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte"),
    ("test-images-idx3-ubyte", "test-labels-idx1-ubyte"),
];

/// The image and label files of a split, if any is there.
fn files(dir: &Path, split: Split) -> Result<Option<(PathBuf, PathBuf)>> {
    let pairs = if split == Split::Train { TRAIN } else { TEST };
    for (images, labels) in pairs {
        match (file::find(dir, images), file::find(dir, labels)) {
            (Some(i), Some(l)) => return Ok(Some((i, l))),
            (None, None) => {}
            (Some(i), None) => return Err(lonely(&i, labels)),
            (None, Some(l)) => return Err(lonely(&l, images)),
        }
    }
    Ok(None)
}

fn lonely(found: &Path, missing: &str) -> Error {
    Error::Data(format!("{} is there, and {missing} (or {missing}.gz) beside it is missing", found.display()))
}

/// Whether `dir` has files of the split.
pub(super) fn has(dir: &Path, split: Split) -> bool {
    files(dir, split).map_or(true, |f| f.is_some())
}

/// Loads a split of the IDX files in `dir`.
pub(super) fn load(dir: &Path, split: Split, options: &LoadOptions) -> Result<ImageSet> {
    let Some((image_path, label_path)) = files(dir, split)? else {
        let names = match split {
            Split::Train => "train-images-idx3-ubyte, images-idx3-ubyte and their labels",
            Split::Test => "t10k-images-idx3-ubyte, test-images-idx3-ubyte and their labels",
        };
        return Err(Error::Data(format!(
            "{} has no {split} images; looked for {names}, each also with .gz",
            dir.display(),
        )));
    };
    let ([count, height, width], pixels) = read_idx::<3>(&image_path)?;
    let ([label_count], bytes) = read_idx::<1>(&label_path)?;
    if count != label_count {
        return Err(Error::Data(format!(
            "{} holds {count} images, and {} holds {label_count} labels",
            image_path.display(),
            label_path.display(),
        )));
    }
    let labels: Vec<u32> = bytes.into_iter().map(u32::from).collect();
    // Both splits count: a test set that lacks the last class must not have fewer classes than its training set.
    let other = match files(dir, split.other())? {
        Some((_, path)) => read_idx::<1>(&path)?.1.into_iter().map(u32::from).collect(),
        None => Vec::new(),
    };
    let classes = classes::resolve(Some(dir), &["classes.txt"], options, None, &[&labels, &other])?;
    classes::check_labels(&label_path.display().to_string(), &labels, classes.len())?;
    Ok(ImageSet {
        name: file::name_of(dir),
        height,
        width,
        channels: 1,
        pixels,
        labels,
        classes,
        finer: Vec::new(),
        files: Vec::new(),
        skipped: Vec::new(),
        ignored: 0,
    })
}

/// An IDX file of unsigned bytes with `D` sizes.
fn read_idx<const D: usize>(path: &Path) -> Result<([usize; D], Vec<u8>)> {
    let what = path.display().to_string();
    let mut reader = file::open(path)?;
    let header_bytes = 4 + 4 * D as u64;
    let header = file::read_header(&mut reader, &what, header_bytes)?;
    let expected = [0, 0, 8, D as u8];
    if header[..4] != expected {
        return Err(Error::Data(format!(
            "{what}: the first bytes are {:02x?}, and an IDX file of unsigned bytes with {D} sizes starts with \
             {expected:02x?}; {}",
            &header[..4],
            if header[..2] == [0x1f, 0x8b] { "it is gzip: add .gz to its name" } else { "it is not such a file" },
        )));
    }
    let mut sizes = [0; D];
    for (size, bytes) in sizes.iter_mut().zip(header[4..].as_chunks::<4>().0) {
        *size = u32::from_be_bytes(*bytes) as usize;
    }
    if sizes[1..].contains(&0) {
        return Err(Error::Data(format!("{what}: the header says sizes {sizes:?}; none may be 0")));
    }
    let claim = format!("the header says sizes {sizes:?}");
    let body = sizes
        .iter()
        .try_fold(1u64, |n, &s| n.checked_mul(s as u64))
        .ok_or_else(|| Error::Data(format!("{what}: {claim}, more bytes than a file can hold")))?;
    let bytes = file::read_body(&mut reader, &what, header_bytes, body, &claim)?;
    Ok((sizes, bytes))
}
