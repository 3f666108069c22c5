//! What each row and column of a crop is made of. Shapes: `draws (B, 4)` → `taps (B, OH + OW, 1 + T)`: the first source
//! pixel, and the weights of T pixels from there.

use super::crop::{self, Crop, Part, Place};
use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::philox::{self, Stream};
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `crop_taps.wgsl`.
    pub struct Params {
        /// B.
        pub batch: u32,
        /// H.
        pub height: u32,
        /// W.
        pub width: u32,
        /// H after the first resize.
        pub mid_height: u32,
        /// W after the first resize.
        pub mid_width: u32,
        /// OH.
        pub out_height: u32,
        /// OW.
        pub out_width: u32,
        /// T.
        pub taps: u32,
        /// 0 fixed, 1 random place, 2 random-resized.
        pub place: u32,
        /// 1: mirrored with probability 1/2.
        pub flip: u32,
        /// Row of a fixed place, or of the fallback.
        pub top: i32,
        /// Column of a fixed place, or of the fallback.
        pub left: i32,
        /// Height of the part at a fixed or random place, or of the fallback.
        pub part_height: u32,
        /// Width of that part.
        pub part_width: u32,
        /// Black pixels around the image.
        pub padding: u32,
        /// Least share of the image's area.
        pub scale_low: f32,
        /// Largest share.
        pub scale_high: f32,
        /// Logarithm of the least width / height.
        pub log_ratio_low: f32,
        /// Logarithm of the largest.
        pub log_ratio_high: f32,
        /// Random key.
        pub key0: u32,
        /// Random key.
        pub key1: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "crop_taps",
    source: include_str!("../../shaders/input/crop_taps.wgsl"),
    shared: &[shared::PHILOX],
    params: size_of::<Params>(),
    bindings: &[read("draws"), write("taps")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)]), Variant::base("8", &[("WIDTH", 8.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// The table's shape for B draws.
pub fn scratch(batch: usize, crop: &Crop) -> Shape {
    Shape::new(&[batch, crop.out[0] + crop.out[1], 1 + crop.most_taps()])
}

/// Records the table of the draws.
///
/// # Errors
/// When the crop does not fit the images, `draws` is not `(B, 4)`, or `taps` has another shape than [`scratch`].
pub fn record(recording: &mut Recording, draws: &Tensor, crop: &Crop, taps: &Tensor) -> Result<()> {
    crop.check()?;
    let &[batch, 4] = draws.shape.sizes() else {
        return Err(Error::Shape(format!("crop_taps: draws {} are not (B, 4)", draws.shape)));
    };
    taps.expect("crop_taps: taps (B, OH + OW, 1 + T)", scratch(batch, crop).sizes())?;
    let mid = crop.resized();
    let key = philox::key(crop.seed, Stream::Augment);
    let fixed = Part { first: [crop::centre(mid[0], crop.out[0]), crop::centre(mid[1], crop.out[1])], ..whole(crop) };
    let (place, part, padding, scale, ratio) = match crop.place {
        Place::Centre => (0, fixed, 0, [0.0; 2], [1.0; 2]),
        Place::Padded { padding } => (1, whole(crop), padding, [0.0; 2], [1.0; 2]),
        Place::RandomResized { scale, ratio } => (2, crop::fallback(mid, ratio), 0, scale, ratio),
    };
    let log_ratio = ratio.map(|r| f64::from(r).ln() as f32);
    let p = Params {
        batch: batch as u32,
        height: crop.size[0] as u32,
        width: crop.size[1] as u32,
        mid_height: mid[0] as u32,
        mid_width: mid[1] as u32,
        out_height: crop.out[0] as u32,
        out_width: crop.out[1] as u32,
        taps: crop.most_taps() as u32,
        place,
        flip: u32::from(crop.flip && place != 0),
        top: part.first[0] as i32,
        left: part.first[1] as i32,
        part_height: part.size[0] as u32,
        part_width: part.size[1] as u32,
        padding: padding as u32,
        scale_low: scale[0],
        scale_high: scale[1],
        log_ratio_low: log_ratio[0],
        log_ratio_high: log_ratio[1],
        key0: key[0],
        key1: key[1],
    };
    let groups = (p.out_height + p.out_width).div_ceil(recording.variant(&SHADER).constant("WIDTH"));
    recording.dispatch(&SHADER, p, &[draws, taps], [groups, p.batch, 1], cost(p))
}

/// A part of the output's size.
fn whole(crop: &Crop) -> Part {
    Part { first: [0, 0], size: crop.out, mirrored: false }
}

/// The least work: each weight a quotient, written once.
pub fn cost(p: Params) -> Cost {
    let rows = u64::from(p.batch) * u64::from(p.out_height + p.out_width);
    Cost { operations: rows * u64::from(p.taps), bytes: rows * 4 * u64::from(1 + p.taps) }
}

/// The twin.
pub fn reference(draws: &Array, crop: &Crop) -> Array {
    let (batch, [oh, ow], taps, mid) = (draws.shape.rows(), crop.out, crop.most_taps(), crop.resized());
    let mut table = Vec::with_capacity(batch * (oh + ow) * (1 + taps));
    for draw in draws.data.chunks_exact(4) {
        let part = crop.part(draw[1] as u32, draw[2] as u32);
        for row in 0..oh + ow {
            let axis = usize::from(row >= oh);
            let o = match (axis, part.mirrored) {
                (0, _) => row,
                (_, false) => row - oh,
                (_, true) => oh + ow - 1 - row,
            };
            let [first, length] = [part.first[axis], part.size[axis] as i64];
            let weights = crop::weights(crop.size[axis], mid[axis], first, length as usize, crop.out[axis], o);
            // The first resized pixel within the image says where the list begins.
            let inside = crop::triangle(length as usize, crop.out[axis], o)
                .into_iter()
                .map(|(r, _)| first + r as i64)
                .find(|r| (0..mid[axis] as i64).contains(r));
            let start = inside.map_or(0, |r| crop::triangle(crop.size[axis], mid[axis], r as usize)[0].0);
            table.push(start as f64);
            table.extend((start..start + taps).map(|s| weights.get(s).copied().unwrap_or(0.0)));
        }
    }
    Array::new(&[batch, oh + ow, 1 + taps], table)
}

/// Crops worth testing: every place, up, down and both, a resize of the whole image, one tap and many, flat images that
/// fall back to their centre.
pub(crate) fn some_crops() -> Vec<Crop> {
    let random = Place::RandomResized { scale: [0.2, 1.0], ratio: [0.75, 4.0 / 3.0] };
    let base = Crop { size: [9, 7], resize: 0, out: [9, 7], place: random, seed: 0x1234_5678_9abc_def0, flip: true };
    vec![
        base,
        Crop { size: [8, 8], resize: 20, out: [14, 14], ..base },
        Crop { size: [32, 32], resize: 64, out: [56, 56], seed: 6, ..base },
        Crop { size: [40, 33], out: [7, 5], ..base },
        Crop { size: [30, 41], resize: 20, out: [9, 24], flip: false, ..base },
        Crop { size: [4, 60], out: [6, 6], ..base },
        Crop { resize: 13, place: Place::Centre, out: [11, 12], ..base },
        Crop { resize: 5, place: Place::Centre, out: [5, 3], ..base },
        Crop { resize: 12, place: Place::Padded { padding: 3 }, out: [14, 9], ..base },
        Crop { size: [28, 28], out: [28, 28], seed: 9, ..base },
    ]
}

/// Whether all draws are far enough from the rounding of a side that float32 finds the same parts.
fn is_clear(draws: &Array, crop: &Crop) -> bool {
    let Place::RandomResized { scale, ratio } = crop.place else { return true };
    let key = philox::key(crop.seed, Stream::Augment);
    let mid = crop.resized();
    draws.data.chunks_exact(4).all(|draw| {
        (1..=crop::TRIES).all(|t| {
            let words = philox::philox4x32([draw[1] as u32, draw[2] as u32, t, 0], key);
            let sides = crop::random_sides(mid, scale, ratio, words);
            sides.iter().all(|s| (s.fract() - 0.5).abs() > 1e-3)
        })
    })
}

/// The position in the bytes, sample and epoch of B draws.
pub(crate) fn some_draws(batch: usize, images: usize, crop: &Crop) -> Array {
    let positions = Array::integers(&[batch], images as u32, 6);
    let draws = |shift: usize| {
        Array::from_fn(&[batch, 4], |i| match i % 4 {
            0 => positions.data[i / 4],
            1 => (1000 + shift + i / 4) as f64,
            2 => (i / 4 % 3) as f64,
            _ => 0.0,
        })
    };
    (0..).map(|k| draws(1000 * k)).find(|d| is_clear(d, crop)).expect("some draws are clear")
}

/// First pixels are integers and exact. A weight is a sum of a few quotients of exact integers below 2²⁴, each with a
/// product of rounding errors of some units in the last place: 1e-6 absolute.
fn cases() -> Vec<Case> {
    some_crops()
        .into_iter()
        .map(|crop| {
            let draws = some_draws(13, 5, &crop);
            let expected = reference(&draws, &crop);
            let tolerance = Tolerance::element(0.0, 1e-6);
            Case::new(format!("{crop:?}"), vec![draws], expected, tolerance, move |r, i, o, _| {
                record(r, &i[0], &crop, &o[0])
            })
            .integer_input(0)
        })
        .collect()
}
