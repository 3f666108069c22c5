//! Loads the bundled images, cuts off a validation part, and draws two batches.
//!
//!     cargo run --release --example load_a_dataset

use std::path::Path;

use relabel::base::Result;
use relabel::data::{LoadOptions, Sampler, SamplerKind, Validation, gather_labels, load_both, split};

/// Prints what was found; returns the labels of the first batch.
pub fn run() -> Result<Vec<u32>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/data/fashion-mnist-mini");
    let (train, test) = load_both(&path, &LoadOptions::default())?;
    let (train, validation) = split(train, &Validation::Fraction(0.1), 0)?;
    println!(
        "{}: {} training, {} validation and {} test images of {}x{}x{}, {} classes",
        train.name,
        train.count(),
        validation.as_ref().map_or(0, relabel::data::ImageSet::count),
        test.as_ref().map_or(0, relabel::data::ImageSet::count),
        train.height,
        train.width,
        train.channels,
        train.classes.len()
    );
    let mut sampler = Sampler::new(SamplerKind::Epochs, 0, train.count(), 16)?;
    let first = gather_labels(&train, &sampler.batch(0));
    println!("labels of the first batch: {first:?}");
    println!("labels of the second batch: {:?}", gather_labels(&train, &sampler.batch(1)));
    Ok(first)
}

#[allow(dead_code, reason = "the tests include this file as a module and call `run`")]
fn main() -> Result<()> {
    run().map(drop)
}
