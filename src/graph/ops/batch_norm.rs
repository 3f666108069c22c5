//! Batch normalisation in training: `batch_norm_stats`, `batch_norm_train` and its derivative `batch_norm_project`.
//!
//! With `x̂ = (x − mean) r`, `r = 1/√(variance + eps)` and `P(u) = r (u − mean(u) − x̂ mean(u x̂))`, which is its own
//! transpose, the derivative of `batch_norm_train` in `x`, the statistics' dependence on `x` included, is `weight · P`.
//! Source: Ioffe and Szegedy, "Batch normalization", 2015, algorithm 1 and section 3.

use super::{Example, single};
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::ir::no_derivative;
use crate::graph::{Graph, Io, NodeId, Operation, Source};
use crate::kernels::batch_norm::Form;
use crate::kernels::{batch_norm_apply, batch_norm_project, batch_norm_stats};

const STATS: &str = "batch_norm_stats";
const SUMS: &str = "batch_norm_sums";

#[derive(Debug)]
struct Stats;

#[derive(Debug)]
pub(in crate::graph) struct Train {
    pub eps: f32,
}

#[derive(Debug)]
pub(in crate::graph) struct Project {
    pub eps: f32,
}

impl Graph {
    /// Mean (row 0) and biased variance (row 1) of each channel. Shapes: `x (…, C)`, rank at least 2 → `(2, C)`.
    ///
    /// # Errors
    /// When `x` has rank 1.
    pub fn batch_norm_stats(&mut self, x: NodeId) -> Result<NodeId> {
        self.apply(Stats, &[x])
    }

    /// `weight · (x − mean) / √(variance + eps) + bias` with the batch's own statistics.
    /// Shapes: `x (…, C)`, `stats (2, C)`, `affine (2, C)`: row 0 bias, row 1 weight → `(…, C)`.
    ///
    /// The derivatives in `x` hold the dependence of `stats` on `x`, so `stats` gets none of its own here.
    ///
    /// # Errors
    /// When `stats` is not `batch_norm_stats(x)` of the same `x`, shapes do not fit, or `eps` is not positive.
    pub fn batch_norm_train(&mut self, x: NodeId, stats: NodeId, affine: NodeId, eps: f32) -> Result<NodeId> {
        self.expect_stats("batch_norm_train", x, stats)?;
        self.apply(Train { eps }, &[x, stats, affine])
    }

    /// `weight · P(u)`: the derivative of `batch_norm_train` in `x`, applied to a tangent or a gradient `u`.
    /// Shapes: `x, u (…, C)`, `stats, sums, affine (2, C)` → `(…, C)`.
    ///
    /// Linear in `u` (the dependence of `sums` on `u` included) and in the weight. It has no derivative in `x`: second
    /// derivatives of batch normalisation are not part of the closed set.
    ///
    /// # Errors
    /// When `stats` is not `batch_norm_stats(x)` or `sums` not `batch_norm_sums(x, stats, u)`, or shapes do not fit.
    pub fn batch_norm_project(
        &mut self,
        x: NodeId,
        stats: NodeId,
        u: NodeId,
        sums: NodeId,
        affine: NodeId,
        eps: f32,
    ) -> Result<NodeId> {
        self.expect_stats("batch_norm_project", x, stats)?;
        self.expect_made_by("batch_norm_project", SUMS, sums, &[x, stats, u])?;
        self.apply(Project { eps }, &[x, stats, u, sums, affine])
    }

    fn expect_stats(&self, operation: &str, x: NodeId, stats: NodeId) -> Result<()> {
        self.expect_made_by(operation, STATS, stats, &[x])
    }

    fn expect_made_by(&self, operation: &str, maker: &str, node: NodeId, inputs: &[NodeId]) -> Result<()> {
        let found = self.node(node);
        match &found.source {
            Source::Computed(op) if op.name() == maker && found.inputs == inputs => Ok(()),
            _ => Err(Error::Shape(format!(
                "{}: `{}` is not {maker} of the same inputs, so the derivative would be wrong",
                self.scoped(operation),
                found.name
            ))),
        }
    }

