//! Gradient of the distillation loss by the student. Shapes: `student`, `teacher (B, N)`, `labels`, `weights (B)` →
//! `grad (B, N)`.

use super::cross_entropy::some_labels;
use super::distillation::SIZES;
use super::rows::{EXPONENTIAL, WIDTHS, row_grid, softmax_rows};
use super::{Case, Kernel, params, shared};
use crate::base::labels::check_views;
use crate::base::{Array, LabelRule, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `distillation_grad.wgsl`.
    pub struct Params {
        /// B.
        pub rows: u32,
        /// N.
        pub columns: u32,
        /// N padded.
        pub stride: u32,
        /// T.
        pub temperature: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "distillation_grad",
    source: include_str!("../../shaders/loss/distillation_grad.wgsl"),
    shared: &[shared::REDUCE],
    params: size_of::<Params>(),
    bindings: &[read("student"), read("teacher"), read("labels"), read("weights"), write("grad")],
    variants: WIDTHS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `weights·T·(softmax(student/T) − softmax(teacher/T))`, 0 where the label says "ignore".
///
/// # Errors
/// When the matrices differ or `labels` or `weights` has another length.
pub fn record(
    recording: &mut Recording,
    student: &Tensor,
    teacher: &Tensor,
    labels: &Tensor,
    weights: &Tensor,
    temperature: f32,
    grad: &Tensor,
) -> Result<()> {
    let [rows, columns] = student.matrix("distillation_grad: student")?;
    teacher.expect("distillation_grad: teacher, as student", &[rows, columns])?;
    check_views("distillation_grad", rows, labels.shape.elements(), 1)?;
    weights.expect("distillation_grad: weights (B)", &[rows])?;
    grad.expect("distillation_grad: grad, as student", &[rows, columns])?;
    let p = Params { rows: rows as u32, columns: columns as u32, stride: student.shape.stride() as u32, temperature };
    recording.dispatch(&SHADER, p, &[student, teacher, labels, weights, grad], row_grid(rows), cost(p))
}

/// The least work: read two values, write one; two exponentials with maximum, difference and sum each.
pub fn cost(p: Params) -> Cost {
    let values = u64::from(p.rows) * u64::from(p.columns);
    Cost { operations: 12 * values, bytes: 12 * values + 8 * u64::from(p.rows) }
}

/// The twin.
pub fn reference(student: &Array, teacher: &Array, labels: &Array, weights: &Array, temperature: f64) -> Array {
    let n = student.shape.last();
    let p = softmax_rows(student, 1.0 / temperature);
    let q = softmax_rows(teacher, 1.0 / temperature);
    Array::from_fn(student.sizes(), |i| {
        let weight = LabelRule::Class.label(&labels.data, 1, i / n).map_or(0.0, |_| weights.data[i / n]);
        weight * temperature * (p.data[i] - q.data[i])
    })
}

/// A difference of two probabilities cancels: relative to the largest as well (through the absolute part, 2e-6).
fn cases() -> Vec<Case> {
    SIZES
        .into_iter()
        .enumerate()
        .map(|(i, (rows, columns, temperature, scale))| {
            let student = Array::normal(&[rows, columns], scale, 3 + i as u64);
            let teacher = Array::normal(&[rows, columns], scale, 30 + i as u64);
            let labels = some_labels(rows, columns, 50 + i as u64);
            let weights = Array::normal(&[rows], 1.0, 60 + i as u64);
            let expected = reference(&student, &teacher, &labels, &weights, temperature);
            let name = format!("{} T {temperature} scale {scale}", student.shape);
            Case::new(name, vec![student, teacher, labels, weights], expected, EXPONENTIAL, move |r, i, o, _| {
                record(r, &i[0], &i[1], &i[2], &i[3], temperature as f32, &o[0])
            })
            .integer_input(2)
        })
        .collect()
}
