//! Index of each row's first maximum. Shapes: `x (R, N)` → `out (R)`, unsigned.

use super::rows::{WIDTHS, row_grid};
use super::softmax::SIZES;
use super::{Case, Kernel, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, DType, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `argmax.wgsl`.
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
    name: "argmax",
    source: include_str!("../../shaders/counter/argmax.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("x"), write("out")],
    variants: WIDTHS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records the index of each row's first maximum.
///
/// # Errors
/// When `x` is not a matrix or `out` has another length.
pub fn record(recording: &mut Recording, x: &Tensor, out: &Tensor) -> Result<()> {
    let [rows, columns] = x.matrix("argmax: x")?;
    out.expect("argmax: out (R)", &[rows])?;
    let p = Params { rows: rows as u32, columns: columns as u32, stride: x.shape.stride() as u32 };
    recording.dispatch(&SHADER, p, &[x, out], row_grid(rows), cost(p))
}

/// The least work: read and compare each value once.
pub fn cost(p: Params) -> Cost {
    let values = u64::from(p.rows) * u64::from(p.columns);
    Cost { operations: values, bytes: 4 * (values + u64::from(p.rows)) }
}

/// The twin.
pub fn reference(x: &Array) -> Array {
    let n = x.shape.last();
    Array::from_fn(&[x.shape.rows()], |r| {
        let row = &x.data[r * n..(r + 1) * n];
        (1..n).fold(0, |best, i| if row[i] > row[best] { i } else { best }) as f64
    })
}

/// Random values, and small integers so that most rows hold their maximum several times.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, sizes) in SIZES.into_iter().enumerate() {
        let random = Array::normal(&sizes, 1.0, 3 + i as u64).map(|v| v - 10.0);
        let ties = Array::integers(&sizes, 3, 30 + i as u64).map(|v| -v);
        for (kind, x) in [("negative", random), ("ties", ties)] {
            let expected = reference(&x);
            let mut case =
                Case::new(format!("{kind} {}", x.shape), vec![x], expected, Tolerance::EXACT, |r, i, o, _| {
                    record(r, &i[0], &o[0])
                });
            case.outputs[0].dtype = DType::U32;
            cases.push(case);
        }
    }
    cases
}