    /// `weight · P(u)` with its sums.
    fn projected(&mut self, x: NodeId, stats: NodeId, u: NodeId, affine: NodeId, eps: f32) -> Result<NodeId> {
        let sums = self.batch_norm_sums(x, stats, u, eps)?;
        self.batch_norm_project(x, stats, u, sums, affine, eps)
    }
}

/// Checks shapes `(…, C)` and `(2, C)` and a positive eps; the output is as `x`.
pub(super) fn infer_rows(x: &Shape, rows: &[(&str, &Shape)], eps: Option<f32>) -> Result<Shape> {
    if x.rank() < 2 {
        return Err(Error::Shape(format!("takes (…, C) of rank at least 2, not {x}")));
    }
    if eps.is_some_and(|eps| eps.is_nan() || eps <= 0.0) {
        return Err(Error::Shape(format!("eps must be positive, not {eps:?}")));
    }
    for (name, shape) in rows {
        if shape.sizes() != [2, x.last()] {
            return Err(Error::Shape(format!("{name} {shape} where (2, {}) was expected", x.last())));
        }
    }
    Ok(x.clone())
}

impl Operation for Stats {
    fn name(&self) -> &'static str {
        STATS
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        infer_rows(inputs[0], &[], None)?;
        Ok(Shape::new(&[2, inputs[0].last()]))
    }

    fn scratch(&self, inputs: &[&Shape], _: &Shape) -> Vec<Shape> {
        vec![batch_norm_stats::scratch(inputs[0])]
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        batch_norm_stats::record(recording, io.inputs[0], io.scratch[0], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        batch_norm_stats::reference(inputs[0])
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], output: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        // d mean = 1/n; d variance = 2 (x − mean)/n, as the mean's own share sums to zero.
        Ok(single(g.batch_norm_form(moments(g, x[0]), x[0], output, dy)?))
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], output: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.batch_norm_form_sums(moments(g, x[0]), x[0], output, t)).transpose()
    }
}

fn moments(g: &Graph, x: NodeId) -> Form {
    let n = g.shape(x).rows() as f32;
    Form { eps: None, centre: true, factors: [1.0 / n, 2.0 / n] }
}

impl Operation for Train {
    fn name(&self) -> &'static str {
        "batch_norm_train"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        infer_rows(inputs[0], &[("stats", inputs[1]), ("affine", inputs[2])], Some(self.eps))
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        let inputs = [io.inputs[0], io.inputs[1], io.inputs[2]];
        batch_norm_apply::record(recording, Form::normalise(self.eps), inputs, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        batch_norm_apply::reference(Form::normalise(self.eps), inputs[0], inputs[1], inputs[2])
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        if !wanted[0] && !wanted[2] {
            return Ok(vec![None; 3]);
        }
        let sums = g.batch_norm_sums(x[0], x[1], dy, self.eps)?;
        let dx = wanted[0].then(|| g.batch_norm_project(x[0], x[1], dy, sums, x[2], self.eps)).transpose()?;
        Ok(vec![dx, None, wanted[2].then_some(sums)])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        let by_x = t[0].map(|t| g.projected(x[0], x[1], t, x[2], self.eps)).transpose()?;
        let by_affine = t[2].map(|t| g.batch_norm_train(x[0], x[1], t, self.eps)).transpose()?;
        g.sum_of(by_x, by_affine)
    }
}

