//! The float64 twins of the image kernels against what torchvision makes of the same images
//! (`tests/fixtures/images.py`); the kernels are held to the twins.

use std::path::Path;

use relabel::base::compare::{Tolerance, compare};
use relabel::kernels::colour::{self, Adjustment};
use relabel::kernels::crop::{self, Crop, Part, Place};
use relabel::verify::Golden;
use relabel::verify::golden::Values;
use serde::Deserialize;

/// A crop of the fixture.
#[derive(Deserialize)]
struct CropCase {
    resize: usize,
    /// Top, left, height, width; none for the centre.
    part: Option<[usize; 4]>,
    out: [usize; 2],
}

fn fixture() -> Golden {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images.safetensors");
    Golden::read(&path).expect("the fixture")
}

/// A picture `(H, W, C)` and its values in [0, 1].
fn picture(golden: &Golden, name: &str) -> ([usize; 3], Vec<f64>) {
    let Values { sizes, values, .. } = golden.input(name).expect("an input");
    (sizes.as_slice().try_into().expect("three sizes"), values.iter().map(|v| v / 255.0).collect())
}

/// Both sides are float64, and `compare` takes float32: one rounding of a value up to 1.
const ROUNDING: f64 = 1e-7;
/// torchvision's `adjust_hue` computes in float32, whatever it is given, and other adjustments follow it.
const HUE: f64 = 2e-6;

#[track_caller]
fn equal(actual: &[f64], golden: &Golden, name: &str, tolerance: f64) {
    let actual: Vec<f32> = actual.iter().map(|&v| v as f32).collect();
    let expected = &golden.output(name).expect("an answer").values;
    compare(&actual, expected, Tolerance::element(0.0, tolerance)).unwrap_or_else(|e| panic!("{name}: {e}"));
}

#[test]
fn crops_and_resizes_are_torchvisions() {
    let golden = fixture();
    let cases: Vec<CropCase> = golden.object("crops").expect("cases");
    assert!(cases.len() > 10);
    for (n, case) in cases.iter().enumerate() {
        let ([height, width, channels], image) = picture(&golden, &format!("crop{n}"));
        let crop = Crop {
            size: [height, width],
            resize: case.resize,
            out: case.out,
            place: Place::Centre,
            seed: 0,
            flip: false,
        };
        let part = match case.part {
            None => crop.part(0, 0),
            Some([top, left, height, width]) => {
                Part { first: [top as i64, left as i64], size: [height, width], mirrored: false }
            }
        };
        equal(&crop::sample(&image, channels, &crop, part), &golden, &format!("crop{n}"), ROUNDING);
        if n == 0 {
            // A flip reverses the rows' pixels, wherever in the order it stands.
            let mirrored = crop::sample(&image, channels, &crop, Part { mirrored: true, ..part });
            let row = case.out[1] * channels;
            let flipped = |line: &[f64]| line.chunks(channels).rev().flatten().copied().collect::<Vec<f64>>();
            equal(&mirrored.chunks(row).flat_map(flipped).collect::<Vec<f64>>(), &golden, "crop0", ROUNDING);
        }
    }
}

#[test]
fn colours_are_torchvisions() {
    let golden = fixture();
    let cases: Vec<(usize, Vec<(String, f64)>)> = golden.object("colours").expect("cases");
    assert!(cases.len() > 10);
    for (n, (channels, steps)) in cases.iter().enumerate() {
        let (_, mut image) = picture(&golden, &format!("colour{n}"));
        for (name, amount) in steps {
            let adjustment = match name.as_str() {
                "brightness" => Adjustment::Brightness,
                "contrast" => Adjustment::Contrast,
                "saturation" => Adjustment::Saturation,
                "hue" => Adjustment::Hue,
                "greyscale" => {
                    image.chunks_exact_mut(*channels).for_each(|pixel| pixel.fill(colour::grey(pixel)));
                    continue;
                }
                other => panic!("{other}"),
            };
            colour::adjust(&mut image, *channels, adjustment, *amount);
        }
        let tolerance = if steps.iter().any(|(name, _)| name == "hue") { HUE } else { ROUNDING };
        equal(&image, &golden, &format!("colour{n}"), tolerance);
    }
}

#[test]
fn random_parts_are_torchvisions() {
    let golden = fixture();
    let (drawn, taken) = (golden.input("parts").expect("draws"), golden.output("parts").expect("parts"));
    let (mut fallbacks, mut retried) = (0, 0);
    for (row, taken) in drawn.values.chunks_exact(drawn.sizes[1]).zip(taken.values.chunks_exact(4)) {
        let (size, scale, ratio) =
            ([row[0] as usize, row[1] as usize], [row[2] as f32, row[3] as f32], [row[4] as f32, row[5] as f32]);
        let word = |share: f64| (share * 4_294_967_296.0) as u32;
        let words = |t: u32| {
            let t = 6 + 2 * t as usize;
            [word(row[t]), word(row[t + 1]), word(row[26]), word(row[27])]
        };
        let part = crop::random_part(size, scale, ratio, words);
        let found = [part.first[0] as f64, part.first[1] as f64, part.size[0] as f64, part.size[1] as f64];
        assert_eq!(found, taken, "{row:?}");
        fallbacks += usize::from(row[24..26] != [0.5, 0.5] && row[26..28] == [0.5, 0.5]);
        retried += usize::from(row[8..10] != [0.5, 0.5]);
    }
    assert!(fallbacks > 3 && retried > fallbacks, "{fallbacks} fallbacks, {retried} retried");
}
