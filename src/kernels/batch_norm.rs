//! What the batch-normalisation kernels share: the form of the diagonal map, and statistics on the host.

use super::columns::Columns;
use super::{batch_norm_apply, batch_norm_stats, params, relu_derivative};
use crate::base::{Array, Error, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor};

params! {
    /// Uniforms of the kernels for normalisation alone, without [`Form`]'s other maps.
    pub struct Params {
        /// Rows of `x`.
        pub rows: u32,
        /// Vec4 values a row.
        pub quads: u32,
        /// Columns of vec4 a group, a power of two.
        pub tile: u32,
        /// Rows a group.
        pub slab: u32,
        /// Added to the variance.
        pub eps: f32,
    }
}

impl Params {
    /// The least work: so many operations a value, and so many tensors as large as `x` moved once.
    pub(super) fn cost(&self, operations: u64, tensors: u64) -> Cost {
        let values = 4 * u64::from(self.rows) * u64::from(self.quads);
        Cost { operations: operations * values, bytes: 4 * tensors * values }
    }
}

/// Records a pass over `x` that reduces nothing: `tensors` are the shader's, `operations` those of a value, `moved` the
/// tensors as large as `x`.
pub(super) fn pass(
    recording: &mut Recording,
    shader: &'static Shader,
    eps: f32,
    x: &Tensor,
    tensors: &[&Tensor],
    [operations, moved]: [u64; 2],
) -> Result<()> {
    let c = Columns::of(&x.shape);
    let [width, loads] = ["WIDTH", "LOADS"].map(|name| recording.variant(shader).constant(name));
    let (tile, slab) = (c.tile(width), c.stretch(width, loads));
    let p = Params { rows: c.rows as u32, quads: c.quads as u32, tile: tile as u32, slab: slab as u32, eps };
    let (variant, sets) = c.fit(&recording.variants, shader, tile, slab);
    let groups = c.grid(tile * sets, c.rows.div_ceil(slab), 1);
    recording.dispatch_variant_constant(shader, variant, p, tensors, groups, p.cost(operations, moved))
}

/// The map `x ↦ factors[0] · bias + factors[1] · r · weight · (x − mean)` and its transpose in `(bias, weight)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Form {
    /// `r = 1 / √(variance + eps)`; `None`: `r = 1`.
    pub eps: Option<f32>,
    /// Whether the mean is subtracted.
    pub centre: bool,
    /// Factors of the bias and of the weight.
    pub factors: [f32; 2],
}

impl Form {
    /// Batch normalisation itself.
    pub const fn normalise(eps: f32) -> Self {
        Self { eps: Some(eps), centre: true, factors: [1.0, 1.0] }
    }

    /// `r` of each channel in float64.
    pub fn scales(&self, stats: &Array) -> Vec<f64> {
        let c = stats.shape.last();
        let scale = |v: &f64| self.eps.map_or(1.0, |eps| 1.0 / (v + f64::from(eps)).sqrt());
        stats.data[c..].iter().map(scale).collect()
    }

    /// What is subtracted from each channel in float64.
    pub fn centres(&self, stats: &Array) -> Vec<f64> {
        let c = stats.shape.last();
        stats.data[..c].iter().map(|m| if self.centre { *m } else { 0.0 }).collect()
    }
}

/// Checks that a tensor holds two numbers for each channel of `x`.
///
/// # Errors
/// When its shape is not `(2, C)`.
pub(super) fn expect_rows(what: &str, tensor: &Tensor, x: &Tensor) -> Result<()> {
    if tensor.shape.sizes() == [2, x.shape.last()] {
        return Ok(());
    }
    Err(Error::Shape(format!("{what} (2, C) of x {}: got {}", x.shape, tensor.shape)))
}

/// Shapes and offsets that the batch-normalisation cases share: one row, odd channels, more channels than a tile, more
/// rows than a slab, a real layer, and values whose mean is a thousand deviations.
pub(super) fn inputs() -> Vec<(String, Array)> {
    let list: [(&[usize], f64, f64); 12] = [
        (&[1, 7], 0.5, 1.0),
        (&[65, 3], 0.5, 1.0),
        (&[2, 3, 2, 5], -1.0, 2.0),
        (&[9, 261], 0.5, 1.0),
        (&[4097, 2], 0.5, 1.0),
        (&[3, 1500, 9], 0.0, 1.0),
        (&[2, 32, 32, 16], 0.5, 1.0),
        (&[2, 40, 64, 5], 100.0, 0.1),
        // One slab for narrow groups.
        (&[3, 600, 70], 0.5, 1.0),
        // Rows of 2, 4 and 8 tiles of narrow groups, in several slabs.
        (&[2, 45, 50, 64], 0.5, 1.0),
        (&[4129, 128], -1.0, 2.0),
        (&[4100, 256], 0.5, 1.0),
    ];
    list.into_iter()
        .enumerate()
        .map(|(i, (sizes, mean, deviation))| {
            let x = Array::normal(sizes, deviation, 60 + i as u64).map(|v| f64::from((v + mean) as f32));
            (format!("{} mean {mean} deviation {deviation}", x.shape), x)
        })
        .collect()
}

/// `u` where batch normalisation leaves a value above 0, else 0, in float64.
pub(super) fn passed(eps: f32, x: &Array, stats: &Array, affine: &Array, u: &Array) -> Array {
    relu_derivative::reference(&batch_norm_apply::reference(Form::normalise(eps), x, stats, affine), u)
}

/// A case of the kernels behind a rectified linear unit.
pub(super) struct Masked {
    pub x: Array,
    pub stats: Array,
    pub affine: Array,
}

/// The cases of [`inputs`] with a scale and a bias, numbered. Values that normalisation sends closer than 1e-4 to 0 are
/// moved away from it: a deviation up, which changes the side of none of the others, as the statistics stay.
pub(super) fn masked_inputs(eps: f32) -> Vec<(usize, String, Masked)> {
    let make = |(i, (name, mut x)): (usize, (String, Array))| {
        let c = x.shape.last();
        let stats = batch_norm_stats::reference(&x).map(|v| f64::from(v as f32));
        let affine = Array::normal(&[2, c], 1.0, 90 + i as u64);
        let y = batch_norm_apply::reference(Form::normalise(eps), &x, &stats, &affine);
        for (k, _) in y.data.iter().enumerate().filter(|(_, y)| y.abs() < 1e-4) {
            x.data[k] = f64::from((x.data[k] + stats.data[c + k % c].sqrt().max(0.5)) as f32);
        }
        (i, name, Masked { x, stats, affine })
    };
    inputs().into_iter().enumerate().map(make).collect()
}
