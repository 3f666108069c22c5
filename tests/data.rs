//! Data sets: every format, and every kind of bad input with what its message must say.

mod binary;
mod bundled;
mod coarser;
mod folder;
mod labels;
mod npz;
mod unlabelled;

use std::io::Write;
use std::path::Path;

use relabel::base::{Error, Result};
use relabel::data::{ImageSet, LoadOptions, Split, load};

/// Loads the training images with the default options.
fn train(path: &Path) -> Result<ImageSet> {
    load(path, Split::Train, &LoadOptions::default())
}

/// The message of a data error, which must hold each of `parts`.
#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T>, parts: &[&str]) {
    let error = answer.unwrap_err();
    assert!(matches!(error, Error::Data(_)), "{error:?}");
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Writes `bytes` under `dir`, with the folders that are needed.
fn write(dir: &Path, name: &str, bytes: &[u8]) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}
