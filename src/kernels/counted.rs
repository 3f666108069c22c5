//! Which rows have a label. Shapes: `labels (B)` → `out (B·M)`, 1 or 0.

use super::cross_entropy::some_labels;
use super::{Case, Kernel, params};
use crate::base::compare::Tolerance;
use crate::base::labels::check_views;
use crate::base::{Array, LabelRule, Result};
use crate::gpu::recording::grid;
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `counted.wgsl`.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// R padded.
        pub count: u32,
        /// M.
        pub views: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "counted",
    source: include_str!("../../shaders/loss/counted.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("labels"), write("out")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records 1 for each row whose image has a label, 0 for an ignored one.
///
/// # Errors
/// When `out` is not `views` rows for each label.
pub fn record(recording: &mut Recording, labels: &Tensor, views: usize, out: &Tensor) -> Result<()> {
    let rows = out.shape.elements();
    check_views("counted", rows, labels.shape.elements(), views)?;
    let count = out.shape.physical();
    let p = Params { rows: rows as u32, count: count as u32, views: views as u32 };
    let width = recording.variant(&SHADER).constant("WIDTH");
    recording.dispatch(&SHADER, p, &[labels, out], grid(count, width), cost(p))
}

/// The least work: write each row's flag, read each label.
pub fn cost(p: Params) -> Cost {
    Cost { operations: 0, bytes: 4 * u64::from(p.rows) + 4 * u64::from(p.rows / p.views) }
}

/// The twin.
pub fn reference(labels: &Array, views: usize) -> Array {
    Array::from_fn(&[labels.shape.elements() * views], |r| {
        f64::from(u8::from(LabelRule::Class.label(&labels.data, views, r).is_some()))
    })
}

/// One ignored image each; sizes around the padding and a group's width.
fn cases() -> Vec<Case> {
    [(3, 1), (3, 2), (5, 4), (16, 4), (11, 6), (33, 2)]
        .into_iter()
        .map(|(images, views)| {
            let labels = some_labels(images, 10, 5);
            let expected = reference(&labels, views);
            Case::new(format!("{images} x {views}"), vec![labels], expected, Tolerance::EXACT, move |r, i, o, _| {
                record(r, &i[0], views, &o[0])
            })
            .integer_input(0)
        })
        .collect()
}
