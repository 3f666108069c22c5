//! Bytes to normalised floats with random crop and flip. Shapes: `bytes` packed words, `draws (B, 4)` →
//! `out (B, H, W, C)`.

use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::philox::{self, Stream};
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::recording::grid;
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `decode_augment.wgsl`.
    pub struct Params {
        /// B.
        pub batch: u32,
        /// H.
        pub height: u32,
        /// W.
        pub width: u32,
        /// C, 1 or 3.
        pub channels: u32,
        /// Pixels of black around the image before the crop.
        pub padding: u32,
        /// Bit 0: random crop; bit 1: random flip.
        pub augment: u32,
        /// Bytes bound.
        pub length: u32,
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
        /// Standard deviation of channel 0, of values in 0 to 1.
        pub deviation0: f32,
        /// Standard deviation of channel 1.
        pub deviation1: f32,
        /// Standard deviation of channel 2.
        pub deviation2: f32,
    }
}

/// How bytes become images.
#[derive(Clone, Debug, PartialEq)]
pub struct Decode {
    /// H.
    pub height: usize,
    /// W.
    pub width: usize,
    /// C, 1 or 3.
    pub channels: usize,
    /// Mean of each channel, of values in 0 to 1.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, of values in 0 to 1.
    pub std: Vec<f32>,
    /// Random crop and flip; `None` leaves images as they are (evaluation).
    pub augment: Option<Augment>,
}

/// Random crop and flip of training images (torchvision's `RandomCrop(size, padding)` and `RandomHorizontalFlip`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Augment {
    /// Seed of the random numbers.
    pub seed: u64,
    /// Pixels of black around the image before the crop.
    pub padding: usize,
    /// Whether an image is mirrored with probability 1/2.
    pub flip: bool,
}

impl Augment {
    /// `(top, left, mirrored)` of the crop within the image; top and left are between `-padding` and `padding`.
    pub fn placement(&self, sample: u32, epoch: u32) -> (i64, i64, bool) {
        let words = philox::philox4x32([sample, epoch, 0, 0], philox::key(self.seed, Stream::Augment));
        let places = 2 * self.padding as u32 + 1;
        let start = |word| i64::from(philox::below(word, places)) - self.padding as i64;
        (start(words[0]), start(words[1]), self.flip && words[2] >> 31 == 1)
    }
}

