//! Per-channel sums of the part of `u` that passes the rectified linear unit after batch normalisation, plain and against
//! the normalised values. Shapes: `x, u (…, C)`, `stats, affine (2, C)` → `out (2, C)`.
//! Source: Ioffe and Szegedy, 2015, section 3.

use super::batch_norm::{self, Form, Masked};
use super::columns::{Columns, SUMS};
use super::{Case, Kernel, batch_norm_sums, shared, sum_rows};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Recording, Shader, Tensor, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "batch_norm_relu_sums",
    source: include_str!("../../shaders/norm/batch_norm_relu_sums.wgsl"),
    shared: &[shared::COLUMNS, shared::WHOLE_SUMS],
    params: size_of::<batch_norm::Params>(),
    bindings: &[read("x"), read("stats"), read("affine"), read("u"), write("out")],
    variants: SUMS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: batch_norm::FIELDS, cases };

/// Records `out = (Σ m, Σ m x̂)` with `m = u where weight · x̂ + bias > 0, else 0`. `partial` has the shape of
/// [`batch_norm_sums::scratch`].
///
/// # Errors
/// When the shapes do not fit.
pub fn record(
    recording: &mut Recording,
    eps: f32,
    [x, stats, affine, u]: [&Tensor; 4],
    partial: &Tensor,
    out: &Tensor,
) -> Result<()> {
    batch_norm::expect_rows("batch_norm_relu_sums: stats", stats, x)?;
    batch_norm::expect_rows("batch_norm_relu_sums: affine", affine, x)?;
    batch_norm::expect_rows("batch_norm_relu_sums: out", out, x)?;
    u.expect("batch_norm_relu_sums: u, as x", x.shape.sizes())?;
    partial.expect("batch_norm_relu_sums: partial", batch_norm_sums::scratch(&x.shape).sizes())?;
    let c = Columns::of(&x.shape);
    let width = recording.variant(&SHADER).constant("WIDTH");
    let [tile, slab, slabs] = c.sums(width);
    let (variant, sets) = c.fit(&recording.variants, &SHADER, tile, slab);
    let p =
        batch_norm::Params { rows: c.rows as u32, quads: c.quads as u32, tile: tile as u32, slab: slab as u32, eps };
    // Both tensors read once; two sums, one subtraction, two multiply-adds and one comparison a value.
    let cost = p.cost(7, 2);
    let first = if slabs == 1 { out } else { partial };
    recording.dispatch_variant_constant(
        &SHADER,
        variant,
        p,
        &[x, stats, affine, u, first],
        c.grid(tile * sets, slabs, 1),
        cost,
    )?;
    if slabs > 1 {
        sum_rows::fold(recording, partial, slabs, 2 * c.quads, 1.0, out)?;
    }
    Ok(())
}

/// The twin.
pub fn reference(eps: f32, x: &Array, stats: &Array, affine: &Array, u: &Array) -> Array {
    batch_norm_sums::reference(Form::normalise(eps), x, stats, &batch_norm::passed(eps, x, stats, affine, u))
}

/// As `batch_norm_sums`: 4e-6 relative to the largest. Values at the unit's kink are moved off it, where float32 and
/// float64 may decide differently.
fn cases() -> Vec<Case> {
    let one = |(i, name, m): (usize, String, Masked)| {
        let u = Array::normal(m.x.sizes(), 1.0, 80 + i as u64);
        let expected = reference(1e-5, &m.x, &m.stats, &m.affine, &u);
        let partial = batch_norm_sums::scratch(&m.x.shape);
        let inputs = vec![m.x, m.stats, m.affine, u];
        let case = Case::new(name, inputs, expected, Tolerance::largest(4e-6), |r, i, o, s| {
            record(r, 1e-5, [&i[0], &i[1], &i[2], &i[3]], &s[0], &o[0])
        });
        case.with_scratch(vec![partial])
    };
    batch_norm::masked_inputs(1e-5).into_iter().map(one).collect()
}
