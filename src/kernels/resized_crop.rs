//! Bytes to normalised floats through a crop and up to two resizes. Shapes: `bytes` packed words, `draws (B, 4)`, `taps`
//! of [`crop_taps`] → `out (B, OH, OW, C)`.

use rayon::prelude::*;

use super::crop::{self, Crop};
use super::{Case, Kernel, crop_taps, params, sliding_crop};
use crate::base::compare::Tolerance;
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `resized_crop.wgsl`.
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
        /// T.
        pub taps: u32,
        /// Byte of image 0.
        pub first: u32,
        /// Bytes bound.
        pub length: u32,
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
    /// Which part, and its size.
    pub crop: Crop,
    /// C, 1 or 3.
    pub channels: usize,
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
    /// When the draws have another shape, C is not 1 or 3, or the crop does not fit the images.
    pub fn output(&self, draws: &Shape) -> Result<Shape> {
        let &[batch, 4] = draws.sizes() else {
            return Err(Error::Shape(format!("resized_crop: draws {draws} are not (B, 4)")));
        };
        if self.channels != 1 && self.channels != 3 {
            return Err(Error::Shape(format!("resized_crop: {} channels, not 1 or 3", self.channels)));
        }
        self.crop.check()?;
        Ok(Shape::new(&[batch, self.crop.out[0], self.crop.out[1], self.channels]))
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "resized_crop",
    source: include_str!("../../shaders/input/resized_crop.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("bytes"), read("draws"), read("taps"), write("out")],
    variants: &[
        Variant::base("64 x 16", &[("WIDTH", 64.0), ("ROWS", 16.0)]),
        Variant::base("8 x 64", &[("WIDTH", 8.0), ("ROWS", 64.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records the images of the draws by the kernel that suits them, `taps` being the table that [`crop_taps::record`] makes of the same draws and crop.
/// `bytes` may be a window of a dataset; positions count from `settings.first`, and bytes outside are read as 0.
///
/// # Errors
/// When the settings or the shapes do not fit together.
pub fn record(
    recording: &mut Recording,
    bytes: &Tensor,
    draws: &Tensor,
    taps: &Tensor,
    settings: &Settings,
    out: &Tensor,
) -> Result<()> {
    let p = checked(bytes, draws, taps, settings, out)?;
    let shader = if p.taps as usize <= sliding_crop::MOST_TAPS { &sliding_crop::SHADER } else { &SHADER };
    record_as(recording, shader, p, &[bytes, draws, taps, out])
}

/// The parameters, when all shapes fit.
pub(super) fn checked(
    bytes: &Tensor,
    draws: &Tensor,
    taps: &Tensor,
    settings: &Settings,
    out: &Tensor,
) -> Result<Params> {
    let shape = settings.output(&draws.shape)?;
    out.expect("resized_crop: out (B, OH, OW, C)", shape.sizes())?;
    let [batch, out_height, out_width, channels] = out.image("resized_crop: out")?;
    taps.expect("resized_crop: taps (B, OH + OW, 1 + T)", crop_taps::scratch(batch, &settings.crop).sizes())?;
    let [mean0, mean1, mean2] = settings.mean;
    let [deviation0, deviation1, deviation2] = settings.deviation;
    Ok(Params {
        batch: batch as u32,
        height: settings.crop.size[0] as u32,
        width: settings.crop.size[1] as u32,
        channels: channels as u32,
        out_height: out_height as u32,
        out_width: out_width as u32,
        taps: settings.crop.most_taps() as u32,
        first: settings.first as u32,
        length: bytes.shape.bytes() as u32,
        mean0,
        mean1,
        mean2,
        mean3: 0.0,
        deviation0,
        deviation1,
        deviation2,
        deviation3: 1.0,
    })
}

/// Records one of the two kernels.
pub(super) fn record_as(
    recording: &mut Recording,
    shader: &'static Shader,
    p: Params,
    tensors: &[&Tensor],
) -> Result<()> {
    let variant = recording.variant(shader);
    let [rows, width] = ["ROWS", "WIDTH"].map(|name| variant.constant(name));
    recording.dispatch(shader, p, tensors, [p.out_height.div_ceil(rows), p.batch, p.out_width.div_ceil(width)], cost(p))
}

/// The least work: read each byte of the images once, write each float; two sums of T products a value.
pub fn cost(p: Params) -> Cost {
    let (batch, channels, taps) = (u64::from(p.batch), u64::from(p.channels), u64::from(p.taps));
    let pixels = batch * u64::from(p.out_height) * u64::from(p.out_width);
    let source = batch * u64::from(p.height) * u64::from(p.width) * channels;
    Cost { operations: 4 * taps * pixels * channels, bytes: 16 * pixels + source }
}

/// The twin; `bytes` holds packed words.
pub fn reference(bytes: &Array, draws: &Array, settings: &Settings) -> Array {
    let (crop, c) = (&settings.crop, settings.channels);
    let pixels = crop.size[0] * crop.size[1] * c;
    let byte = |i: usize| f64::from((bytes.data[i / 4] as u32 >> (i % 4 * 8)) & 0xff);
    let image = |draw: &[f64]| -> Vec<f64> {
        let at = settings.first + draw[0] as usize * pixels;
        let source: Vec<f64> = (at..at + pixels).map(|i| byte(i) / 255.0).collect();
        let mut values = crop::sample(&source, c, crop, crop.part(draw[1] as u32, draw[2] as u32));
        for (i, value) in values.iter_mut().enumerate() {
            *value = (*value - f64::from(settings.mean[i % c])) / f64::from(settings.deviation[i % c]);
        }
        values
    };
    let data: Vec<f64> = draws.data.par_chunks_exact(4).flat_map_iter(image).collect();
    Array::new(&[draws.shape.rows(), crop.out[0], crop.out[1], c], data)
}

/// Settings worth testing: those crops, both channel counts, an image that starts inside a word.
pub(crate) fn some_settings() -> Vec<Settings> {
    let one = |(i, crop): (usize, Crop)| Settings {
        crop,
        channels: if i % 3 == 1 { 1 } else { 3 },
        mean: [0.5, 0.4, 0.45],
        deviation: [0.2, 0.25, 0.3],
        first: i % 4,
    };
    crop_taps::some_crops().into_iter().enumerate().map(one).collect()
}

/// A dataset of `images` images as packed words, and draws `(batch, 4)` from it.
pub(crate) fn some_data(settings: &Settings, images: usize, batch: usize) -> [Array; 2] {
    let length = settings.first + images * settings.crop.size[0] * settings.crop.size[1] * settings.channels;
    let halves = Array::integers(&[2 * length.div_ceil(4)], 1 << 16, 5);
    let words = Array::from_fn(&[length.div_ceil(4)], |i| halves.data[2 * i] * 65_536.0 + halves.data[2 * i + 1]);
    [words, crop_taps::some_draws(batch, images, &settings.crop)]
}

/// Cases of one of the two kernels. The weights come from the twin, rounded to float32. Two sums of at most 13 products
/// of values below 1 and weights that sum to 1, divided by 0.2: 5e-6 absolute.
pub(super) fn cases_of(shader: &'static Shader, most_taps: usize) -> Vec<Case> {
    let fits = some_settings().into_iter().filter(|s| s.crop.most_taps() <= most_taps);
    fits.map(|settings| {
        let [bytes, draws] = some_data(&settings, 5, 7);
        let taps = crop_taps::reference(&draws, &settings.crop);
        let expected = reference(&bytes, &draws, &settings);
        let name = format!("{settings:?}");
        Case::new(name, vec![bytes, draws, taps], expected, Tolerance::element(1e-6, 5e-6), move |r, i, o, _| {
            let p = checked(&i[0], &i[1], &i[2], &settings, &o[0])?;
            record_as(r, shader, p, &[&i[0], &i[1], &i[2], &o[0]])
        })
        .integer_input(0)
        .integer_input(1)
    })
    .collect()
}

fn cases() -> Vec<Case> {
    cases_of(&SHADER, usize::MAX)
}
