//! Derivatives of the focal loss of every class. Shapes: `logits`, `u (R, N)` → `out (R, N)`.

use super::focal::{FLOOR, GAMMAS, log_floored, probabilities};
use super::rows::{WIDTHS, row_grid};
use super::softmax::SIZES;
use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `focal_grad.wgsl`.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// N.
        pub columns: u32,
        /// N padded.
        pub stride: u32,
        /// γ.
        pub gamma: f32,
        /// The place of [`Mode`].
        pub mode: u32,
    }
}

/// Which way; with `w = p·f'(p)` and `⟨·,·⟩` a row's inner product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `w ⊙ u − ⟨w, u⟩·p`.
    Reverse,
    /// `w ⊙ (u − ⟨p, u⟩)`.
    Forward,
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "focal_grad",
    source: include_str!("../../shaders/loss/focal_grad.wgsl"),
    shared: &[shared::FOCAL, shared::REDUCE],
    params: size_of::<Params>(),
    bindings: &[read("logits"), read("u"), write("out")],
    variants: WIDTHS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records the derivative of [`super::focal`] by the logits, applied to `u`.
///
/// # Errors
/// When `logits` is not a matrix or another shape differs.
pub fn record(
    recording: &mut Recording,
    mode: Mode,
    logits: &Tensor,
    u: &Tensor,
    gamma: f32,
    out: &Tensor,
) -> Result<()> {
    let [rows, columns] = logits.matrix("focal_grad: logits")?;
    u.expect("focal_grad: u, as logits", &[rows, columns])?;
    out.expect("focal_grad: out, as logits", &[rows, columns])?;
    let stride = logits.shape.stride() as u32;
    let p = Params { rows: rows as u32, columns: columns as u32, stride, gamma, mode: mode as u32 };
    recording.dispatch(&SHADER, p, &[logits, u, out], row_grid(rows), cost(p))
}

/// The least work: read two values and write one; a softmax, a logarithm, a power and two products for each.
pub fn cost(p: Params) -> Cost {
    let values = u64::from(p.rows) * u64::from(p.columns);
    Cost { operations: 14 * values, bytes: 12 * values }
}

/// The twin.
pub fn reference(mode: Mode, logits: &Array, u: &Array, gamma: f64) -> Array {
    let mut out = u.clone();
    let columns = logits.shape.last();
    for (u, row) in out.data.chunks_exact_mut(columns).zip(logits.data.chunks_exact(columns)) {
        let p = probabilities(row);
        let slope: Vec<f64> = p.iter().map(|&(p, rest)| slope(p, rest, gamma)).collect();
        let sum: f64 = match mode {
            Mode::Reverse => u.iter().zip(&slope).map(|(u, w)| u * w).sum(),
            Mode::Forward => u.iter().zip(&p).map(|(u, (p, _))| u * p).sum(),
        };
        for ((u, w), (p, rest)) in u.iter_mut().zip(slope).zip(p) {
            *u = match mode {
                // w·u·(1 − p) − p·(the others' sum): no difference of nearly equal numbers where p is close to 1.
                Mode::Reverse => w * *u * rest - p * (sum - w * *u),
                Mode::Forward => w * (*u - sum),
            };
        }
    }
    out
}

/// `p·f'(p)`; its limit −p where nothing is left beside p.
fn slope(p: f64, rest: f64, gamma: f64) -> f64 {
    let ratio = if rest > 0.0 { log_floored((p, rest)) / rest } else { -1.0 };
    rest.powf(gamma) * (gamma * p * ratio - p / (p + FLOOR))
}

fn cases() -> Vec<Case> {
    // A slope is a few products of factors exact to 1e-5 (see EXPONENTIAL), times up to 46 where a logarithm is floored.
    let tolerance = Tolerance::largest(1e-5);
    let mut cases = Vec::new();
    for (i, sizes) in SIZES.into_iter().enumerate() {
        for gamma in GAMMAS {
            for (mode, offset) in
                [(Mode::Reverse, 0.0), (Mode::Forward, 0.0), (Mode::Reverse, 1e4), (Mode::Forward, 1e4)]
            {
                // Every other logit far below, and none within float32's range of 0.
                let far = |i: usize| if (i % sizes[1]).is_multiple_of(2) { offset } else { -offset };
                let plain = Array::normal(&sizes, 3.0, 3 + i as u64);
                let logits = Array::from_fn(&sizes, |i| f64::from((plain.data[i] + far(i)) as f32));
                let u = Array::normal(&sizes, 1.0, 30 + i as u64);
                let expected = reference(mode, &logits, &u, gamma);
                let name = format!("{mode:?} {}, gamma {gamma}, offset {offset}", logits.shape);
                cases.push(Case::new(name, vec![logits, u], expected, tolerance, move |r, i, o, _| {
                    record(r, mode, &i[0], &i[1], gamma as f32, &o[0])
                }));
            }
        }
    }
    cases
}
