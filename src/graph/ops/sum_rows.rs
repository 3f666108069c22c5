//! `sum_rows(x) = Σ` over all but the last dimension, and its transpose `broadcast_rows`.

use super::{Example, single};
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::{broadcast_rows, sum_rows};

#[derive(Debug)]
struct SumRows;

#[derive(Debug)]
struct BroadcastRows {
    shape: Shape,
}

impl Graph {
    /// The sum over all but the last dimension. Shapes: `x (…, C)` → `(C)`.
    pub fn sum_rows(&mut self, x: NodeId) -> Result<NodeId> {
        self.apply(SumRows, &[x])
    }

    /// `b` in every row. Shapes: `b (C)` → `sizes = (…, C)`.
    ///
    /// # Errors
    /// When `b` is not `(C)`.
    pub fn broadcast_rows(&mut self, b: NodeId, sizes: &[usize]) -> Result<NodeId> {
        self.apply(BroadcastRows { shape: Shape::new(sizes) }, &[b])
    }
}

impl Operation for SumRows {
    fn name(&self) -> &'static str {
        "sum_rows"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        Ok(Shape::new(&[inputs[0].last()]))
    }

    fn scratch(&self, inputs: &[&Shape], _: &Shape) -> Vec<Shape> {
        vec![sum_rows::scratch(inputs[0])]
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        sum_rows::record(recording, io.inputs[0], 1.0, io.scratch[0], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        sum_rows::reference(inputs[0], 1.0)
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let sizes = g.shape(x[0]).sizes().to_vec();
        Ok(single(g.broadcast_rows(dy, &sizes)?))
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.sum_rows(t)).transpose()
    }
}

impl Operation for BroadcastRows {
    fn name(&self) -> &'static str {
        "broadcast_rows"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        if inputs[0].sizes() != [self.shape.last()] {
            return Err(Error::Shape(format!("takes ({}) for {}, not {}", self.shape.last(), self.shape, inputs[0])));
        }
        Ok(self.shape.clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        broadcast_rows::record(recording, io.inputs[0], 1.0, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        broadcast_rows::reference(inputs[0], 1.0, &self.shape)
    }

    fn vjp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(single(g.sum_rows(dy)?))
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.broadcast_rows(t, self.shape.sizes())).transpose()
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    vec![
        Example::new("sum_rows", vec![Array::normal(&[2, 3, 4, 5], 1.0, 1)], |g, x| g.sum_rows(x[0])),
        Example::new("sum_rows (R, D)", vec![Array::normal(&[7, 3], 1.0, 2)], |g, x| g.sum_rows(x[0])),
        Example::new("broadcast_rows", vec![Array::normal(&[5], 1.0, 3)], |g, x| g.broadcast_rows(x[0], &[2, 3, 4, 5])),
    ]
}
