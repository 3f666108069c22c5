//! What the kernels of optimal transport share: the tensors of a window of scores, and the float64 twins' exponents.

use crate::base::{Array, Error, Result};
use crate::gpu::Tensor;

/// A window of logits with what belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// `(W, K)`, without the bias.
    pub logits: &'a Tensor,
    /// `(K)`.
    pub bias: &'a Tensor,
    /// `(W, 4)`, [`super::score_rows`]'s answer.
    pub rows: &'a Tensor,
    /// Rows in use, from the first.
    pub used: usize,
    /// λ.
    pub power: f32,
}

impl Window<'_> {
    /// `[W, K]` after checking the shapes, with the clusters' table `(4, K)`.
    ///
    /// # Errors
    /// When they do not fit together; `what` names the kernel.
    pub fn check(&self, what: &str, clusters: &Tensor) -> Result<[usize; 2]> {
        let [window, columns] = self.logits.matrix(&format!("{what}: logits"))?;
        self.bias.expect(&format!("{what}: bias (K)"), &[columns])?;
        self.rows.expect(&format!("{what}: rows (W, 4)"), &[window, 4])?;
        clusters.expect(&format!("{what}: clusters (4, K)"), &[4, columns])?;
        if self.used == 0 || self.used > window {
            return Err(Error::Shape(format!("{what}: {} rows in use of a window of {window}", self.used)));
        }
        Ok([window, columns])
    }

    /// Vec4 a row of logits.
    pub fn quads(&self) -> u32 {
        (self.logits.shape.stride() / 4) as u32
    }

    /// Scores in use.
    pub fn scores(&self) -> u64 {
        self.used as u64 * self.logits.shape.last() as u64
    }
}

/// λ · (logits + bias − the row's largest), `(used, K)`, in float64; clusters' scaling added when given.
pub fn exponents(logits: &Array, bias: &Array, rows: &Array, power: f64, scaling: Option<&[f64]>) -> Array {
    let k = logits.shape.last();
    Array::from_fn(logits.sizes(), |i| {
        let score = (power * (logits.data[i] + bias.data[i % k] - rows.data[i / k * 4])).max(-1e12);
        score + scaling.map_or(0.0, |v| v[i % k])
    })
}

/// Row `place` of a clusters' table.
pub fn scaling(clusters: &Array, place: usize) -> &[f64] {
    let k = clusters.shape.last();
    &clusters.data[place * k..(place + 1) * k]
}

/// Each row's exponents as `(log share)`: minus the row's log-sum-exp.
pub fn log_shares(exponents: &Array) -> Array {
    super::rows::log_softmax_rows(exponents, 1.0)
}

/// Inputs of a test case: logits of deviation `spread`, a bias, the rows' statistics, a clusters' table.
pub(super) fn inputs(sizes: [usize; 2], spread: f64, seed: u64) -> Vec<Array> {
    let logits = Array::normal(&sizes, spread, seed);
    let bias = Array::normal(&sizes[1..], 0.5 * spread, seed + 1);
    let rows = super::score_rows::reference(&logits, &bias).map(|v| f64::from(v as f32));
    let clusters = Array::normal(&[4, sizes[1]], 3.0, seed + 2);
    vec![logits, bias, rows, clusters]
}
