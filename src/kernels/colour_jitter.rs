//! Colour jitter, random greyscale and normalisation. Shapes: `images (B, H, W, C)` in [0, 1], `draws (B, 4)`, `sums` of
//! [`grey_sums`] → `out (B, H, W, C)`.

use super::colour::{self, Jitter};
use super::{Case, Kernel, grey_sums, params, shared};
use crate::base::compare::Tolerance;
use crate::base::philox::{self, Stream};
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `colour_jitter.wgsl`.
    pub struct Params {
        /// B.
        pub batch: u32,
        /// H·W.
        pub pixels: u32,
        /// C, 1 or 3.
        pub channels: u32,
        /// Sums of an image; 0 when there is no contrast, and no sums are read.
        pub strips: u32,
        /// Strength.
        pub brightness: f32,
        /// Strength.
        pub contrast: f32,
        /// Strength.
        pub saturation: f32,
        /// Strength.
        pub hue: f32,
        /// Probability.
        pub greyscale: f32,
        /// Random key.
        pub key0: u32,
        /// Random key.
        pub key1: u32,
        /// Mean of channel 0, of values in 0 to 1.
        pub mean0: f32,
        /// Mean of channel 1.
        pub mean1: f32,
        /// Mean of channel 2.
        pub mean2: f32,
        /// 0.
        pub mean3: f32,
        /// Standard deviation of channel 0, of values in 0 to 1.
        pub deviation0: f32,
        /// Standard deviation of channel 1.
        pub deviation1: f32,
        /// Standard deviation of channel 2.
        pub deviation2: f32,
        /// 1.
        pub deviation3: f32,
    }
}

/// What is done to the colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How much they vary.
    pub jitter: Jitter,
    /// Mean of each channel, of values in 0 to 1.
    pub mean: [f32; 3],
    /// Standard deviation of each channel, of values in 0 to 1.
    pub deviation: [f32; 3],
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "colour_jitter",
    source: include_str!("../../shaders/input/colour_jitter.wgsl"),
    shared: &[shared::COLOUR, shared::PHILOX],
    params: size_of::<Params>(),
    bindings: &[read("images"), read("draws"), read("sums"), write("out")],
    variants: &[
        Variant::base("64 x 16", &[("WIDTH", 64.0), ("PIXELS", 16.0)]),
        Variant::base("8 x 512", &[("WIDTH", 8.0), ("PIXELS", 512.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records the images of the draws; `sums` are what [`grey_sums::record`] makes of the same images, draws and jitter, and
/// are not read when the jitter has no contrast.
///
/// # Errors
/// When a shape does not fit.
pub fn record(
    recording: &mut Recording,
    images: &Tensor,
    draws: &Tensor,
    sums: &Tensor,
    settings: &Settings,
    out: &Tensor,
) -> Result<()> {
    let [batch, height, width, channels] = images.image("colour_jitter: images")?;
    draws.expect("colour_jitter: draws (B, 4)", &[batch, 4])?;
    sums.expect("colour_jitter: sums (B, strips)", grey_sums::scratch(&images.shape).sizes())?;
    out.expect("colour_jitter: out, as images", images.shape.sizes())?;
    let jitter = settings.jitter.on(channels);
    let key = philox::key(jitter.seed, Stream::Augment);
    let [mean0, mean1, mean2] = settings.mean;
    let [deviation0, deviation1, deviation2] = settings.deviation;
    let p = Params {
        batch: batch as u32,
        pixels: (height * width) as u32,
        channels: channels as u32,
        strips: if jitter.contrast > 0.0 { sums.shape.last() as u32 } else { 0 },
        brightness: jitter.brightness,
        contrast: jitter.contrast,
        saturation: jitter.saturation,
        hue: jitter.hue,
        greyscale: jitter.greyscale,
        key0: key[0],
        key1: key[1],
        mean0,
        mean1,
        mean2,
        mean3: 0.0,
        deviation0,
        deviation1,
        deviation2,
        deviation3: 1.0,
    };
    let variant = recording.variant(&SHADER);
    let groups = p.pixels.div_ceil(variant.constant("WIDTH") * variant.constant("PIXELS"));
    recording.dispatch(&SHADER, p, &[images, draws, sums, out], [groups, p.batch, 1], cost(p))
}

/// The least work: each value read and written once; three blends, a hue and a normalisation.
pub fn cost(p: Params) -> Cost {
    let pixels = u64::from(p.batch) * u64::from(p.pixels);
    Cost { operations: 80 * pixels, bytes: 32 * pixels }
}

/// The twin; the mean grey is its own.
pub fn reference(images: &Array, draws: &Array, settings: &Settings) -> Array {
    let channels = images.shape.last();
    let one = images.data.len() / draws.shape.rows();
    let mut data = images.data.clone();
    for (image, draw) in data.chunks_exact_mut(one).zip(draws.data.chunks_exact(4)) {
        settings.jitter.on(channels).plan(draw[1] as u32, draw[2] as u32).apply(image, channels);
        for (i, value) in image.iter_mut().enumerate() {
            let c = i % channels;
            *value = (*value - f64::from(settings.mean[c])) / f64::from(settings.deviation[c]);
        }
    }
    Array::new(images.sizes(), data)
}

/// Settings worth testing.
pub(crate) fn some_settings() -> Vec<Settings> {
    let one = |jitter| Settings { jitter, mean: [0.5, 0.4, 0.45], deviation: [0.2, 0.25, 0.3] };
    colour::some_jitters().into_iter().map(one).collect()
}

/// Around a strip and a workgroup, several images of each order. Three blends with factors up to 3 carry the errors of
/// a few units in the last place of values below 1 on, and a hue multiplies them by at most 6: 1e-5, divided by 0.2.
fn cases() -> Vec<Case> {
    let sizes = [[3, 1, 1, 3], [30, 7, 9, 3], [4, 5, 13, 1], [2, 70, 71, 3], [9, 28, 28, 1]];
    let pairs = sizes.into_iter().flat_map(|s| some_settings().into_iter().map(move |j| (s, j)));
    pairs
        .map(|(sizes, settings)| {
            let [images, draws] = grey_sums::some_images(sizes);
            let sums = grey_sums::reference(&images, &draws, &settings.jitter);
            let expected = reference(&images, &draws, &settings);
            let name = format!("{} {settings:?}", images.shape);
            Case::new(name, vec![images, draws, sums], expected, Tolerance::element(0.0, 5e-5), move |r, i, o, _| {
                record(r, &i[0], &i[1], &i[2], &settings, &o[0])
            })
            .integer_input(1)
        })
        .collect()
}
