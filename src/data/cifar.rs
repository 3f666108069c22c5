//! CIFAR-10 and CIFAR-100, binary version: records of one or two label bytes and 3·32·32 planar bytes.
//!
//! Source: Krizhevsky, "Learning multiple layers of features from tiny images" (2009), and the format's description
//! beside the data.

use std::path::{Path, PathBuf};

use super::cifar100;
use super::classes;
use super::file;
use super::load::{Format, LoadOptions, Split};
use super::set::ImageSet;
use crate::base::{Error, Result};

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;

/// Bytes of a record: labels and pixels.
fn record_bytes(format: Format) -> usize {
    if format == Format::Cifar100 { 2 + 3 * PLANE } else { 1 + 3 * PLANE }
}

/// The files of a split, in order; empty when it has none.
fn files(dir: &Path, split: Split) -> Result<Vec<PathBuf>> {
    if split == Split::Test {
        return Ok(["test_batch.bin", "test.bin"].iter().find_map(|f| file::find(dir, f)).into_iter().collect());
    }
    let batches: Vec<Option<PathBuf>> = (1..=5).map(|i| file::find(dir, &format!("data_batch_{i}.bin"))).collect();
    if batches.iter().all(Option::is_none) {
        return Ok(file::find(dir, "train.bin").into_iter().collect());
    }
    let missing = batches.iter().position(Option::is_none);
    batches.into_iter().collect::<Option<Vec<_>>>().ok_or_else(|| {
        Error::Data(format!(
            "{}: data_batch_{}.bin is missing; the training set is data_batch_1.bin to data_batch_5.bin",
            dir.display(),
            missing.map_or(0, |i| i + 1),
        ))
    })
}

/// Whether `dir` has files of the split.
pub(super) fn has(dir: &Path, split: Split) -> bool {
    files(dir, split).map_or(true, |f| !f.is_empty())
}

/// Which CIFAR format lies in `dir`, if any: by name, else by the size of the records.
pub(super) fn detect(dir: &Path) -> Result<Option<Format>> {
    if (1..=5).any(|i| file::find(dir, &format!("data_batch_{i}.bin")).is_some())
        || file::find(dir, "test_batch.bin").is_some()
    {
        return Ok(Some(Format::Cifar10));
    }
    let Some(path) = ["train.bin", "test.bin"].iter().find_map(|f| file::find(dir, f)) else { return Ok(None) };
    if dir.join("fine_label_names.txt").is_file() {
        return Ok(Some(Format::Cifar100));
    }
    let length = file::unpacked_length(&path)?;
    let fits = |format| length > 0 && length.is_multiple_of(record_bytes(format) as u64);
    match (fits(Format::Cifar10), fits(Format::Cifar100)) {
        (true, false) => Ok(Some(Format::Cifar10)),
        (false, true) => Ok(Some(Format::Cifar100)),
        (true, true) => Err(Error::Data(format!(
            "{} has {length} bytes, a multiple of both 3073 (CIFAR-10 records) and 3074 (CIFAR-100 records); set \
             `format` to \"cifar10\" or \"cifar100\"",
            path.display(),
        ))),
        (false, false) => Err(Error::Data(format!(
            "{} has {length} bytes, a multiple of neither 3073 (CIFAR-10 records: {}) nor 3074 (CIFAR-100 records: {}); \
             it is truncated, too long, or of another format",
            path.display(),
            nearest(length, 3073),
            nearest(length, 3074),
        ))),
    }
}

/// The whole numbers of records on both sides of a length that does not fit.
fn nearest(length: u64, record: u64) -> String {
    let whole = length / record;
    format!("{} bytes hold {whole}, {} hold {}", whole * record, (whole + 1) * record, whole + 1)
}

/// Loads a split of the CIFAR files in `dir`.
pub(super) fn load(dir: &Path, split: Split, format: Format, options: &LoadOptions) -> Result<ImageSet> {
    let paths = files(dir, split)?;
    if paths.is_empty() {
        let names = match split {
            Split::Train => "data_batch_1.bin to data_batch_5.bin, train.bin",
            Split::Test => "test_batch.bin, test.bin",
        };
        return Err(Error::Data(format!(
            "{} has no {split} images; looked for {names}, each also with .gz",
            dir.display(),
        )));
    }
    let hundred = if format == Format::Cifar100 { Some(cifar100::Names::read(dir, options)?) } else { None };
    let classes = match hundred {
        Some(_) => Vec::new(),
        None => classes::resolve(Some(dir), &["batches.meta.txt", "classes.txt"], options, Some(10), &[])?,
    };
    let record = record_bytes(format);
    // Of CIFAR-100 the fine ones, and the coarse ones beside them.
    let (mut pixels, mut labels, mut coarse) = (Vec::new(), Vec::new(), Vec::new());
    for path in &paths {
        let bytes = file::read_all(path, file::UNPACKED_LIMIT)?;
        check_length(path, bytes.len() as u64, format)?;
        let first = labels.len();
        labels.extend(bytes.chunks_exact(record).map(|r| u32::from(r[record - 3 * PLANE - 1])));
        let place = path.display().to_string();
        match &hundred {
            Some(names) => {
                coarse.extend(bytes.chunks_exact(record).map(|r| u32::from(r[0])));
                names.check(&place, &labels[first..], &coarse[first..])?;
            }
            None => classes::check_labels(&place, &labels[first..], classes.len())?,
        }
        pixels.reserve(bytes.len() / record * 3 * PLANE);
        for image in bytes.chunks_exact(record).map(|r| &r[record - 3 * PLANE..]) {
            let (red, rest) = image.split_at(PLANE);
            let (green, blue) = rest.split_at(PLANE);
            for ((&r, &g), &b) in red.iter().zip(green).zip(blue) {
                pixels.extend_from_slice(&[r, g, b]);
            }
        }
    }
    let set = ImageSet {
        name: file::name_of(dir),
        height: SIDE,
        width: SIDE,
        channels: 3,
        pixels,
        labels,
        classes,
        finer: Vec::new(),
        files: Vec::new(),
        skipped: Vec::new(),
        ignored: 0,
    };
    Ok(match hundred {
        Some(names) => names.label(set, coarse, options.labels),
        None => set,
    })
}

fn check_length(path: &Path, length: u64, format: Format) -> Result<()> {
    let record = record_bytes(format) as u64;
    if length == 0 {
        return Err(Error::Data(format!("{} is empty; records of {record} bytes were expected", path.display())));
    }
    if length.is_multiple_of(record) {
        return Ok(());
    }
    let other = if format == Format::Cifar100 { Format::Cifar10 } else { Format::Cifar100 };
    let hint = if length.is_multiple_of(record_bytes(other) as u64) {
        format!("; it fits {} records of {other}: set `format`", length / record_bytes(other) as u64)
    } else {
        String::new()
    };
    Err(Error::Data(format!(
        "{} has {length} bytes, and {format} needs a multiple of {record} ({}): truncated or too long{hint}",
        path.display(),
        nearest(length, record),
    )))
}
