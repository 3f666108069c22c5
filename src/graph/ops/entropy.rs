//! `entropy_terms(m) = m·log(m + 1e-20)` of shares m, and their derivative `u·(log(m + 1e-20) + m/(m + 1e-20))`, which is
//! linear in `u` and has none by `m` itself.
//!
//! Source: Liu, Davison and Johns 2019 (MAXL), eq. 5; the floor is the official code's.

use super::rows::matrix;
use super::{Example, single};
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::ir::no_derivative;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::entropy;

#[derive(Debug)]
struct Terms;

#[derive(Debug)]
struct Slope;

impl Graph {
    /// `m·log(m + 1e-20)`, m not negative. Shapes: any → the same.
    pub fn entropy_terms(&mut self, m: NodeId) -> Result<NodeId> {
        self.apply(Terms, &[m])
    }

    /// `Σ_k ȳ_k·log(ȳ_k + 1e-20)` with ȳ the mean of the rows: lowest when all labels are used equally.
    /// Shapes: `labels (B, K)` → `(1)`.
    ///
    /// # Errors
    /// When `labels` is not a matrix.
    pub fn negative_entropy(&mut self, labels: NodeId) -> Result<NodeId> {
        let [rows, _] = matrix("labels", self.shape(labels))?;
        let sums = self.sum_rows(labels)?;
        let mean = self.scale(sums, 1.0 / rows as f32)?;
        let terms = self.entropy_terms(mean)?;
        self.sum_all(terms, 1.0)
    }
}

impl Operation for Terms {
    fn name(&self) -> &'static str {
        "entropy_terms"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        Ok(inputs[0].clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        entropy::record(recording, io.inputs[0], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        entropy::reference(inputs[0])
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(single(g.apply(Slope, &[x[0], dy])?))
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.apply(Slope, &[x[0], t])).transpose()
    }
}

impl Slope {
    fn second(&self) -> Error {
        no_derivative(self.name(), "the shares (a second derivative of the entropy)")
    }
}

impl Operation for Slope {
    fn name(&self) -> &'static str {
        "entropy_slope"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        super::rows::expect("u", inputs[1], inputs[0].sizes())?;
        Ok(inputs[0].clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        entropy::record_derivative(recording, io.inputs[0], io.inputs[1], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        entropy::reference_derivative(inputs[0], inputs[1])
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        if wanted[0] {
            return Err(self.second());
        }
        Ok(vec![None, Some(g.apply(Self, &[x[0], dy])?)])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        if t[0].is_some() {
            return Err(self.second());
        }
        t[1].map(|t| g.apply(Self, &[x[0], t])).transpose()
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    let shares = |sizes: &[usize], seed| Array::normal(sizes, 0.3, seed).map(|v| v.abs() + 0.02);
    let slope = Example::new("entropy_slope", vec![shares(&[7], 2), Array::normal(&[7], 1.0, 3)], |g, x| {
        g.apply(Slope, &[x[0], x[1]])
    });
    vec![
        Example::new("entropy_terms", vec![shares(&[3, 5], 1)], |g, x| g.entropy_terms(x[0])),
        slope.constant_input(0),
        Example::new("negative_entropy", vec![shares(&[4, 6], 4)], |g, x| g.negative_entropy(x[0])),
    ]
}
