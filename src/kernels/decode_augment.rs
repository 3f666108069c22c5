//! Bytes to normalised floats with random crop and flip. Shapes: `bytes` packed words, `draws (B, 4)` →
//! `out (B, OH, OW, C)`.

use super::{Case, Kernel, crop, params, shared};
use crate::base::compare::Tolerance;
use crate::base::philox::{self, Stream};
use crate::base::{Array, Error, Result, Shape};
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
        /// OH.
        pub out_height: u32,
        /// OW.
        pub out_width: u32,
        /// Pixels of black around the image before the crop.
        pub padding: u32,
        /// Bit 0: random crop, else the centre; bit 1: random flip.
        pub augment: u32,
        /// Byte of image 0.
        pub first: u32,
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

/// How bytes become images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// H and W of the stored images.
    pub size: [usize; 2],
    /// C, 1 or 3.
    pub channels: usize,
    /// OH and OW of the result; `size` for training with `RandomCrop(size, padding)`.
    pub crop: [usize; 2],
    /// Pixels of black around the image before a random crop.
    pub padding: usize,
    /// The seed of random crops and flips; `None` takes the centre (evaluation).
    pub random: Option<u64>,
    /// Whether a random image is mirrored with probability 1/2.
    pub flip: bool,
    /// Mean of each channel, of values in 0 to 1.
    pub mean: [f32; 3],
    /// Standard deviation of each channel, of values in 0 to 1.
    pub deviation: [f32; 3],
    /// Byte of the bound window at which image 0 starts.
    pub first: usize,
}

impl Settings {
    /// The result's shape for draws `(B, 4)`.
    ///
    /// # Errors
    /// When the draws have another shape, C is not 1 or 3, or a random crop is larger than the padded image.
    pub fn output(&self, draws: &Shape) -> Result<Shape> {
        let &[batch, 4] = draws.sizes() else {
            return Err(Error::Shape(format!("decode_augment: draws {draws} are not (B, 4)")));
        };
        if self.channels != 1 && self.channels != 3 {
            return Err(Error::Shape(format!("decode_augment: {} channels, not 1 or 3", self.channels)));
        }
        let room = self.size.map(|n| n + 2 * self.padding);
        if self.random.is_some() && (self.crop[0] > room[0] || self.crop[1] > room[1]) {
            return Err(Error::Config(format!(
                "a random crop of {:?} does not fit into images of {:?} with {} pixels of padding",
                self.crop, self.size, self.padding
            )));
        }
        Ok(Shape::new(&[batch, self.crop[0], self.crop[1], self.channels]))
    }

