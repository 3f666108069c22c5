//! Batch normalisation with given statistics and the rectified linear unit after it.
//! Shapes: `x (…, C)`, `stats (2, C)`, `affine (2, C)` → `out (…, C)`. Source: Ioffe and Szegedy, 2015, algorithm 1.

use super::batch_norm::{self, Form};
use super::columns::PASSES;
use super::{Case, Kernel, batch_norm_apply, batch_norm_stats, relu, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Recording, Shader, Tensor, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "batch_norm_relu",
    source: include_str!("../../shaders/norm/batch_norm_relu.wgsl"),
    shared: &[shared::WHOLE_ROWS],
    params: size_of::<batch_norm::Params>(),
    bindings: &[read("x"), read("stats"), read("affine"), write("out")],
    variants: PASSES,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: batch_norm::FIELDS, cases };

/// Records `out = max(weight · (x − mean) / √(variance + eps) + bias, 0)`.
///
/// # Errors
/// When the shapes do not fit.
pub fn record(recording: &mut Recording, eps: f32, [x, stats, affine]: [&Tensor; 3], out: &Tensor) -> Result<()> {
    batch_norm::expect_rows("batch_norm_relu: stats", stats, x)?;
    batch_norm::expect_rows("batch_norm_relu: affine", affine, x)?;
    out.expect("batch_norm_relu: out, as x", x.shape.sizes())?;
    // Every value read and written once; one subtraction, one multiply-add and one comparison each.
    batch_norm::pass(recording, &SHADER, eps, x, &[x, stats, affine, out], [4, 2])
}

/// The twin.
pub fn reference(eps: f32, x: &Array, stats: &Array, affine: &Array) -> Array {
    relu::reference(&batch_norm_apply::reference(Form::normalise(eps), x, stats, affine))
}

/// As `batch_norm_apply`, whose last operation is followed by no rounding: 1e-6 relative to the largest.
fn cases() -> Vec<Case> {
    let one = |(i, (name, x)): (usize, (String, Array))| {
        let stats = batch_norm_stats::reference(&x).map(|v| f64::from(v as f32));
        let affine = Array::normal(&[2, x.shape.last()], 1.0, 90 + i as u64);
        let expected = reference(1e-5, &x, &stats, &affine);
        Case::new(name, vec![x, stats, affine], expected, Tolerance::largest(1e-6), |r, i, o, _| {
            record(r, 1e-5, [&i[0], &i[1], &i[2]], &o[0])
        })
    };
    batch_norm::inputs().into_iter().enumerate().map(one).collect()
}
