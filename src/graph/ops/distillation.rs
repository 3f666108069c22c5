//! `distillation(student, teacher, T, labels)`: `T²·KL(softmax(teacher/T) ‖ softmax(student/T))` of each row. The
//! teacher is a constant: it gets no gradient, and a tangent of it is not passed on.
//!
//! Source: Lee, Hwang and Shin 2020 (SLA+SD); Hinton, Vinyals and Dean 2015 for T².

use super::Example;
use super::cross_entropy::some_labels;
use super::rows::{expect, matrix};
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::{distillation, distillation_grad};

#[derive(Clone, Copy, Debug)]
struct Distillation {
    temperature: f32,
}

#[derive(Clone, Copy, Debug)]
struct DistillationGrad {
    temperature: f32,
}

impl Graph {
    /// `T²·KL(softmax(teacher/T) ‖ softmax(student/T))` of each row, 0 where the label says "ignore"; the teacher is
    /// constant. Shapes: `student`, `teacher (B, N)`, `labels (B)` unsigned → `(B)`.
    pub fn distillation(
        &mut self,
        student: NodeId,
        teacher: NodeId,
        temperature: f32,
        labels: NodeId,
    ) -> Result<NodeId> {
        self.apply(Distillation { temperature }, &[student, teacher, labels])
    }

    /// `weights·T·(softmax(student/T) − softmax(teacher/T))`, the gradient of the weighted sum of
    /// [`Graph::distillation`] by the student. Shapes: `(B, N)`, `(B, N)`, `labels (B)`, `weights (B)` → `(B, N)`.
    pub fn distillation_grad(
        &mut self,
        student: NodeId,
        teacher: NodeId,
        temperature: f32,
        labels: NodeId,
        weights: NodeId,
    ) -> Result<NodeId> {
        self.apply(DistillationGrad { temperature }, &[student, teacher, labels, weights])
    }
}

fn check(temperature: f32, inputs: &[&Shape]) -> Result<[usize; 2]> {
    if !(temperature > 0.0 && temperature.is_finite()) {
        return Err(Error::Shape(format!("the temperature {temperature} is not above 0")));
    }
    let sizes = matrix("student", inputs[0])?;
    expect("teacher", inputs[1], &sizes)?;
    expect("labels", inputs[2], &sizes[..1])?;
    Ok(sizes)
}

impl DistillationGrad {
    /// The gradient with weights 1.
    fn plain(self, g: &mut Graph, x: &[NodeId]) -> Result<NodeId> {
        let rows = g.shape(x[0]).rows();
        let ones = g.constant(&[rows], 1.0);
        g.distillation_grad(x[0], x[1], self.temperature, x[2], ones)
    }

    /// Its derivative in the student, symmetric: T·(1/T) cancels, the softmax's derivative at `student/T` is left.
    fn by_student(self, g: &mut Graph, x: &[NodeId], u: NodeId) -> Result<NodeId> {
        let soft = g.scale(x[0], 1.0 / self.temperature)?;
        let p = g.softmax(soft)?;
        g.weighted_softmax_grad(x[2], x[3], 1, p, u)
    }
}

impl Operation for Distillation {
    fn name(&self) -> &'static str {
        "distillation"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [rows, _] = check(self.temperature, inputs)?;
        Ok(Shape::new(&[rows]))
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        distillation::record(recording, io.inputs[0], io.inputs[1], io.inputs[2], self.temperature, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        distillation::reference(inputs[0], inputs[1], inputs[2], f64::from(self.temperature))
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let grad = wanted[0].then(|| g.distillation_grad(x[0], x[1], self.temperature, x[2], dy)).transpose()?;
        Ok(vec![grad, None, None])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        let Some(t) = t[0] else { return Ok(None) };
        let grad = DistillationGrad { temperature: self.temperature }.plain(g, x)?;
        g.row_dot(grad, t).map(Some)
    }
}

impl Operation for DistillationGrad {
    fn name(&self) -> &'static str {
        "distillation_grad"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [rows, _] = check(self.temperature, inputs)?;
        expect("weights", inputs[3], &[rows])?;
        Ok(inputs[0].clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        let [student, teacher, labels, weights] = [io.inputs[0], io.inputs[1], io.inputs[2], io.inputs[3]];
        distillation_grad::record(recording, student, teacher, labels, weights, self.temperature, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        distillation_grad::reference(inputs[0], inputs[1], inputs[2], inputs[3], f64::from(self.temperature))
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let by_student = wanted[0].then(|| self.by_student(g, x, dy)).transpose()?;
        let mut by_weights = None;
        if wanted[3] {
            let plain = self.plain(g, x)?;
            by_weights = Some(g.row_dot(plain, dy)?);
        }
        Ok(vec![by_student, None, None, by_weights])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        let by_student = t[0].map(|t| self.by_student(g, x, t)).transpose()?;
        let by_weights = t[3].map(|t| g.distillation_grad(x[0], x[1], self.temperature, x[2], t)).transpose()?;
        g.sum_of_terms([by_student, by_weights])
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    let mut all = Vec::new();
    for (rows, columns, temperature) in [(1, 3, 1.0), (3, 10, 4.0), (4, 5, 0.5), (5, 8, 2.0)] {
        let x = move |seed| Array::normal(&[rows, columns], 1.5, seed);
        let labels = some_labels(rows, columns);
        let name = format!("{rows} x {columns}, T {temperature}");
        all.push(
            Example::new(format!("distillation {name}"), vec![x(1), x(2), labels.clone()], move |g, x| {
                g.distillation(x[0], x[1], temperature, x[2])
            })
            .constant_input(1)
            .integer_input(2),
        );
        let weights = Array::normal(&[rows], 1.0, 3);
        all.push(
            Example::new(format!("distillation_grad {name}"), vec![x(1), x(2), labels, weights], move |g, x| {
                g.distillation_grad(x[0], x[1], temperature, x[2], x[3])
            })
            .constant_input(1)
            .integer_input(2),
        );
    }
    all
}