    /// `(top, left, mirrored)` of the crop within the unpadded image; top and left may be negative.
    pub fn placement(&self, sample: u32, epoch: u32) -> (i64, i64, bool) {
        let free = |axis: usize| self.size[axis] as i64 - self.crop[axis] as i64;
        let centre = |axis: usize| crop::centre(self.size[axis], self.crop[axis]);
        let Some(seed) = self.random else { return (centre(0), centre(1), false) };
        let words = philox::philox4x32([sample, epoch, 0, 0], philox::key(seed, Stream::Augment));
        let padding = self.padding as i64;
        let start = |axis: usize| {
            let places = (free(axis) + 2 * padding + 1) as u32;
            i64::from(philox::below(words[axis], places)) - padding
        };
        (start(0), start(1), self.flip && words[2] >> 31 == 1)
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "decode_augment",
    source: include_str!("../../shaders/input/decode_augment.wgsl"),
    shared: &[shared::PHILOX],
    params: size_of::<Params>(),
    bindings: &[read("bytes"), read("draws"), write("out")],
    variants: &[
        Variant::base("8 x 32", &[("WIDTH", 8.0), ("ROWS", 32.0)]),
        Variant::base("32 x 4", &[("WIDTH", 32.0), ("ROWS", 4.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records the images of the draws. `bytes` may be a window of a dataset; positions count from `settings.first`, and
/// bytes outside the window are read as 0.
///
/// # Errors
/// When the settings or the shapes do not fit together.
pub fn record(
    recording: &mut Recording,
    bytes: &Tensor,
    draws: &Tensor,
    settings: &Settings,
    out: &Tensor,
) -> Result<()> {
    let shape = settings.output(&draws.shape)?;
    out.expect("decode_augment: out (B, OH, OW, C)", shape.sizes())?;
    let key = philox::key(settings.random.unwrap_or(0), Stream::Augment);
    let [mean0, mean1, mean2] = settings.mean;
    let [deviation0, deviation1, deviation2] = settings.deviation;
    let random = settings.random.is_some();
    let p = Params {
        batch: shape.sizes()[0] as u32,
        height: settings.size[0] as u32,
        width: settings.size[1] as u32,
        channels: settings.channels as u32,
        out_height: settings.crop[0] as u32,
        out_width: settings.crop[1] as u32,
        padding: settings.padding as u32,
        augment: u32::from(random) | (u32::from(random && settings.flip) << 1),
        first: settings.first as u32,
        length: bytes.shape.bytes() as u32,
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
    let strips = p.out_height.div_ceil(recording.variant(&SHADER).constant("ROWS"));
    recording.dispatch(&SHADER, p, &[bytes, draws, out], [strips, p.batch, 1], cost(p))
}

/// The least work: read each byte, write each float; a division, a difference and a division for each.
pub fn cost(p: Params) -> Cost {
    let pixels = u64::from(p.batch) * u64::from(p.out_height) * u64::from(p.out_width);
    Cost { operations: 3 * pixels * u64::from(p.channels), bytes: pixels * (16 + u64::from(p.channels)) }
}

/// The twin; `bytes` holds packed words.
pub fn reference(bytes: &Array, draws: &Array, settings: &Settings) -> Array {
    let ([h, w], [oh, ow], c) = (settings.size, settings.crop, settings.channels);
    let byte = |i: usize| (bytes.data[i / 4] as u32 >> (i % 4 * 8)) & 0xff;
    Array::from_fn(&[draws.shape.rows(), oh, ow, c], |i| {
        let (b, y, x, channel) = (i / (oh * ow * c), i / (ow * c) % oh, i / c % ow, i % c);
        let draw = &draws.data[4 * b..4 * b + 3];
        let (top, left, mirrored) = settings.placement(draw[1] as u32, draw[2] as u32);
        let (y, x) = (top + y as i64, left + if mirrored { ow - 1 - x } else { x } as i64);
        let inside = (0..h as i64).contains(&y) && (0..w as i64).contains(&x);
        let at = || ((draw[0] as usize * h + y as usize) * w + x as usize) * c + channel;
        let value = if inside { f64::from(byte(settings.first + at())) } else { 0.0 };
        (value / 255.0 - f64::from(settings.mean[channel])) / f64::from(settings.deviation[channel])
    })
}

/// Settings worth testing: both channel counts, padding and none, crops of another size, an image that starts inside
/// a word.
pub(crate) fn some_settings() -> Vec<Settings> {
    let base = Settings {
        size: [8, 8],
        channels: 3,
        crop: [8, 8],
        padding: 2,
        random: Some(0x1234_5678_9abc_def0),
        flip: true,
        mean: [0.5, 0.4, 0.45],
        deviation: [0.2, 0.25, 0.3],
        first: 0,
    };
    vec![
        base,
        Settings { random: None, ..base },
        Settings { size: [7, 5], crop: [7, 5], channels: 1, first: 3, ..base },
        Settings { size: [9, 6], crop: [5, 4], padding: 0, flip: false, random: Some(7), ..base },
        Settings { size: [9, 6], crop: [6, 3], random: None, channels: 1, ..base },
        Settings { size: [32, 32], crop: [32, 32], padding: 4, random: Some(1), ..base },
    ]
}

/// A dataset of `images` images as packed words, and draws `(batch, 4)` from it.
pub(crate) fn some_data(settings: &Settings, images: usize, batch: usize) -> [Array; 2] {
    let length = settings.first + images * settings.size[0] * settings.size[1] * settings.channels;
    let halves = Array::integers(&[2 * length.div_ceil(4)], 1 << 16, 5);
    let words = Array::from_fn(&[length.div_ceil(4)], |i| halves.data[2 * i] * 65_536.0 + halves.data[2 * i + 1]);
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
        .map(|settings| {
            let [bytes, draws] = some_data(&settings, 11, 13);
            let expected = reference(&bytes, &draws, &settings);
            let name = format!("{settings:?}");
            Case::new(name, vec![bytes, draws], expected, Tolerance::element(1e-6, 2e-6), move |r, i, o, _| {
                record(r, &i[0], &i[1], &settings, &o[0])
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
        let settings = Settings { padding: 4, size: [32, 32], crop: [32, 32], ..some_settings()[0] };
        let drawn: Vec<(i64, i64, bool)> = (0..4000).map(|i| settings.placement(i, 3)).collect();
        for axis in [|p: &(i64, i64, bool)| p.0, |p: &(i64, i64, bool)| p.1] {
            for place in -4..=4 {
                let share = drawn.iter().filter(|p| axis(p) == place).count() as f64 / 4000.0;
                assert!((share - 1.0 / 9.0).abs() < 0.02, "{place}: {share}");
            }
        }
        let mirrored = drawn.iter().filter(|p| p.2).count();
        assert!((1850..2150).contains(&mirrored), "{mirrored} of 4000 mirrored");
        assert_ne!(drawn, (0..4000).map(|i| settings.placement(i, 4)).collect::<Vec<_>>());
    }

    #[test]
    fn misfits_are_refused() {
        let settings = some_settings()[0];
        let draws = Shape::new(&[2, 4]);
        assert_eq!(settings.output(&draws).expect("fits").sizes(), [2, 8, 8, 3]);
        assert!(settings.output(&Shape::new(&[2, 3])).is_err());
        assert!(Settings { channels: 2, ..settings }.output(&draws).is_err());
        let text = Settings { crop: [13, 8], ..settings }.output(&draws).expect_err("too large").to_string();
        assert!(text.contains("[13, 8]") && text.contains("2 pixels"), "{text}");
    }
}
