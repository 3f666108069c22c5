//! Distillation loss of each row. Shapes: `student`, `teacher (B, N)`, `labels (B)` → `loss (B)`.

use super::cross_entropy::some_labels;
use super::rows::{EXPONENTIAL, WIDTHS, log_softmax_rows, row_grid};
use super::{Case, Kernel, params, shared};
use crate::base::labels::check_views;
use crate::base::{Array, LabelRule, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `distillation.wgsl`.
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
    name: "distillation",
    source: include_str!("../../shaders/loss/distillation.wgsl"),
    shared: &[shared::REDUCE],
    params: size_of::<Params>(),
    bindings: &[read("student"), read("teacher"), read("labels"), write("loss")],
    variants: WIDTHS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `T²·KL(softmax(teacher/T) ‖ softmax(student/T))` of each row, 0 where the label says "ignore".
///
/// # Errors
/// When the matrices differ or `labels` or `loss` has another length.
pub fn record(
    recording: &mut Recording,
    student: &Tensor,
    teacher: &Tensor,
    labels: &Tensor,
    temperature: f32,
    loss: &Tensor,
) -> Result<()> {
    let [rows, columns] = student.matrix("distillation: student")?;
    teacher.expect("distillation: teacher, as student", &[rows, columns])?;
    check_views("distillation", rows, labels.shape.elements(), 1)?;
    loss.expect("distillation: loss (B)", &[rows])?;
    let p = Params { rows: rows as u32, columns: columns as u32, stride: student.shape.stride() as u32, temperature };
    recording.dispatch(&SHADER, p, &[student, teacher, labels, loss], row_grid(rows), cost(p))
}

/// The least work: read two values; two exponentials with maximum, difference and sum each, and the divergence.
pub fn cost(p: Params) -> Cost {
    let values = u64::from(p.rows) * u64::from(p.columns);
    Cost { operations: 12 * values, bytes: 8 * values + 8 * u64::from(p.rows) }
}

/// The twin.
pub fn reference(student: &Array, teacher: &Array, labels: &Array, temperature: f64) -> Array {
    let p = log_softmax_rows(student, 1.0 / temperature);
    let q = log_softmax_rows(teacher, 1.0 / temperature);
    let n = student.shape.last();
    Array::from_fn(&[student.shape.rows()], |r| {
        let row = (r * n..(r + 1) * n).map(|i| q.data[i].exp() * (q.data[i] - p.data[i]));
        LabelRule::Class.label(&labels.data, 1, r).map_or(0.0, |_| temperature * temperature * row.sum::<f64>())
    })
}

/// `(B, N, T, scale of the logits)`.
pub(super) const SIZES: [(usize, usize, f64, f64); 6] = [
    (1, 5, 1.0, 2.0),
    (7, 10, 4.0, 3.0),
    (3, 65, 0.5, 1.0),
    (5, 100, 2.0, 3.0),
    (4, 257, 1.0, 1e4),
    (64, 10, 1.0, 3.0),
];

fn cases() -> Vec<Case> {
    SIZES
        .into_iter()
        .enumerate()
        .map(|(i, (rows, columns, temperature, scale))| {
            let student = Array::normal(&[rows, columns], scale, 3 + i as u64);
            let teacher = Array::normal(&[rows, columns], scale, 30 + i as u64);
            let labels = some_labels(rows, columns, 50 + i as u64);
            let expected = reference(&student, &teacher, &labels, temperature);
            let name = format!("{} T {temperature} scale {scale}", student.shape);
            Case::new(name, vec![student, teacher, labels], expected, EXPONENTIAL, move |r, i, o, _| {
                record(r, &i[0], &i[1], &i[2], temperature as f32, &o[0])
            })
            .integer_input(2)
        })
        .collect()
}
