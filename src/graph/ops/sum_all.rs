//! `sum_all(x) = factor · Σ x` and its transpose `broadcast(s) = factor · s` in every place.

use super::{Example, single};
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::{broadcast, sum_all};

#[derive(Debug)]
pub(in crate::graph) struct SumAll {
    pub factor: f32,
}

#[derive(Debug)]
pub(in crate::graph) struct Broadcast {
    shape: Shape,
    pub factor: f32,
}

impl Graph {
    /// `factor · Σ x`. Shapes: any → `(1)`.
    pub fn sum_all(&mut self, x: NodeId, factor: f32) -> Result<NodeId> {
        self.apply(SumAll { factor }, &[x])
    }

    /// The mean of all elements. Shapes: any → `(1)`.
    pub fn mean_all(&mut self, x: NodeId) -> Result<NodeId> {
        let n = self.shape(x).elements();
        self.sum_all(x, 1.0 / n as f32)
    }

    /// `factor · s` in every place. Shapes: `(1)` → `sizes`.
    pub fn broadcast(&mut self, s: NodeId, sizes: &[usize], factor: f32) -> Result<NodeId> {
        self.apply(Broadcast { shape: Shape::new(sizes), factor }, &[s])
    }
}

impl Operation for SumAll {
    fn name(&self) -> &'static str {
        "sum_all"
    }

    fn infer(&self, _: &[&Shape]) -> Result<Shape> {
        Ok(Shape::scalar())
    }

    fn scratch(&self, inputs: &[&Shape], _: &Shape) -> Vec<Shape> {
        vec![sum_all::scratch(inputs[0])]
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        sum_all::record(recording, io.inputs[0], self.factor, io.scratch[0], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        sum_all::reference(inputs[0], f64::from(self.factor))
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let sizes = g.shape(x[0]).sizes().to_vec();
        Ok(single(g.broadcast(dy, &sizes, self.factor)?))
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.sum_all(t, self.factor)).transpose()
    }
}

impl Operation for Broadcast {
    fn name(&self) -> &'static str {
        "broadcast"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        if *inputs[0] != Shape::scalar() {
            return Err(Error::Shape(format!("broadcast takes (1), not {}", inputs[0])));
        }
        Ok(self.shape.clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        broadcast::record(recording, io.inputs[0], self.factor, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        broadcast::reference(inputs[0], f64::from(self.factor), &self.shape)
    }

    fn vjp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(single(g.sum_all(dy, self.factor)?))
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.broadcast(t, self.shape.sizes(), self.factor)).transpose()
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    vec![
        Example::new("sum_all", vec![Array::normal(&[3, 5], 1.0, 1)], |g, x| g.sum_all(x[0], 0.25)),
        Example::new("broadcast", vec![Array::scalar(1.5)], |g, x| g.broadcast(x[0], &[2, 3], 0.5)),
    ]
}
