//! Each row divided by its Euclidean norm. Shapes: `x (R, N)` → `out (R, N)`.

use super::rows::{WIDTHS, row_grid};
use super::softmax::SIZES;
use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `normalize_rows.wgsl`.
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
    name: "normalize_rows",
    source: include_str!("../../shaders/search/normalize_rows.wgsl"),
    shared: &[shared::REDUCE],
    params: size_of::<Params>(),
    bindings: &[read("x"), write("out")],
    variants: WIDTHS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out[r] = x[r] / ‖x[r]‖`; a row of zeros stays zero.
///
/// # Errors
/// When `x` is not a matrix or `out` is not shaped like it.
pub fn record(recording: &mut Recording, x: &Tensor, out: &Tensor) -> Result<()> {
    let [rows, columns] = x.matrix("normalize_rows: x")?;
    out.expect("normalize_rows: out, as x", &[rows, columns])?;
    let p = Params { rows: rows as u32, columns: columns as u32, stride: x.shape.stride() as u32 };
    recording.dispatch(&SHADER, p, &[x, out], row_grid(rows), cost(p))
}

/// The least work: read and write each value once; a product, a sum and a quotient for each.
pub fn cost(p: Params) -> Cost {
    let values = u64::from(p.rows) * u64::from(p.columns);
    Cost { operations: 3 * values, bytes: 8 * values }
}

/// The twin.
pub fn reference(x: &Array) -> Array {
    let mut out = x.clone();
    for row in out.data.chunks_exact_mut(x.shape.last()) {
        let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        row.iter_mut().for_each(|v| *v = if norm > 1e-29 { *v / norm } else { 0.0 });
    }
    out
}

/// Of usual size, of sizes whose squares 32 bits cannot hold, and with rows of zeros. A sum of up to 1,030 squares errs
/// by far less than its length times half a unit; quotient, root and product add a few units in the last place.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, sizes) in SIZES.into_iter().enumerate() {
        for scale in [1.0, 1e25, 1e-22] {
            let x = Array::normal(&sizes, scale, 3 + i as u64);
            let x = Array::from_fn(&sizes, |at| if at / sizes[1] % 3 == 1 { 0.0 } else { x.data[at] });
            let expected = reference(&x);
            let tolerance = Tolerance::element(2e-6, 0.0);
            cases.push(Case::new(format!("{} scale {scale}", x.shape), vec![x], expected, tolerance, |r, i, o, _| {
                record(r, &i[0], &o[0])
            }));
        }
    }
    cases
}
