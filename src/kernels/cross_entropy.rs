//! Softmax cross-entropy of each row. Shapes: `logits (R, N)`, `labels (B)` → `loss (R)`, `R = B·M`.

use super::rows::{EXPONENTIAL, WIDTHS, log_softmax_rows, row_grid};
use super::{Case, Kernel, params, shared};
use crate::base::labels::{IGNORED, check_views};
use crate::base::{Array, LabelRule, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `cross_entropy.wgsl`.
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
    name: "cross_entropy",
    source: include_str!("../../shaders/loss/cross_entropy.wgsl"),
    shared: &[shared::REDUCE],
    params: size_of::<Params>(),
    bindings: &[read("logits"), read("labels"), write("loss")],
    variants: WIDTHS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records the losses of all rows.
///
/// # Errors
/// When `logits` is not a matrix of `views` rows for each label, or `loss` has another length.
pub fn record(
    recording: &mut Recording,
    logits: &Tensor,
    labels: &Tensor,
    rule: LabelRule,
    views: usize,
    loss: &Tensor,
) -> Result<()> {
    let [rows, columns] = logits.matrix("cross_entropy: logits")?;
    check_views("cross_entropy", rows, labels.shape.elements(), views)?;
    loss.expect("cross_entropy: loss (R)", &[rows])?;
    let (class_scale, view_scale) = rule.scales(views);
    let p = Params {
        rows: rows as u32,
        columns: columns as u32,
        stride: logits.shape.stride() as u32,
        views: views as u32,
        class_scale,
        view_scale,
    };
    recording.dispatch(&SHADER, p, &[logits, labels, loss], row_grid(rows), cost(p))
}

/// The least work: read each logit once; maximum, difference, exponential and sum for each.
pub fn cost(p: Params) -> Cost {
    let values = u64::from(p.rows) * u64::from(p.columns);
    Cost { operations: 4 * values, bytes: 4 * (values + 2 * u64::from(p.rows)) }
}

/// The twin.
pub fn reference(logits: &Array, labels: &Array, rule: LabelRule, views: usize) -> Array {
    let logs = log_softmax_rows(logits, 1.0);
    let columns = logits.shape.last();
    Array::from_fn(&[logits.shape.rows()], |r| {
        rule.label(&labels.data, views, r).map_or(0.0, |label| -logs.data[r * columns + label])
    })
}

/// Sizes of the label-augmentation cases: `(B, M, N of one view)`; one row, odd widths, around a group's lanes, many
/// views, a real layer.
pub(super) const SIZES: [(usize, usize, usize); 7] =
    [(1, 1, 5), (3, 4, 10), (5, 6, 7), (2, 1, 257), (3, 2, 3), (4, 24, 11), (16, 4, 100)];

/// Labels of `images` images with one ignored when there are three or more.
pub(super) fn some_labels(images: usize, classes: usize, seed: u64) -> Array {
    let mut labels = Array::integers(&[images], classes as u32, seed);
    if images > 2 {
        labels.data[1] = f64::from(IGNORED);
    }
    labels
}

/// Number of columns that a rule needs.
pub(super) fn columns(rule: LabelRule, views: usize, classes: usize) -> usize {
    match rule {
        LabelRule::Joint => classes * views,
        LabelRule::Class => classes,
        LabelRule::View => views + 3,
    }
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
            let expected = reference(&logits, &labels, rule, views);
            let name = format!("{rule:?} {} of {views} views, scale {scale}", logits.shape);
            cases.push(
                Case::new(name, vec![logits, labels], expected, EXPONENTIAL, move |r, i, o, _| {
                    record(r, &i[0], &i[1], rule, views, &o[0])
                })
                .integer_input(1),
            );
        }
    }
    cases
}
