//! Gradient of the softmax cross-entropy, weighted by row. Shapes: `logits (R, N)`, `labels (B)`, `weights (R)` →
//! `grad (R, N)`, `R = B·M`.

use super::cross_entropy::{SIZES, columns, some_labels};
use super::rows::{EXPONENTIAL, WIDTHS, row_grid, softmax_rows};
use super::{Case, Kernel, params, shared};
use crate::base::labels::check_views;
use crate::base::{Array, LabelRule, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `cross_entropy_grad.wgsl`.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// N.
        pub columns: u32,
        /// N padded.
        pub stride: u32,
        /// M.
        pub views: u32,
        /// What an image's class adds to a row's label.
        pub class_scale: u32,
        /// What a row's view adds to its label.
        pub view_scale: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "cross_entropy_grad",
    source: include_str!("../../shaders/loss/cross_entropy_grad.wgsl"),
    shared: &[shared::REDUCE],
    params: size_of::<Params>(),
    bindings: &[read("logits"), read("labels"), read("weights"), write("grad")],
    variants: WIDTHS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records the gradient by the logits.
///
/// # Errors
/// When `logits` is not a matrix of `views` rows for each label, or `weights` or `grad` does not fit it.
pub fn record(
    recording: &mut Recording,
    logits: &Tensor,
    labels: &Tensor,
    weights: &Tensor,
    rule: LabelRule,
    views: usize,
    grad: &Tensor,
) -> Result<()> {
    let [rows, columns] = logits.matrix("cross_entropy_grad: logits")?;
    check_views("cross_entropy_grad", rows, labels.shape.elements(), views)?;
    weights.expect("cross_entropy_grad: weights (R)", &[rows])?;
    grad.expect("cross_entropy_grad: grad, as logits", &[rows, columns])?;
    let (class_scale, view_scale) = rule.scales(views);
    let p = Params {
        rows: rows as u32,
        columns: columns as u32,
        stride: logits.shape.stride() as u32,
        views: views as u32,
        class_scale,
        view_scale,
    };
    recording.dispatch(&SHADER, p, &[logits, labels, weights, grad], row_grid(rows), cost(p))
}

/// The least work: read each logit and write its gradient once; maximum, difference, exponential, sum, division and
/// weight for each.
pub fn cost(p: Params) -> Cost {
    let values = u64::from(p.rows) * u64::from(p.columns);
    Cost { operations: 6 * values, bytes: 4 * (2 * values + 2 * u64::from(p.rows)) }
}

/// The twin.
pub fn reference(logits: &Array, labels: &Array, weights: &Array, rule: LabelRule, views: usize) -> Array {
    let mut out = softmax_rows(logits, 1.0);
    for (r, row) in out.data.chunks_exact_mut(logits.shape.last()).enumerate() {
        let weight = match rule.label(&labels.data, views, r) {
            Some(label) => {
                row[label] -= 1.0;
                weights.data[r]
            }
            None => 0.0,
        };
        row.iter_mut().for_each(|v| *v *= weight);
    }
    out
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, (images, views, classes)) in SIZES.into_iter().enumerate() {
        for rule in [LabelRule::Joint, LabelRule::Class, LabelRule::View] {
            // One size with logits as large as a diverging network makes them.
            let scale = if i == 4 { 1e4 } else { 3.0 };
            let n = columns(rule, views, classes);
            let logits = Array::normal(&[images * views, n], scale, 20 + i as u64);
            let labels = some_labels(images, classes, 40 + i as u64);
            let weights = Array::normal(&[images * views], 1.0, 60 + i as u64);
            let expected = reference(&logits, &labels, &weights, rule, views);
            let name = format!("{rule:?} {} of {views} views, scale {scale}", logits.shape);
            cases.push(
                Case::new(name, vec![logits, labels, weights], expected, EXPONENTIAL, move |r, i, o, _| {
                    record(r, &i[0], &i[1], &i[2], rule, views, &o[0])
                })
                .integer_input(1),
            );
        }
    }
    cases
}
