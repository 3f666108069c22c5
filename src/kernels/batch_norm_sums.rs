//! Per-channel sums of `u`, plain and against the normalised values: the transpose of `batch_norm_apply` in its affine
//! input. Shapes: `x, u (…, C)`, `stats (2, C)` → `out (2, C)`. Source: Ioffe and Szegedy, 2015, section 3.

use super::batch_norm::{self, Form};
use super::columns::{Columns, SUMS};
use super::{Case, Kernel, batch_norm_stats, params, shared, sum_rows};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result, Shape};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `batch_norm_sums.wgsl`.
    pub struct Params {
        /// Rows of `x`.
        pub rows: u32,
        /// Vec4 values a row.
        pub quads: u32,
        /// Columns of vec4 a group, a power of two.
        pub tile: u32,
        /// Rows a slab.
        pub slab: u32,
        /// 1: divide by the deviation.
        pub scaled: u32,
        /// 1: subtract the mean, else 0.
        pub centre: f32,
        /// Added to the variance.
        pub eps: f32,
        /// Factor of the plain sums.
        pub factor0: f32,
        /// Factor of the sums against the values.
        pub factor1: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "batch_norm_sums",
    source: include_str!("../../shaders/norm/batch_norm_sums.wgsl"),
    shared: &[shared::COLUMNS, shared::WHOLE_SUMS, shared::GRADIENT_SUMS],
    params: size_of::<Params>(),
    bindings: &[read("x"), read("stats"), read("u"), write("out")],
    variants: SUMS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// The shape of the slabs' sums that [`record`] needs.
pub fn scratch(x: &Shape) -> Shape {
    Shape::new(&[Columns::of(x).most_slabs(), 2, x.last()])
}

/// Records `out = (f₀ Σ u, f₁ r Σ u (x − mean))` for a form `(eps, centre, [f₀, f₁])`.
///
/// # Errors
/// When the shapes do not fit.
pub fn record(
    recording: &mut Recording,
    form: Form,
    [x, stats, u]: [&Tensor; 3],
    partial: &Tensor,
    out: &Tensor,
) -> Result<()> {
    batch_norm::expect_rows("batch_norm_sums: stats", stats, x)?;
    batch_norm::expect_rows("batch_norm_sums: out", out, x)?;
    u.expect("batch_norm_sums: u, as x", x.shape.sizes())?;
    partial.expect("batch_norm_sums: partial", scratch(&x.shape).sizes())?;
    let c = Columns::of(&x.shape);
    let width = recording.variant(&SHADER).constant("WIDTH");
    let [tile, slab, slabs] = c.sums(width);
    let (variant, sets) = c.fit(&recording.variants, &SHADER, tile, slab);
    let p = Params {
        rows: c.rows as u32,
        quads: c.quads as u32,
        tile: tile as u32,
        slab: slab as u32,
        scaled: u32::from(form.eps.is_some()),
        centre: f32::from(u8::from(form.centre)),
        eps: form.eps.unwrap_or(0.0),
        factor0: form.factors[0],
        factor1: form.factors[1],
    };
    let first = if slabs == 1 { out } else { partial };
    recording.dispatch_variant_constant(
        &SHADER,
        variant,
        p,
        &[x, stats, u, first],
        c.grid(tile * sets, slabs, 1),
        cost(p),
    )?;
    if slabs > 1 {
        sum_rows::fold(recording, partial, slabs, 2 * c.quads, 1.0, out)?;
    }
    Ok(())
}

/// The least work: both tensors read once; one addition, one subtraction and one multiply-add a value.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.rows) * u64::from(p.quads);
    Cost { operations: 4 * values, bytes: 8 * values }
}

/// The twin.
pub fn reference(form: Form, x: &Array, stats: &Array, u: &Array) -> Array {
    let c = x.shape.last();
    let (scales, centres) = (form.scales(stats), form.centres(stats));
    let [f0, f1] = form.factors.map(f64::from);
    let mut out = Array::zeros(&[2, c]);
    for (i, (x, u)) in x.data.iter().zip(&u.data).enumerate() {
        let k = i % c;
        out.data[k] += f0 * u;
        out.data[c + k] += f1 * scales[k] * u * (x - centres[k]);
    }
    out
}

/// Sums of n products of normal values in short runs and a tree err by a few √n·2⁻²⁴ where the sum is about √n: 4e-6
/// relative to the largest. The statistics are given in float32 to both sides, so the mean's rounding does not count.
fn cases() -> Vec<Case> {
    let form = Form::normalise(1e-5);
    let forms = [form, Form { eps: None, factors: [0.25, 0.5], ..form }, Form { centre: false, ..form }];
    let mut cases = Vec::new();
    for (i, (name, x)) in batch_norm::inputs().into_iter().enumerate() {
        let stats = batch_norm_stats::reference(&x).map(|v| f64::from(v as f32));
        let u = Array::normal(x.sizes(), 1.0, 80 + i as u64);
        let form = forms[i % 3];
        let form = if x.shape.rows() == 1 || stats.data[0] > 50.0 { forms[0] } else { form };
        let expected = reference(form, &x, &stats, &u);
        let partial = scratch(&x.shape);
        cases.push(
            Case::new(
                format!("{name} {form:?}"),
                vec![x, stats, u],
                expected,
                Tolerance::largest(4e-6),
                move |r, i, o, s| record(r, form, [&i[0], &i[1], &i[2]], &s[0], &o[0]),
            )
            .with_scratch(vec![partial]),
        );
    }
    cases
}
