//! Sums of the grey of images as it is when their contrast's turn comes. Shapes: `images (B, H, W, C)`, `draws (B, 4)`
//! → `out (B, strips)`.

use super::colour::{self, Jitter};
use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::philox::{self, Stream};
use crate::base::{Array, Result, Shape};
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `grey_sums.wgsl`.
    pub struct Params {
        /// B.
        pub batch: u32,
        /// H·W.
        pub pixels: u32,
        /// C, 1 or 3.
        pub channels: u32,
        /// Sums of an image.
        pub strips: u32,
        /// Strength.
        pub brightness: f32,
        /// Strength.
        pub contrast: f32,
        /// Strength.
        pub saturation: f32,
        /// Strength.
        pub hue: f32,
        /// Random key.
        pub key0: u32,
        /// Random key.
        pub key1: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "grey_sums",
    source: include_str!("../../shaders/input/grey_sums.wgsl"),
    shared: &[shared::COLOUR, shared::PHILOX, shared::REDUCE],
    params: size_of::<Params>(),
    bindings: &[read("images"), read("draws"), write("out")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)]), Variant::base("8", &[("WIDTH", 8.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// The shape of the sums of `(B, H, W, C)`: strips of about 2048 pixels, at most 32.
pub fn scratch(images: &Shape) -> Shape {
    let [batch, pixels] = [images.sizes()[0], images.rows() / images.sizes()[0]];
    Shape::new(&[batch, pixels.div_ceil(2048).min(32)])
}

/// Records the sums of the draws' images under a jitter.
///
/// # Errors
/// When `draws` is not `(B, 4)` or `out` has another shape than [`scratch`].
pub fn record(recording: &mut Recording, images: &Tensor, draws: &Tensor, jitter: &Jitter, out: &Tensor) -> Result<()> {
    let [batch, height, width, channels] = images.image("grey_sums: images")?;
    draws.expect("grey_sums: draws (B, 4)", &[batch, 4])?;
    out.expect("grey_sums: out (B, strips)", scratch(&images.shape).sizes())?;
    let jitter = jitter.on(channels);
    let key = philox::key(jitter.seed, Stream::Augment);
    let p = Params {
        batch: batch as u32,
        pixels: (height * width) as u32,
        channels: channels as u32,
        strips: out.shape.last() as u32,
        brightness: jitter.brightness,
        contrast: jitter.contrast,
        saturation: jitter.saturation,
        hue: jitter.hue,
        key0: key[0],
        key1: key[1],
    };
    recording.dispatch(&SHADER, p, &[images, draws, out], [out.shape.stride() as u32, p.batch, 1], cost(p))
}

/// The least work: each pixel read once and its grey added.
pub fn cost(p: Params) -> Cost {
    let pixels = u64::from(p.batch) * u64::from(p.pixels);
    Cost { operations: 6 * pixels, bytes: 16 * pixels }
}

/// The twin.
pub fn reference(images: &Array, draws: &Array, jitter: &Jitter) -> Array {
    let shape = scratch(&images.shape);
    let (batch, strips, channels) = (shape.rows(), shape.last(), images.shape.last());
    let one = images.data.len() / batch;
    let strip = (one / channels).div_ceil(strips) * channels;
    let mut sums = Vec::with_capacity(batch * strips);
    for (image, draw) in images.data.chunks_exact(one).zip(draws.data.chunks_exact(4)) {
        let mut image = image.to_vec();
        jitter.on(channels).plan(draw[1] as u32, draw[2] as u32).until_contrast(&mut image, channels);
        let of = |s: usize| image[(s * strip).min(one)..((s + 1) * strip).min(one)].chunks_exact(channels);
        sums.extend((0..strips).map(|s| of(s).map(colour::grey).sum::<f64>()));
    }
    Array::new(&[batch, strips], sums)
}

/// Images in [0, 1] and draws for tests. Some pixels are grey, black or white, where a hue is not defined.
pub(crate) fn some_images(sizes: [usize; 4]) -> [Array; 2] {
    let [batch, .., channels] = sizes;
    let values = Array::integers(&sizes, 1 << 20, 31);
    let images = Array::from_fn(&sizes, |i| match i / channels % 7 {
        0 => values.data[i / channels * channels] / f64::from(1 << 20),
        1 => (i / channels % 2) as f64,
        _ => values.data[i] / f64::from(1 << 20),
    });
    let draws = Array::from_fn(&[batch, 4], |i| [0.0, (50 + i / 4) as f64, (i / 4 % 5) as f64, 0.0][i % 4]);
    [images, draws]
}

/// Around a strip and a workgroup. Sums of up to 2048 greys below 1, in 8 or more lanes of at most 256 terms each, err by
/// less than 256·2⁻²⁴ relative to the sum: 1.6e-5, mostly far less.
fn cases() -> Vec<Case> {
    let sizes = [[3, 1, 1, 3], [5, 7, 9, 3], [4, 5, 13, 1], [2, 48, 43, 3], [2, 70, 71, 3], [9, 28, 28, 1]];
    let jitters = colour::some_jitters();
    let pairs = sizes.into_iter().flat_map(|s| jitters.clone().into_iter().map(move |j| (s, j)));
    pairs
        .map(|(sizes, jitter)| {
            let [images, draws] = some_images(sizes);
            let expected = reference(&images, &draws, &jitter);
            let name = format!("{} {jitter:?}", images.shape);
            Case::new(name, vec![images, draws], expected, Tolerance::element(1.6e-5, 0.0), move |r, i, o, _| {
                record(r, &i[0], &i[1], &jitter, &o[0])
            })
            .integer_input(1)
        })
        .collect()
}
