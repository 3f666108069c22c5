//! Softmax and log-softmax over the columns. Shapes: `x (R, N)` → `out (R, N)`.

use super::rows::{EXPONENTIAL, WIDTHS, log_softmax_rows, row_grid, softmax_rows};
use super::{Case, Kernel, params, shared};
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `softmax.wgsl`.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// N.
        pub columns: u32,
        /// N padded.
        pub stride: u32,
        /// 0 softmax, 1 log-softmax.
        pub mode: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "softmax",
    source: include_str!("../../shaders/loss/softmax.wgsl"),
    shared: &[shared::REDUCE],
    params: size_of::<Params>(),
    bindings: &[read("x"), write("out")],
    variants: WIDTHS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out = softmax(x)` or, with `logarithm`, `out = log softmax(x)`.
///
/// # Errors
/// When `x` is not a matrix or `out` has another shape.
pub fn record(recording: &mut Recording, x: &Tensor, logarithm: bool, out: &Tensor) -> Result<()> {
    let [rows, columns] = x.matrix("softmax: x")?;
    out.expect("softmax: out, as x", &[rows, columns])?;
    let stride = x.shape.stride() as u32;
    let p = Params { rows: rows as u32, columns: columns as u32, stride, mode: u32::from(logarithm) };
    recording.dispatch(&SHADER, p, &[x, out], row_grid(rows), cost(p))
}

/// The least work: read and write each value once; maximum, difference, exponential, sum and division for each.
pub fn cost(p: Params) -> Cost {
    let values = u64::from(p.rows) * u64::from(p.columns);
    Cost { operations: 5 * values, bytes: 8 * values }
}

/// The twin.
pub fn reference(x: &Array, logarithm: bool) -> Array {
    if logarithm { log_softmax_rows(x, 1.0) } else { softmax_rows(x, 1.0) }
}

/// Row counts and widths for the kernels of this family: one row, odd widths, around a group's lanes, a real layer.
pub(super) const SIZES: [[usize; 2]; 7] = [[1, 5], [7, 10], [3, 63], [3, 65], [2, 257], [5, 1001], [64, 400]];

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, sizes) in SIZES.into_iter().enumerate() {
        for (logarithm, scale) in [(false, 3.0), (true, 3.0), (false, 1e4), (true, 1e4)] {
            let x = Array::normal(&sizes, scale, 3 + i as u64);
            let expected = reference(&x, logarithm);
            let name = format!("{} {} scale {scale}", if logarithm { "log" } else { "plain" }, x.shape);
            cases.push(Case::new(name, vec![x], expected, EXPONENTIAL, move |r, i, o, _| {
                record(r, &i[0], logarithm, &o[0])
            }));
        }
    }
    cases
}
