//! The gradient in the input of training-mode batch normalisation with a rectified linear unit after it.
//! Shapes: `x, u (…, C)`, `stats, sums, affine (2, C)` → `out (…, C)`. Source: Ioffe and Szegedy, 2015, section 3.

use super::batch_norm::{self, Masked};
use super::columns::PASSES;
use super::{Case, Kernel, batch_norm_project, batch_norm_relu_sums, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Recording, Shader, Tensor, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "batch_norm_relu_project",
    source: include_str!("../../shaders/norm/batch_norm_relu_project.wgsl"),
    shared: &[shared::WHOLE_ROWS],
    params: size_of::<batch_norm::Params>(),
    bindings: &[read("x"), read("stats"), read("u"), read("sums"), read("affine"), write("out")],
    variants: PASSES,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: batch_norm::FIELDS, cases };

/// Records `out = weight · r · (m − sums₀/n − x̂ · sums₁/n)` with `m = u where weight · x̂ + bias > 0, else 0`.
///
/// # Errors
/// When the shapes do not fit.
pub fn record(
    recording: &mut Recording,
    eps: f32,
    [x, stats, u, sums, affine]: [&Tensor; 5],
    out: &Tensor,
) -> Result<()> {
    batch_norm::expect_rows("batch_norm_relu_project: stats", stats, x)?;
    batch_norm::expect_rows("batch_norm_relu_project: sums", sums, x)?;
    batch_norm::expect_rows("batch_norm_relu_project: affine", affine, x)?;
    u.expect("batch_norm_relu_project: u, as x", x.shape.sizes())?;
    out.expect("batch_norm_relu_project: out, as x", x.shape.sizes())?;
    // Two tensors read and one written; eight operations a value.
    batch_norm::pass(recording, &SHADER, eps, x, &[x, stats, u, sums, affine, out], [8, 3])
}

/// The twin.
pub fn reference(eps: f32, x: &Array, stats: &Array, u: &Array, sums: &Array, affine: &Array) -> Array {
    let passed = batch_norm::passed(eps, x, stats, affine, u);
    batch_norm_project::reference(eps, x, stats, &passed, sums, affine)
}

/// As `batch_norm_project`: 1e-6 relative to the largest; one row is left out there as here. Values at the unit's kink
/// are moved off it, where float32 and float64 may decide differently.
fn cases() -> Vec<Case> {
    let one = |(i, name, m): (usize, String, Masked)| {
        let u = Array::normal(m.x.sizes(), 1.0, 80 + i as u64);
        let sums = batch_norm_relu_sums::reference(1e-5, &m.x, &m.stats, &m.affine, &u);
        let sums = sums.map(|v| f64::from(v as f32));
        let expected = reference(1e-5, &m.x, &m.stats, &u, &sums, &m.affine);
        let inputs = vec![m.x, m.stats, u, sums, m.affine];
        Case::new(name, inputs, expected, Tolerance::largest(1e-6), |r, i, o, _| {
            record(r, 1e-5, [&i[0], &i[1], &i[2], &i[3], &i[4]], &o[0])
        })
    };
    batch_norm::masked_inputs(1e-5).into_iter().skip(1).map(one).collect()
}