impl Decode {
    /// The result's shape for draws `(B, 4)`.
    ///
    /// # Errors
    /// When the draws have another shape, C is not 1 or 3, or there is not one mean and one positive deviation for
    /// each channel.
    pub fn output(&self, draws: &Shape) -> Result<Shape> {
        let &[batch, 4] = draws.sizes() else {
            return Err(Error::Shape(format!("decode_augment: draws {draws} are not (B, 4)")));
        };
        let c = self.channels;
        if c != 1 && c != 3 {
            return Err(Error::Shape(format!("decode_augment: {c} channels, not 1 or 3")));
        }
        let positive = self.std.iter().all(|&d| d > 0.0 && d.is_finite());
        if self.mean.len() != c || self.std.len() != c || !positive {
            return Err(Error::Config(format!(
                "images of {c} channel(s) need {c} mean(s) and {c} positive deviation(s), not {:?} and {:?}",
                self.mean, self.std
            )));
        }
        Ok(Shape::new(&[batch, self.height, self.width, c]))
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "decode_augment",
    source: include_str!("../../shaders/input/decode_augment.wgsl"),
    shared: &[shared::PHILOX],
    params: size_of::<Params>(),
    bindings: &[read("bytes"), read("draws"), write("out")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)]), Variant::base("256", &[("WIDTH", 256.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records the images of the draws. `bytes` may be a window of a dataset that begins with an image: positions count
/// from its start, and bytes outside are read as 0.
///
/// # Errors
/// When the settings or the shapes do not fit together.
pub fn record(recording: &mut Recording, bytes: &Tensor, draws: &Tensor, decode: &Decode, out: &Tensor) -> Result<()> {
    let shape = decode.output(&draws.shape)?;
    out.expect("decode_augment: out (B, H, W, C)", shape.sizes())?;
    let key = philox::key(decode.augment.map_or(0, |a| a.seed), Stream::Augment);
    // One channel leaves the other two lanes at their neutral values.
    let of = |values: &[f32], c: usize, neutral| values.get(c).copied().unwrap_or(neutral);
    let p = Params {
        batch: shape.sizes()[0] as u32,
        height: decode.height as u32,
        width: decode.width as u32,
        channels: decode.channels as u32,
        padding: decode.augment.map_or(0, |a| a.padding as u32),
        augment: decode.augment.map_or(0, |a| 1 | (u32::from(a.flip) << 1)),
        length: bytes.shape.bytes() as u32,
        key0: key[0],
        key1: key[1],
        mean0: of(&decode.mean, 0, 0.0),
        mean1: of(&decode.mean, 1, 0.0),
        mean2: of(&decode.mean, 2, 0.0),
        deviation0: of(&decode.std, 0, 1.0),
        deviation1: of(&decode.std, 1, 1.0),
        deviation2: of(&decode.std, 2, 1.0),
    };
    let lanes = recording.variant(&SHADER).constant("WIDTH");
    recording.dispatch(&SHADER, p, &[bytes, draws, out], grid(shape.rows(), lanes), cost(p))
}

/// The least work: read each byte, write each float; a division, a difference and a division for each.
pub fn cost(p: Params) -> Cost {
    let pixels = u64::from(p.batch) * u64::from(p.height) * u64::from(p.width);
    Cost { operations: 3 * pixels * u64::from(p.channels), bytes: pixels * (16 + u64::from(p.channels)) }
}

/// The twin; `bytes` holds packed words.
pub fn reference(bytes: &Array, draws: &Array, decode: &Decode) -> Array {
    let (h, w, c) = (decode.height, decode.width, decode.channels);
    let byte = |i: usize| (bytes.data[i / 4] as u32 >> (i % 4 * 8)) & 0xff;
    Array::from_fn(&[draws.shape.rows(), h, w, c], |i| {
        let (b, y, x, channel) = (i / (h * w * c), i / (w * c) % h, i / c % w, i % c);
        let draw = &draws.data[4 * b..4 * b + 3];
        let (top, left, mirrored) =
            decode.augment.map_or((0, 0, false), |a| a.placement(draw[1] as u32, draw[2] as u32));
        let (y, x) = (top + y as i64, left + if mirrored { w - 1 - x } else { x } as i64);
        let inside = (0..h as i64).contains(&y) && (0..w as i64).contains(&x);
        let at = || ((draw[0] as usize * h + y as usize) * w + x as usize) * c + channel;
        let value = if inside { f64::from(byte(at())) } else { 0.0 };
        (value / 255.0 - f64::from(decode.mean[channel])) / f64::from(decode.std[channel])
    })
}

/// Settings worth testing: both channel counts, odd sizes whose images start inside a word, padding and none.
pub(crate) fn some_settings() -> Vec<Decode> {
    let base = Decode {
        height: 8,
        width: 8,
        channels: 3,
        mean: vec![0.5, 0.4, 0.45],
        std: vec![0.2, 0.25, 0.3],
        augment: Some(Augment { seed: 0x1234_5678_9abc_def0, padding: 2, flip: true }),
    };
    let grey = Decode { height: 7, width: 5, channels: 1, mean: vec![0.3], std: vec![0.35], augment: base.augment };
    vec![
        Decode { augment: None, ..base.clone() },
        Decode { augment: None, ..grey.clone() },
        Decode { augment: Some(Augment { seed: 7, padding: 0, flip: true }), ..grey.clone() },
        Decode { augment: Some(Augment { seed: 8, padding: 3, flip: false }), height: 6, width: 9, ..base.clone() },
        Decode { augment: Some(Augment { seed: 9, padding: 4, flip: true }), height: 32, width: 32, ..base.clone() },
        grey,
        base,
    ]
}

/// A dataset of `images` images as packed words, and draws `(batch, 4)` from it.
pub(crate) fn some_data(decode: &Decode, images: usize, batch: usize) -> [Array; 2] {
    let words = (images * decode.height * decode.width * decode.channels).div_ceil(4);
    let halves = Array::integers(&[2 * words], 1 << 16, 5);
    let words = Array::from_fn(&[words], |i| halves.data[2 * i] * 65_536.0 + halves.data[2 * i + 1]);
    let positions = Array::integers(&[batch], images as u32, 6);
    let draws = Array::from_fn(&[batch, 4], |i| match i % 4 {
        0 => positions.data[i / 4],
        1 => 1000.0 + positions.data[i / 4],
        2 => (i / 4 % 3) as f64,
        _ => 0.0,
    });
    [words, draws]
}

/// Two divisions of 2.5 units in the last place and a difference of values below 1, divided by 0.2: 2e-6 absolute.
fn cases() -> Vec<Case> {
    some_settings()
        .into_iter()
        .map(|decode| {
            let [bytes, draws] = some_data(&decode, 11, 13);
            let expected = reference(&bytes, &draws, &decode);
            let name = format!("{decode:?}");
            Case::new(name, vec![bytes, draws], expected, Tolerance::element(1e-6, 2e-6), move |r, i, o, _| {
                record(r, &i[0], &i[1], &decode, &o[0])
            })
            .integer_input(0)
            .integer_input(1)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Crops reach every place, mirror about half of the images, and depend on sample and epoch.
    #[test]
    fn placements_cover_the_range() {
        let augment = Augment { seed: 5, padding: 4, flip: true };
        let drawn: Vec<(i64, i64, bool)> = (0..4000).map(|i| augment.placement(i, 3)).collect();
        for axis in [|p: &(i64, i64, bool)| p.0, |p: &(i64, i64, bool)| p.1] {
            for place in -4..=4 {
                let share = drawn.iter().filter(|p| axis(p) == place).count() as f64 / 4000.0;
                assert!((share - 1.0 / 9.0).abs() < 0.02, "{place}: {share}");
            }
        }
        let mirrored = drawn.iter().filter(|p| p.2).count();
        assert!((1850..2150).contains(&mirrored), "{mirrored} of 4000 mirrored");
        assert_ne!(drawn, (0..4000).map(|i| augment.placement(i, 4)).collect::<Vec<_>>());
    }

    #[test]
    fn misfits_are_refused() {
        let decode = some_settings().remove(0);
        let draws = Shape::new(&[2, 4]);
        assert_eq!(decode.output(&draws).expect("fits").sizes(), [2, 8, 8, 3]);
        assert!(decode.output(&Shape::new(&[2, 3])).is_err());
        assert!(Decode { channels: 2, ..decode.clone() }.output(&draws).is_err());
        let text = Decode { mean: vec![0.5], ..decode.clone() }.output(&draws).expect_err("one mean").to_string();
        assert!(text.contains("3 mean(s)") && text.contains("[0.5]"), "{text}");
        assert!(Decode { std: vec![0.2, 0.0, 0.2], ..decode }.output(&draws).is_err());
    }
}
