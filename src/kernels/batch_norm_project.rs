//! The derivative of training-mode batch normalisation in its input, its own transpose.
//! Shapes: `x, u (…, C)`, `stats, sums, affine (2, C)` → `out (…, C)`. Source: Ioffe and Szegedy, 2015, section 3.

use super::batch_norm::{self, Form};
use super::columns::PASSES;
use super::{Case, Kernel, batch_norm_stats, batch_norm_sums, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Recording, Shader, Tensor, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "batch_norm_project",
    source: include_str!("../../shaders/norm/batch_norm_project.wgsl"),
    shared: &[shared::WHOLE_ROWS],
    params: size_of::<batch_norm::Params>(),
    bindings: &[read("x"), read("stats"), read("u"), read("sums"), read("affine"), write("out")],
    variants: PASSES,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: batch_norm::FIELDS, cases };

/// Records `out = weight · r · (u − sums₀/n − x̂ · sums₁/n)`.
///
/// # Errors
/// When the shapes do not fit.
pub fn record(
    recording: &mut Recording,
    eps: f32,
    [x, stats, u, sums, affine]: [&Tensor; 5],
    out: &Tensor,
) -> Result<()> {
    batch_norm::expect_rows("batch_norm_project: stats", stats, x)?;
    batch_norm::expect_rows("batch_norm_project: sums", sums, x)?;
    batch_norm::expect_rows("batch_norm_project: affine", affine, x)?;
    u.expect("batch_norm_project: u, as x", x.shape.sizes())?;
    out.expect("batch_norm_project: out, as x", x.shape.sizes())?;
    // Two tensors read and one written; five operations a value.
    batch_norm::pass(recording, &SHADER, eps, x, &[x, stats, u, sums, affine, out], [5, 3])
}

/// The twin.
pub fn reference(eps: f32, x: &Array, stats: &Array, u: &Array, sums: &Array, affine: &Array) -> Array {
    let (c, n) = (x.shape.last(), x.shape.rows() as f64);
    let r = Form::normalise(eps).scales(stats);
    Array::from_fn(x.sizes(), |i| {
        let k = i % c;
        let normalised = (x.data[i] - stats.data[k]) * r[k];
        affine.data[c + k] * r[k] * (u.data[i] - sums.data[k] / n - normalised * sums.data[c + k] / n)
    })
}

/// A handful of roundings of values of order one to ten times r: 1e-6 relative to the largest. Statistics and sums are
/// given in float32 to both sides. With one row the derivative is zero (r · cancellation), so that case is left out.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, (name, x)) in batch_norm::inputs().into_iter().enumerate().skip(1) {
        let round = |v: f64| f64::from(v as f32);
        let stats = batch_norm_stats::reference(&x).map(round);
        let u = Array::normal(x.sizes(), 1.0, 80 + i as u64);
        let affine = Array::normal(&[2, x.shape.last()], 1.0, 90 + i as u64);
        let sums = batch_norm_sums::reference(Form::normalise(1e-5), &x, &stats, &u).map(round);
        let expected = reference(1e-5, &x, &stats, &u, &sums, &affine);
        let inputs = vec![x, stats, u, sums, affine];
        cases.push(Case::new(name, inputs, expected, Tolerance::largest(1e-6), |r, i, o, _| {
            record(r, 1e-5, [&i[0], &i[1], &i[2], &i[3], &i[4]], &o[0])
        }));
    }
    cases
}
