//! Batch normalisation with given statistics, a residual added, and the rectified linear unit.
//! Shapes: `x, residual (…, C)`, `stats (2, C)`, `affine (2, C)` → `out (…, C)`. Source: He et al., 2016, figure 2.

use super::batch_norm::{self, Form};
use super::columns::PASSES;
use super::{Case, Kernel, batch_norm_apply, batch_norm_stats, relu, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Recording, Shader, Tensor, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "batch_norm_add_relu",
    source: include_str!("../../shaders/norm/batch_norm_add_relu.wgsl"),
    shared: &[shared::WHOLE_ROWS],
    params: size_of::<batch_norm::Params>(),
    bindings: &[read("x"), read("stats"), read("affine"), read("residual"), write("out")],
    variants: PASSES,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: batch_norm::FIELDS, cases };

/// Records `out = max(weight · (x − mean) / √(variance + eps) + bias + residual, 0)`.
///
/// # Errors
/// When the shapes do not fit.
pub fn record(
    recording: &mut Recording,
    eps: f32,
    [x, stats, affine, residual]: [&Tensor; 4],
    out: &Tensor,
) -> Result<()> {
    batch_norm::expect_rows("batch_norm_add_relu: stats", stats, x)?;
    batch_norm::expect_rows("batch_norm_add_relu: affine", affine, x)?;
    residual.expect("batch_norm_add_relu: residual, as x", x.shape.sizes())?;
    out.expect("batch_norm_add_relu: out, as x", x.shape.sizes())?;
    // Two tensors read and one written; five operations a value.
    batch_norm::pass(recording, &SHADER, eps, x, &[x, stats, affine, residual, out], [5, 3])
}

/// The twin.
pub fn reference(eps: f32, x: &Array, stats: &Array, affine: &Array, residual: &Array) -> Array {
    let normalised = batch_norm_apply::reference(Form::normalise(eps), x, stats, affine);
    relu::reference(&normalised.zip(residual, |a, b| a + b))
}

/// As `batch_norm_apply` and one rounded addition: 1e-6 relative to the largest.
fn cases() -> Vec<Case> {
    let one = |(i, (name, x)): (usize, (String, Array))| {
        let stats = batch_norm_stats::reference(&x).map(|v| f64::from(v as f32));
        let affine = Array::normal(&[2, x.shape.last()], 1.0, 90 + i as u64);
        let residual = Array::normal(x.sizes(), 1.0, 190 + i as u64);
        let expected = reference(1e-5, &x, &stats, &affine, &residual);
        let inputs = vec![x, stats, affine, residual];
        Case::new(name, inputs, expected, Tolerance::largest(1e-6), |r, i, o, _| {
            record(r, 1e-5, [&i[0], &i[1], &i[2], &i[3]], &o[0])
        })
    };
    batch_norm::inputs().into_iter().enumerate().map(one).collect()
}