impl Operation for Project {
    fn name(&self) -> &'static str {
        "batch_norm_project"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        if inputs[0] != inputs[2] {
            return Err(Error::Shape(format!("x {} and u {} differ", inputs[0], inputs[2])));
        }
        let rows = [("stats", inputs[1]), ("sums", inputs[3]), ("affine", inputs[4])];
        infer_rows(inputs[0], &rows, Some(self.eps))
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        let i = io.inputs;
        batch_norm_project::record(recording, self.eps, [i[0], i[1], i[2], i[3], i[4]], io.output)
    }

    fn interpret(&self, i: &[&Array]) -> Array {
        batch_norm_project::reference(self.eps, i[0], i[1], i[2], i[3], i[4])
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        if wanted[0] || wanted[1] {
            return Err(no_derivative(self.name(), "x (a second derivative of batch normalisation)"));
        }
        let du = wanted[2].then(|| g.projected(x[0], x[1], dy, x[4], self.eps)).transpose()?;
        let affine = wanted[4].then(|| {
            // d weight = Σ dy · P(u); the bias has no part: its row is zero.
            let sizes = g.shape(x[4]).sizes().to_vec();
            let ones = g.constant(&sizes, 1.0);
            let plain = g.batch_norm_project(x[0], x[1], x[2], x[3], ones, self.eps)?;
            let zeros = g.constant(&sizes, 0.0);
            g.batch_norm_form_sums(Form { eps: None, centre: false, factors: [0.0, 1.0] }, plain, zeros, dy)
        });
        Ok(vec![None, None, du, None, affine.transpose()?])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        if t[0].is_some() || t[1].is_some() {
            return Err(no_derivative(self.name(), "x (a second derivative of batch normalisation)"));
        }
        let by_u = t[2].map(|t| g.projected(x[0], x[1], t, x[4], self.eps)).transpose()?;
        let by_affine = t[4].map(|t| g.batch_norm_project(x[0], x[1], x[2], x[3], t, self.eps)).transpose()?;
        g.sum_of(by_u, by_affine)
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    let x = |sizes: &[usize], seed| Array::normal(sizes, 1.5, seed).map(|v| v + 0.5);
    let affine = || Array::normal(&[2, 5], 1.0, 4);
    let train = |g: &mut Graph, x: &[NodeId]| {
        let stats = g.batch_norm_stats(x[0])?;
        g.batch_norm_train(x[0], stats, x[1], 1e-2)
    };
    vec![
        Example::new("batch_norm_stats", vec![x(&[2, 3, 4, 5], 1)], |g, x| g.batch_norm_stats(x[0])),
        Example::new("batch_norm_stats (R, D)", vec![x(&[7, 3], 2)], |g, x| g.batch_norm_stats(x[0])),
        Example::new("batch_norm_train", vec![x(&[2, 3, 4, 5], 3), affine()], train),
        Example::new("batch_norm_train (R, D)", vec![x(&[7, 5], 5), affine()], train),
        Example::new(
            "batch_norm_project",
            vec![x(&[2, 3, 4, 5], 6), Array::normal(&[2, 3, 4, 5], 1.0, 7), affine()],
            |g, x| {
                let stats = g.batch_norm_stats(x[0])?;
                g.projected(x[0], stats, x[1], x[2], 1e-2)
            },
        )
        .constant_input(0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_statistics_and_second_derivatives_are_refused() {
        let mut g = Graph::new();
        let x = g.parameter("x", &[4, 3]);
        let other = g.parameter("other", &[4, 3]);
        let affine = g.parameter("affine", &[2, 3]);
        let stats = g.batch_norm_stats(other).expect("shapes");
        assert!(g.batch_norm_train(x, stats, affine, 1e-5).is_err());
        assert!(g.batch_norm_train(x, affine, affine, 1e-5).is_err());
        let stats = g.batch_norm_stats(x).expect("shapes");
        assert!(g.batch_norm_train(x, stats, affine, 0.0).is_err());
        let y = g.projected(x, stats, other, affine, 1e-5).expect("shapes");
        let loss = g.sum_all(y, 1.0).expect("shapes");
        let error = crate::graph::reverse(&mut g, loss, &[x]).expect_err("a second derivative");
        assert!(error.to_string().contains("second derivative"), "{error}");
        assert!(crate::graph::forward(&mut g, &[(x, other)], &[y]).is_err());
    }
}
