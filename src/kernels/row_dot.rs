//! Inner products of rows. Shapes: `a`, `b (R, N)` → `out (R)`.

use super::rows::{SUMS, WIDTHS, row_grid};
use super::softmax::SIZES;
use super::{Case, Kernel, params, shared};
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `row_dot.wgsl`.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// N.
        pub columns: u32,
        /// N padded.
        pub stride: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "row_dot",
    source: include_str!("../../shaders/loss/row_dot.wgsl"),
    shared: &[shared::REDUCE],
    params: size_of::<Params>(),
    bindings: &[read("a"), read("b"), write("out")],
    variants: WIDTHS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out[r] = Σ_n a[r, n]·b[r, n]`.
///
/// # Errors
/// When `a` is not a matrix or another shape does not fit it.
pub fn record(recording: &mut Recording, a: &Tensor, b: &Tensor, out: &Tensor) -> Result<()> {
    let [rows, columns] = a.matrix("row_dot: a")?;
    b.expect("row_dot: b, as a", &[rows, columns])?;
    out.expect("row_dot: out (R)", &[rows])?;
    let p = Params { rows: rows as u32, columns: columns as u32, stride: a.shape.stride() as u32 };
    recording.dispatch(&SHADER, p, &[a, b, out], row_grid(rows), cost(p))
}

/// The least work: read two values, one product and one sum.
pub fn cost(p: Params) -> Cost {
    let values = u64::from(p.rows) * u64::from(p.columns);
    Cost { operations: 2 * values, bytes: 8 * values + 4 * u64::from(p.rows) }
}

/// The twin.
pub fn reference(a: &Array, b: &Array) -> Array {
    let n = a.shape.last();
    Array::from_fn(&[a.shape.rows()], |r| (r * n..(r + 1) * n).map(|i| a.data[i] * b.data[i]).sum())
}

fn cases() -> Vec<Case> {
    SIZES
        .into_iter()
        .enumerate()
        .map(|(i, sizes)| {
            let a = Array::normal(&sizes, 1.0, 3 + i as u64);
            let b = Array::normal(&sizes, 1.0, 30 + i as u64);
            let expected = reference(&a, &b);
            Case::new(format!("{}", a.shape), vec![a, b], expected, SUMS, |r, i, o, _| record(r, &i[0], &i[1], &o[0]))
        })
        .collect()
}
