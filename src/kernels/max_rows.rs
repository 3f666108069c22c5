//! Largest value of each column. Shapes: `x (rows, C)` → `out (1, C)`.

use super::{Case, Kernel, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::recording::grid;
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `max_rows.wgsl`.
    pub struct Params {
        /// Rows, at least one.
        pub rows: u32,
        /// Vec4 values a row.
        pub quads: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "max_rows",
    source: include_str!("../../shaders/reduce/max_rows.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("x"), write("out")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out[0, c] = max x[row, c]` over the rows.
///
/// # Errors
/// When `x` is no matrix or `out` is not `(1, C)`.
pub fn record(recording: &mut Recording, x: &Tensor, out: &Tensor) -> Result<()> {
    let [rows, columns] = x.matrix("max_rows: x")?;
    out.expect("max_rows: out (1, C)", &[1, columns])?;
    let p = Params { rows: rows as u32, quads: (x.shape.stride() / 4) as u32 };
    let width = recording.variant(&SHADER).constant("WIDTH");
    recording.dispatch(&SHADER, p, &[x, out], grid(p.quads as usize, width), cost(p))
}

/// The least work: every value read and compared once.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.rows) * u64::from(p.quads);
    Cost { operations: values, bytes: 4 * values }
}

/// The twin.
pub fn reference(x: &Array) -> Array {
    let columns = x.shape.last();
    let column = |c: usize| x.data.iter().skip(c).step_by(columns).copied().fold(f64::NEG_INFINITY, f64::max);
    Array::from_fn(&[1, columns], column)
}

/// One row, columns off the multiples of four and around a workgroup's; all values far below zero, so that pads show.
fn cases() -> Vec<Case> {
    [[1, 5], [3, 4], [37, 3], [130, 257], [1025, 6]]
        .into_iter()
        .map(|[rows, columns]| {
            let x = Array::normal(&[rows, columns], 3.0, rows as u64).map(|v| f64::from((v - 100.0) as f32));
            let expected = reference(&x);
            let name = format!("{rows} x {columns}");
            Case::new(name, vec![x], expected, Tolerance::EXACT, |r, i, o, _| record(r, &i[0], &o[0]))
        })
        .collect()
}
