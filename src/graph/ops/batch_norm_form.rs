//! Batch normalisation with constant statistics, and the bilinear pair behind it: with `r = 1/√(variance + eps)`,
//!
//! - `batch_norm_form(x, stats, affine) = f₀ bias + f₁ r weight (x − mean)`,
//! - `batch_norm_form_sums(x, stats, u) = (f₀ Σ u, f₁ r Σ u (x − mean))`, its transpose in `(bias, weight)`.
//!
//! Source: Ioffe and Szegedy, "Batch normalization", 2015, algorithm 2 and section 3.

use super::Example;
use super::batch_norm::infer_rows;
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::ir::no_derivative;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::batch_norm::Form;
use crate::kernels::{batch_norm_apply, batch_norm_sums};

#[derive(Debug)]
pub(in crate::graph) struct Apply {
    pub form: Form,
}

#[derive(Debug)]
pub(in crate::graph) struct Sums {
    pub form: Form,
}

/// The part of a form that moves with `x`: no bias, no mean.
fn slope(form: Form) -> Form {
    Form { centre: false, factors: [0.0, form.factors[1]], ..form }
}

impl Graph {
    /// `weight · (x − mean) / √(variance + eps) + bias` with running statistics, which are constants.
    /// Shapes: `x (…, C)`, `running (2, C)`: row 0 mean, row 1 variance, `affine (2, C)`: row 0 bias, row 1 weight →
    /// `(…, C)`.
    ///
    /// # Errors
    /// When shapes do not fit or `eps` is not positive.
    pub fn batch_norm_eval(&mut self, x: NodeId, running: NodeId, affine: NodeId, eps: f32) -> Result<NodeId> {
        self.batch_norm_form(Form::normalise(eps), x, running, affine)
    }

    /// `(Σ u, Σ u x̂)` of each channel with `x̂ = (x − mean) / √(variance + eps)`.
    /// Shapes: `x, u (…, C)`, `stats (2, C)` → `(2, C)`.
    ///
    /// # Errors
    /// When shapes do not fit or `eps` is not positive.
    pub fn batch_norm_sums(&mut self, x: NodeId, stats: NodeId, u: NodeId, eps: f32) -> Result<NodeId> {
        self.batch_norm_form_sums(Form::normalise(eps), x, stats, u)
    }

    /// `f₀ bias + f₁ r weight (x − mean)`. Shapes as [`Graph::batch_norm_eval`].
    pub(super) fn batch_norm_form(&mut self, form: Form, x: NodeId, stats: NodeId, affine: NodeId) -> Result<NodeId> {
        self.apply(Apply { form }, &[x, stats, affine])
    }

    /// `(f₀ Σ u, f₁ r Σ u (x − mean))`. Shapes as [`Graph::batch_norm_sums`].
    pub(super) fn batch_norm_form_sums(&mut self, form: Form, x: NodeId, stats: NodeId, u: NodeId) -> Result<NodeId> {
        self.apply(Sums { form }, &[x, stats, u])
    }

    /// The sum of what there is.
    pub(super) fn sum_of(&mut self, a: Option<NodeId>, b: Option<NodeId>) -> Result<Option<NodeId>> {
        match (a, b) {
            (Some(a), Some(b)) => self.add(a, b).map(Some),
            (one, other) => Ok(one.or(other)),
        }
    }
}

impl Operation for Apply {
    fn name(&self) -> &'static str {
        "batch_norm_eval"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        infer_rows(inputs[0], &[("statistics", inputs[1]), ("affine", inputs[2])], self.form.eps)
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        batch_norm_apply::record(recording, self.form, [io.inputs[0], io.inputs[1], io.inputs[2]], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        batch_norm_apply::reference(self.form, inputs[0], inputs[1], inputs[2])
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        if wanted[1] {
            return Err(no_derivative(self.name(), "the statistics, which are constants here"));
        }
        let dx = wanted[0].then(|| g.batch_norm_form(slope(self.form), dy, x[1], x[2])).transpose()?;
        let affine = wanted[2].then(|| g.batch_norm_form_sums(self.form, x[0], x[1], dy)).transpose()?;
        Ok(vec![dx, None, affine])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        if t[1].is_some() {
            return Err(no_derivative(self.name(), "the statistics, which are constants here"));
        }
        let by_x = t[0].map(|t| g.batch_norm_form(slope(self.form), t, x[1], x[2])).transpose()?;
        let by_affine = t[2].map(|t| g.batch_norm_form(self.form, x[0], x[1], t)).transpose()?;
        g.sum_of(by_x, by_affine)
    }
}

impl Operation for Sums {
    fn name(&self) -> &'static str {
        "batch_norm_sums"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        if inputs[0] != inputs[2] {
            return Err(Error::Shape(format!("x {} and u {} differ", inputs[0], inputs[2])));
        }
        infer_rows(inputs[0], &[("statistics", inputs[1])], self.form.eps)?;
        Ok(inputs[1].clone())
    }

    fn scratch(&self, inputs: &[&Shape], _: &Shape) -> Vec<Shape> {
        vec![batch_norm_sums::scratch(inputs[0])]
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        let inputs = [io.inputs[0], io.inputs[1], io.inputs[2]];
        batch_norm_sums::record(recording, self.form, inputs, io.scratch[0], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        batch_norm_sums::reference(self.form, inputs[0], inputs[1], inputs[2])
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        if wanted[1] {
            return Err(no_derivative(self.name(), "the statistics, which are constants here"));
        }
        let dx = wanted[0].then(|| g.batch_norm_form(slope(self.form), x[2], x[1], dy)).transpose()?;
        let du = wanted[2].then(|| g.batch_norm_form(self.form, x[0], x[1], dy)).transpose()?;
        Ok(vec![dx, None, du])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        if t[1].is_some() {
            return Err(no_derivative(self.name(), "the statistics, which are constants here"));
        }
        let by_x = t[0].map(|t| g.batch_norm_form_sums(slope(self.form), t, x[1], x[2])).transpose()?;
        let by_u = t[2].map(|t| g.batch_norm_form_sums(self.form, x[0], x[1], t)).transpose()?;
        g.sum_of(by_x, by_u)
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    let x = |sizes: &[usize], seed| Array::normal(sizes, 1.0, seed);
    let stats = || Array::normal(&[2, 5], 1.0, 9).map(|v| v.abs() + 0.1);
    let affine = || x(&[2, 5], 4);
    vec![
        Example::new("batch_norm_eval", vec![x(&[2, 3, 4, 5], 1), stats(), affine()], |g, x| {
            g.batch_norm_eval(x[0], x[1], x[2], 1e-2)
        })
        .constant_input(1),
        Example::new("batch_norm_eval (R, D)", vec![x(&[3, 5], 1), stats(), affine()], |g, x| {
            g.batch_norm_eval(x[0], x[1], x[2], 1e-2)
        })
        .constant_input(1),
        Example::new("batch_norm_sums", vec![x(&[2, 3, 4, 5], 1), stats(), x(&[2, 3, 4, 5], 2)], |g, x| {
            g.batch_norm_sums(x[0], x[1], x[2], 1e-2)
        })
        .constant_input(1),
    ]
}
