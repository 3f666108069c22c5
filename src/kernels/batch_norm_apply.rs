//! Batch normalisation with given statistics, and the diagonal maps of the same pieces.
//! Shapes: `x (…, C)`, `stats (2, C)`, `affine (2, C)` → `out (…, C)`. Source: Ioffe and Szegedy, 2015, algorithm 1.

use super::batch_norm::{self, Form};
use super::columns::{Columns, PASSES};
use super::{Case, Kernel, batch_norm_stats, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `batch_norm_apply.wgsl`.
    pub struct Params {
        /// Rows of `x`.
        pub rows: u32,
        /// Vec4 values a row.
        pub quads: u32,
        /// Columns of vec4 a group, a power of two.
        pub tile: u32,
        /// Rows a group.
        pub slab: u32,
        /// 1: divide by the deviation.
        pub scaled: u32,
        /// 1: subtract the mean, else 0.
        pub centre: f32,
        /// Added to the variance.
        pub eps: f32,
        /// Factor of the bias.
        pub factor0: f32,
        /// Factor of the weight.
        pub factor1: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "batch_norm_apply",
    source: include_str!("../../shaders/norm/batch_norm_apply.wgsl"),
    shared: &[shared::WHOLE_ROWS],
    params: size_of::<Params>(),
    bindings: &[read("x"), read("stats"), read("affine"), write("out")],
    variants: PASSES,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out = f₀ bias + f₁ r weight (x − mean)` for a form `(eps, centre, [f₀, f₁])`.
///
/// # Errors
/// When the shapes do not fit.
pub fn record(recording: &mut Recording, form: Form, [x, stats, affine]: [&Tensor; 3], out: &Tensor) -> Result<()> {
    batch_norm::expect_rows("batch_norm_apply: stats", stats, x)?;
    batch_norm::expect_rows("batch_norm_apply: affine", affine, x)?;
    out.expect("batch_norm_apply: out, as x", x.shape.sizes())?;
    let c = Columns::of(&x.shape);
    let [width, loads] = ["WIDTH", "LOADS"].map(|name| recording.variant(&SHADER).constant(name));
    let (tile, slab) = (c.tile(width), c.stretch(width, loads));
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
    let (variant, sets) = c.fit(&recording.variants, &SHADER, tile, slab);
    let groups = c.grid(tile * sets, c.rows.div_ceil(slab), 1);
    recording.dispatch_variant(&SHADER, variant, p, &[x, stats, affine, out], groups, cost(p))
}

/// The least work: every value read and written once; one subtraction and one multiply-add each.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.rows) * u64::from(p.quads);
    Cost { operations: 3 * values, bytes: 8 * values }
}

/// The twin.
pub fn reference(form: Form, x: &Array, stats: &Array, affine: &Array) -> Array {
    let c = x.shape.last();
    let (scales, centres) = (form.scales(stats), form.centres(stats));
    let [f0, f1] = form.factors.map(f64::from);
    Array::from_fn(x.sizes(), |i| {
        let k = i % c;
        f0 * affine.data[k] + f1 * scales[k] * affine.data[c + k] * (x.data[i] - centres[k])
    })
}

/// A handful of roundings of values of order one to ten: 1e-6 relative to the largest. The statistics are given in
/// float32 to both sides; x − mean is then nearly exact even where the mean is a thousand deviations.
fn cases() -> Vec<Case> {
    let form = Form::normalise(1e-5);
    let forms = [form, Form { eps: None, factors: [0.25, 0.5], ..form }, Form { centre: false, ..form }];
    let mut cases = Vec::new();
    for (i, (name, x)) in batch_norm::inputs().into_iter().enumerate() {
        let stats = batch_norm_stats::reference(&x).map(|v| f64::from(v as f32));
        let affine = Array::normal(&[2, x.shape.last()], 1.0, 90 + i as u64);
        let form = if stats.data[0] > 50.0 { forms[0] } else { forms[i % 3] };
        let expected = reference(form, &x, &stats, &affine);
        cases.push(Case::new(
            format!("{name} {form:?}"),
            vec![x, stats, affine],
            expected,
            Tolerance::largest(1e-6),
            move |r, i, o, _| record(r, form, [&i[0], &i[1], &i[2]], &o[0]),
        ));
    }
    cases
}
