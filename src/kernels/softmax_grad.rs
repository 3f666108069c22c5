//! Derivatives of softmax and log-softmax. Shapes: `p`, `u (R, N)` → `out (R, N)`.

use super::rows::{SUMS, WIDTHS, row_grid, softmax_rows};
use super::softmax::SIZES;
use super::{Case, Kernel, params, shared};
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `softmax_grad.wgsl`.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// N.
        pub columns: u32,
        /// N padded.
        pub stride: u32,
        /// The place of [`Mode`].
        pub mode: u32,
    }
}

/// Which derivative; `⟨·,·⟩` is a row's inner product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Softmax, both ways: `p ⊙ (u − ⟨p, u⟩)`.
    Softmax,
    /// Log-softmax in reverse: `u − p·Σu`.
    LogReverse,
    /// Log-softmax forward: `u − ⟨p, u⟩`.
    LogForward,
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "softmax_grad",
    source: include_str!("../../shaders/loss/softmax_grad.wgsl"),
    shared: &[shared::REDUCE],
    params: size_of::<Params>(),
    bindings: &[read("p"), read("u"), write("out")],
    variants: WIDTHS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records a derivative of the softmax `p` applied to `u`.
///
/// # Errors
/// When `p` is not a matrix or another shape differs.
pub fn record(recording: &mut Recording, mode: Mode, p: &Tensor, u: &Tensor, out: &Tensor) -> Result<()> {
    let [rows, columns] = p.matrix("softmax_grad: p")?;
    u.expect("softmax_grad: u, as p", &[rows, columns])?;
    out.expect("softmax_grad: out, as p", &[rows, columns])?;
    let stride = p.shape.stride() as u32;
    let params = Params { rows: rows as u32, columns: columns as u32, stride, mode: mode as u32 };
    recording.dispatch(&SHADER, params, &[p, u, out], row_grid(rows), cost(params))
}

/// The least work: read two values and write one; two sums of products, two differences and a
/// product for each.
pub fn cost(p: Params) -> Cost {
    let values = u64::from(p.rows) * u64::from(p.columns);
    Cost { operations: 7 * values, bytes: 12 * values }
}

/// The twin.
pub fn reference(mode: Mode, p: &Array, u: &Array) -> Array {
    let mut out = u.clone();
    let columns = p.shape.last();
    for (row, p) in out.data.chunks_exact_mut(columns).zip(p.data.chunks_exact(columns)) {
        let dot: f64 = row.iter().zip(p).map(|(u, p)| u * p).sum();
        let sum: f64 = row.iter().sum();
        for (u, p) in row.iter_mut().zip(p) {
            *u = match mode {
                Mode::Softmax => p * (*u - dot),
                Mode::LogReverse => *u - p * sum,
                Mode::LogForward => *u - dot,
            };
        }
    }
    out
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, sizes) in SIZES.into_iter().enumerate() {
        for mode in [Mode::Softmax, Mode::LogReverse, Mode::LogForward] {
            let p = softmax_rows(&Array::normal(&sizes, 2.0, 3 + i as u64), 1.0).map(|v| f64::from(v as f32));
            let u = Array::normal(&sizes, 1.0, 30 + i as u64);
            let expected = reference(mode, &p, &u);
            cases.push(Case::new(format!("{mode:?} {}", p.shape), vec![p, u], expected, SUMS, move |r, i, o, _| {
                record(r, mode, &i[0], &i[1], &o[0])
            }));
        }
    }
    // Nearly one-hot rows that sum to 1 to the last bit: the result is a millionth of what it is a difference of.
    let columns = 20;
    let p = Array::from_fn(&[6, columns], |i| {
        let small = 2f64.powi(-20);
        if i % columns == i / columns { 1.0 - (columns - 1) as f64 * small } else { small }
    });
    let u = Array::normal(&[6, columns], 3.0, 50).map(|v| f64::from((v + 10.0) as f32));
    let expected = reference(Mode::Softmax, &p, &u);
    cases.push(Case::new("nearly one-hot", vec![p, u], expected, SUMS, |r, i, o, _| {
        record(r, Mode::Softmax, &i[0], &i[1], &o[0])
    }));
    cases
}
