//! Focal loss of every class of a row's softmax. Shapes: `logits (R, N)` → `out (R, N)`.

use super::rows::{EXPONENTIAL, WIDTHS, row_grid};
use super::softmax::SIZES;
use super::{Case, Kernel, params, shared};
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `focal.wgsl`.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// N.
        pub columns: u32,
        /// N padded.
        pub stride: u32,
        /// γ.
        pub gamma: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "focal",
    source: include_str!("../../shaders/loss/focal.wgsl"),
    shared: &[shared::FOCAL, shared::REDUCE],
    params: size_of::<Params>(),
    bindings: &[read("logits"), write("out")],
    variants: WIDTHS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// What the official code adds inside the logarithm.
pub const FLOOR: f64 = 1e-20;

/// Records `out = −(1 − p)^γ·log(p + 1e-20)`, `p = softmax(logits)`.
///
/// # Errors
/// When `logits` is not a matrix or `out` has another shape.
pub fn record(recording: &mut Recording, logits: &Tensor, gamma: f32, out: &Tensor) -> Result<()> {
    let [rows, columns] = logits.matrix("focal: logits")?;
    out.expect("focal: out, as logits", &[rows, columns])?;
    let p = Params { rows: rows as u32, columns: columns as u32, stride: logits.shape.stride() as u32, gamma };
    recording.dispatch(&SHADER, p, &[logits, out], row_grid(rows), cost(p))
}

/// The least work: read and write each value once; a softmax, a logarithm and a power for each.
pub fn cost(p: Params) -> Cost {
    let values = u64::from(p.rows) * u64::from(p.columns);
    Cost { operations: 8 * values, bytes: 8 * values }
}

/// `(p, 1 − p)` of each logit of a row, the second without a difference from 1.
pub(super) fn probabilities(row: &[f64]) -> Vec<(f64, f64)> {
    let highest = row.iter().copied().fold(f64::MIN, f64::max);
    let e: Vec<f64> = row.iter().map(|v| (v - highest).exp()).collect();
    let total: f64 = e.iter().sum();
    let others = |n: usize| e[..n].iter().sum::<f64>() + e[n + 1..].iter().sum::<f64>();
    (0..row.len()).map(|n| (e[n] / total, others(n) / total)).collect()
}

/// `log(p + 1e-20)`, exact also where p is close to 1.
pub(super) fn log_floored((p, rest): (f64, f64)) -> f64 {
    if p > 0.5 { (-rest).ln_1p() } else { (p + FLOOR).ln() }
}

/// The twin.
pub fn reference(logits: &Array, gamma: f64) -> Array {
    let rows = logits.data.chunks_exact(logits.shape.last());
    let value = |(p, rest): (f64, f64)| -rest.powf(gamma) * log_floored((p, rest));
    let data = rows.flat_map(|row| probabilities(row).into_iter().map(value).collect::<Vec<_>>()).collect();
    Array::new(logits.sizes(), data)
}

/// γ of the cases: cross-entropy, a root, the paper's, another.
pub(super) const GAMMAS: [f64; 4] = [0.0, 0.5, 2.0, 3.5];

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, sizes) in SIZES.into_iter().enumerate() {
        for gamma in GAMMAS {
            for scale in [3.0, 1e4] {
                let logits = Array::normal(&sizes, scale, 3 + i as u64);
                let expected = reference(&logits, gamma);
                let name = format!("{}, gamma {gamma}, scale {scale}", logits.shape);
                cases.push(Case::new(name, vec![logits], expected, EXPONENTIAL, move |r, i, o, _| {
                    record(r, &i[0], gamma as f32, &o[0])
                }));
            }
        }
    }
    cases
}
