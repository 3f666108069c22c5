//! Predicts the classes of image files with a trained checkpoint.
//!
//!     cargo run --release --example predict_from_a_checkpoint -- CHECKPOINT IMAGE...

use std::path::{Path, PathBuf};

use relabel::base::{Error, Result};
use relabel::gpu::{Engine, Options};
use relabel::session::Trained;

/// Prints the class of each image; returns the indices of the classes.
pub fn run(options: &Options, checkpoint: &Path, images: &[PathBuf]) -> Result<Vec<usize>> {
    let engine = Engine::open(options)?;
    let trained = Trained::open(&engine, checkpoint)?;
    let (found, predictions) = trained.predict(images, 64, false)?;
    let mut classes = Vec::new();
    for (file, prediction) in found.files.iter().zip(&predictions) {
        let best = prediction.probabilities.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        let Some((class, probability)) = best else { continue };
        println!("{}: {} ({:.1} %)", file.display(), trained.classes[class], 100.0 * probability);
        classes.push(class);
    }
    Ok(classes)
}

#[allow(dead_code, reason = "the tests include this file as a module and call `run`")]
fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let Some((checkpoint, images)) = arguments.split_first() else {
        return Err(Error::Config("usage: predict_from_a_checkpoint CHECKPOINT IMAGE...".into()));
    };
    run(&Options::default(), checkpoint, images).map(drop)
}
