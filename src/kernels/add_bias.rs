//! A bias added to every row. Shapes: `x (…, C)`, `bias (C)` → `out (…, C)`.

use super::columns::{Columns, PASSES};
use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `add_bias.wgsl`.
    pub struct Params {
        /// Rows of `x`.
        pub rows: u32,
        /// Vec4 values a row.
        pub quads: u32,
        /// Columns of vec4 a group, a power of two.
        pub tile: u32,
        /// Rows a group.
        pub slab: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "add_bias",
    source: include_str!("../../shaders/pointwise/add_bias.wgsl"),
    shared: &[shared::WHOLE_ROWS],
    params: size_of::<Params>(),
    bindings: &[read("x"), read("bias"), write("out")],
    variants: PASSES,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out = x + bias`.
///
/// # Errors
/// When `bias` is not `(C)` or `out` has another shape than `x`.
pub fn record(recording: &mut Recording, x: &Tensor, bias: &Tensor, out: &Tensor) -> Result<()> {
    bias.expect("add_bias: bias (C)", &[x.shape.last()])?;
    out.expect("add_bias: out, as x", x.shape.sizes())?;
    let c = Columns::of(&x.shape);
    let [width, loads] = ["WIDTH", "LOADS"].map(|name| recording.variant(&SHADER).constant(name));
    let (tile, slab) = (c.tile(width), c.stretch(width, loads));
    let p = Params { rows: c.rows as u32, quads: c.quads as u32, tile: tile as u32, slab: slab as u32 };
    let (variant, sets) = c.fit(&recording.variants, &SHADER, tile, slab);
    let groups = c.grid(tile * sets, c.rows.div_ceil(slab), 1);
    recording.dispatch_variant(&SHADER, variant, p, &[x, bias, out], groups, cost(p))
}

/// The least work: read and write every value once; one addition each.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.rows) * u64::from(p.quads);
    Cost { operations: values, bytes: 8 * values + 16 * u64::from(p.quads) }
}

/// The twin.
pub fn reference(x: &Array, bias: &Array) -> Array {
    let c = x.shape.last();
    Array::from_fn(x.sizes(), |i| x.data[i] + bias.data[i % c])
}

/// One row, odd columns, more columns than a tile, more rows than a group, a real layer. One addition rounds once: 2⁻²⁴ relative.
fn cases() -> Vec<Case> {
    let sizes: [&[usize]; 7] = [&[1, 5], &[67, 3], &[9, 261], &[2, 3, 2, 5], &[2, 32, 32, 16], &[67, 64], &[130, 384]];
    sizes
        .into_iter()
        .enumerate()
        .map(|(i, s)| {
            let x = Array::normal(s, 1.0, i as u64);
            let bias = Array::normal(&[x.shape.last()], 1.0, 50 + i as u64);
            let expected = reference(&x, &bias);
            Case::new(format!("{}", x.shape), vec![x, bias], expected, Tolerance::element(6e-8, 0.0), |r, i, o, _| {
                record(r, &i[0], &i[1], &o[0])
            })
        })
        .collect()
}
