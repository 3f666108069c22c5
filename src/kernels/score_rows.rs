//! Maximum and log-sum-exp of each row of logits. Shapes: `logits (W, K)`, `bias (K)` → `out (W, 4)`.

use super::rows::{WIDTHS, by_subgroups, row_grid};
use super::softmax::SIZES;
use super::{Case, Kernel, params, score_rows_subgroup, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Error, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `score_rows.wgsl`.
    pub struct Params {
        /// W, those in use.
        pub rows: u32,
        /// K.
        pub columns: u32,
        /// K padded.
        pub stride: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "score_rows",
    source: include_str!("../../shaders/assign/score_rows.wgsl"),
    shared: &[shared::REDUCE],
    params: size_of::<Params>(),
    bindings: &[read("logits"), read("bias"), write("out")],
    variants: WIDTHS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out[i] = (max, log Σ exp(logit − max), 0, 0)` of the first `used` rows of `logits + bias`.
///
/// # Errors
/// When the shapes do not fit together.
pub fn record(recording: &mut Recording, logits: &Tensor, bias: &Tensor, used: usize, out: &Tensor) -> Result<()> {
    let [window, columns] = logits.matrix("score_rows: logits")?;
    bias.expect("score_rows: bias (K)", &[columns])?;
    out.expect("score_rows: out (W, 4)", &[window, 4])?;
    if used == 0 || used > window {
        return Err(Error::Shape(format!("score_rows: {used} rows in use of a window of {window}")));
    }
    let p = Params { rows: used as u32, columns: columns as u32, stride: logits.shape.stride() as u32 };
    let tensors = [logits, bias, out];
    let wide = &score_rows_subgroup::SHADER;
    match by_subgroups(recording, wide, used, columns) {
        Some((variant, grid)) => recording.dispatch_variant(wide, variant, p, &tensors, grid, cost(p)),
        None => recording.dispatch(&SHADER, p, &tensors, row_grid(used), cost(p)),
    }
}

/// The least work: each logit read once, one exponential (counted as one operation) and three more.
pub fn cost(p: Params) -> Cost {
    let values = u64::from(p.rows) * u64::from(p.columns);
    Cost { operations: 4 * values, bytes: 4 * (values + 4 * u64::from(p.rows)) }
}

/// The twin.
pub fn reference(logits: &Array, bias: &Array) -> Array {
    let k = logits.shape.last();
    let mut out = Array::zeros(&[logits.sizes()[0], 4]);
    for (row, place) in logits.data.chunks_exact(k).zip(out.data.chunks_exact_mut(4)) {
        let z: Vec<f64> = row.iter().zip(&bias.data).map(|(a, b)| a + b).collect();
        place[0] = z.iter().copied().fold(f64::MIN, f64::max);
        place[1] = z.iter().map(|v| (v - place[0]).exp()).sum::<f64>().ln();
    }
    out
}

/// Softmax's sizes. A sum of exponentials errs by 1e-5 of it ([`super::rows::EXPONENTIAL`]), its logarithm by as much
/// absolutely; logits near 100 round by 8e-6.
pub(super) fn cases() -> Vec<Case> {
    let case = |(i, sizes): (usize, [usize; 2])| {
        let logits = Array::normal(&sizes, 2.0, i as u64).map(|v| f64::from((v + 100.0) as f32));
        let bias = Array::normal(&sizes[1..], 1.0, 50 + i as u64);
        let expected = reference(&logits, &bias);
        let used = sizes[0];
        let tolerance = Tolerance::element(1e-6, 3e-5);
        Case::new(format!("{}", logits.shape), vec![logits, bias], expected, tolerance, move |r, i, o, _| {
            record(r, &i[0], &i[1], used, &o[0])
        })
    };
    // More rows than a workgroup goes through, and columns around what its lanes hold at once.
    SIZES.into_iter().chain([[133, 10], [3, 128], [9, 129]]).enumerate().map(case).collect()
}
