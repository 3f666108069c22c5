//! `add(a, b) = α·a + β·b` and `scale(x) = α·x`.

use super::Example;
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::axpby;

#[derive(Debug)]
pub(in crate::graph) struct Add {
    pub alpha: f32,
    pub beta: f32,
}

#[derive(Debug)]
pub(in crate::graph) struct Scale {
    pub factor: f32,
}

impl Graph {
    /// `a + b`. Shapes: any, the same.
    pub fn add(&mut self, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.weighted_sum(a, 1.0, b, 1.0)
    }

    /// `alpha·a + beta·b`. Shapes: any, the same.
    pub fn weighted_sum(&mut self, a: NodeId, alpha: f32, b: NodeId, beta: f32) -> Result<NodeId> {
        self.apply(Add { alpha, beta }, &[a, b])
    }

    /// `factor·x`. Shapes: any → the same.
    pub fn scale(&mut self, x: NodeId, factor: f32) -> Result<NodeId> {
        self.apply(Scale { factor }, &[x])
    }

    fn scaled(&mut self, x: NodeId, factor: f32) -> Result<NodeId> {
        if factor == 1.0 { Ok(x) } else { self.scale(x, factor) }
    }
}

impl Operation for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        if inputs[0] != inputs[1] {
            return Err(Error::Shape(format!("{} and {} differ", inputs[0], inputs[1])));
        }
        Ok(inputs[0].clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        axpby::record(recording, self.alpha, io.inputs[0], self.beta, io.inputs[1], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        axpby::reference(f64::from(self.alpha), inputs[0], f64::from(self.beta), inputs[1])
    }

    fn vjp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![
            wanted[0].then(|| g.scaled(dy, self.alpha)).transpose()?,
            wanted[1].then(|| g.scaled(dy, self.beta)).transpose()?,
        ])
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        match (t[0], t[1]) {
            (Some(a), Some(b)) => g.weighted_sum(a, self.alpha, b, self.beta).map(Some),
            (Some(a), None) => g.scaled(a, self.alpha).map(Some),
            (None, Some(b)) => g.scaled(b, self.beta).map(Some),
            (None, None) => Ok(None),
        }
    }
}

impl Operation for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        Ok(inputs[0].clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        axpby::record(recording, self.factor, io.inputs[0], 0.0, io.inputs[0], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        inputs[0].map(|v| f64::from(self.factor) * v)
    }

    fn vjp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![Some(g.scale(dy, self.factor)?)])
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.scale(t, self.factor)).transpose()
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    let a = || Array::normal(&[3, 5], 1.0, 1);
    let b = || Array::normal(&[3, 5], 1.0, 2);
    vec![
        Example::new("add", vec![a(), b()], |g, x| g.add(x[0], x[1])),
        Example::new("weighted_sum", vec![a(), b()], |g, x| g.weighted_sum(x[0], 0.5, x[1], -2.0)),
        Example::new("scale", vec![a()], |g, x| g.scale(x[0], -0.75)),
    ]
}
