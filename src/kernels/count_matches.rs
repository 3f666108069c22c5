//! Number of rows whose chosen index is their label. Shapes: `chosen (R)`, `labels (B)` → `out (1)`, `R = B·M`.

use super::cross_entropy::some_labels;
use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::labels::check_views;
use crate::base::{Array, LabelRule, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `count_matches.wgsl`.
    pub struct Params {
        /// R.
        pub rows: u32,
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
    name: "count_matches",
    source: include_str!("../../shaders/counter/count_matches.wgsl"),
    shared: &[shared::REDUCE],
    params: size_of::<Params>(),
    bindings: &[read("chosen"), read("labels"), write("out")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)]), Variant::base("256", &[("WIDTH", 256.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records the number of rows with `chosen[r]` equal to their label; ignored images are not counted.
///
/// # Errors
/// When `chosen` is not `views` rows for each label or `out` is not a scalar.
pub fn record(
    recording: &mut Recording,
    chosen: &Tensor,
    labels: &Tensor,
    rule: LabelRule,
    views: usize,
    out: &Tensor,
) -> Result<()> {
    let rows = chosen.shape.elements();
    check_views("count_matches", rows, labels.shape.elements(), views)?;
    out.expect("count_matches: out (1)", &[1])?;
    let (class_scale, view_scale) = rule.scales(views);
    let p = Params { rows: rows as u32, views: views as u32, class_scale, view_scale };
    recording.dispatch(&SHADER, p, &[chosen, labels, out], [1, 1, 1], cost(p))
}

/// The least work: read each index once.
pub fn cost(p: Params) -> Cost {
    Cost { operations: u64::from(p.rows), bytes: 4 * u64::from(p.rows + p.rows / p.views) }
}

/// The twin.
pub fn reference(chosen: &Array, labels: &Array, rule: LabelRule, views: usize) -> Array {
    let right = |r: usize| rule.label(&labels.data, views, r) == Some(chosen.data[r] as usize);
    Array::scalar((0..chosen.data.len()).filter(|&r| right(r)).count() as f64)
}

/// About every second row right, among them rows of an ignored image.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (images, views) in [(1, 1), (3, 4), (5, 6), (64, 2), (257, 1), (128, 24)] {
        for rule in [LabelRule::Joint, LabelRule::Class, LabelRule::View] {
            let labels = some_labels(images, 7, 5);
            let chosen = Array::from_fn(&[images * views], |r| match rule.label(&labels.data, views, r) {
                Some(label) if r % 2 == 0 => label as f64,
                Some(label) => label as f64 + 1.0,
                None => 0.0,
            });
            let expected = reference(&chosen, &labels, rule, views);
            let name = format!("{rule:?} {images} x {views}");
            cases.push(
                Case::new(name, vec![chosen, labels], expected, Tolerance::EXACT, move |r, i, o, _| {
                    record(r, &i[0], &i[1], rule, views, &o[0])
                })
                .integer_input(0)
                .integer_input(1),
            );
        }
    }
    cases
}
