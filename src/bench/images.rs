//! The kernels that make images of bytes, one by one: what augmentation costs beside a training step.

use super::kernels::{Options, Row, measure};
use crate::base::{DType, Result, Shape};
use crate::gpu::Engine;
use crate::kernels::colour::Jitter;
use crate::kernels::crop::{Crop, Place};
use crate::kernels::{colour_jitter, crop_taps, decode_augment, grey_sums, resized_crop};

/// Normalisation by 1/2.
const HALF: [f32; 3] = [0.5; 3];

/// What is measured: label, stored size, channels, first resize, crop.
type Case = (&'static str, usize, usize, usize, usize);

/// SeLa's recipe for CIFAR, ImageNet's crop of stored images, and the bundled images.
const CASES: [Case; 4] = [
    ("CIFAR at 224", 32, 3, 256, 224),
    ("stored at 256", 256, 3, 0, 224),
    ("CIFAR at 32", 32, 3, 0, 32),
    ("bundled", 28, 1, 0, 28),
];

/// Measures random-resized crops and colour jitter of 128 images with the variants that training would take.
///
/// # Errors
/// When the adapter has no room, or fails.
pub fn images(engine: &Engine, options: &Options) -> Result<Vec<Row>> {
    const BATCH: usize = 128;
    let mut rows = Vec::new();
    for (label, size, channels, resize, out) in CASES {
        let place = Place::RandomResized { scale: [0.2, 1.0], ratio: [0.75, 4.0 / 3.0] };
        let crop = Crop { size: [size; 2], resize, out: [out; 2], place, seed: 1, flip: true };
        let jitter = Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.4, greyscale: 0.2, seed: 1 };
        let settings = resized_crop::Settings { crop, channels, mean: [0.0; 3], deviation: [1.0; 3], first: 0 };
        let colours = colour_jitter::Settings { jitter, mean: HALF, deviation: HALF };
        let padded = decode_augment::Settings {
            size: crop.size,
            channels,
            crop: crop.size,
            padding: 4,
            random: Some(1),
            flip: true,
            mean: HALF,
            deviation: HALF,
            first: 0,
        };

        let words = (BATCH * size * size * channels).div_ceil(4);
        let bytes = engine.tensor("bytes", Shape::new(&[words]), DType::U32)?;
        let noise: Vec<u32> = (0..bytes.shape.physical() as u32).map(|i| i.wrapping_mul(2_654_435_761)).collect();
        engine.write_words(&bytes, &noise);
        let draws = engine.tensor("draws", Shape::new(&[BATCH, 4]), DType::U32)?;
        let words: Vec<u32> = (0..BATCH as u32).flat_map(|i| [i, i, 0, 0]).collect();
        engine.write_words(&draws, &words);
        let float = |name: &str, shape: Shape| engine.tensor(name, shape, DType::F32);
        let taps = float("taps", crop_taps::scratch(BATCH, &crop))?;
        let images = float("images", Shape::new(&[BATCH, out, out, channels]))?;
        let sums = float("sums", grey_sums::scratch(&images.shape))?;
        let result = float("result", images.shape.clone())?;

        let shape = |what: &str| format!("{label}: {BATCH}x{what}x{channels}");
        let [stored, cropped] = [size, out].map(|n| format!("{n}x{n}"));
        let through = if resize == 0 { String::new() } else { format!("{resize}x{resize} to ") };
        let whole = shape(&format!("{stored} to {through}{cropped}"));
        if resize == 0 && size == out {
            let plain = shape(&stored);
            rows.push(measure(engine, options, "decode_augment", &plain, |r| {
                decode_augment::record(r, &bytes, &draws, &padded, &images)
            })?);
        }
        rows.push(measure(engine, options, "crop_taps", &whole, |r| crop_taps::record(r, &draws, &crop, &taps))?);
        rows.push(measure(engine, options, "resized_crop", &whole, |r| {
            resized_crop::record(r, &bytes, &draws, &taps, &settings, &images)
        })?);
        let cropped = shape(&cropped);
        rows.push(measure(engine, options, "grey_sums", &cropped, |r| {
            grey_sums::record(r, &images, &draws, &jitter, &sums)
        })?);
        rows.push(measure(engine, options, "colour_jitter", &cropped, |r| {
            colour_jitter::record(r, &images, &draws, &sums, &colours, &result)
        })?);
    }
    Ok(rows)
}
