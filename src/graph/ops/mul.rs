//! `mul(a, b) = a ⊙ b`.

use super::Example;
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::mul;

#[derive(Debug)]
struct Mul;

impl Graph {
    /// `a ⊙ b`. Shapes: any, the same.
    pub fn mul(&mut self, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.apply(Mul, &[a, b])
    }
}

impl Operation for Mul {
    fn name(&self) -> &'static str {
        "mul"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        if inputs[0] != inputs[1] {
            return Err(Error::Shape(format!("{} and {} differ", inputs[0], inputs[1])));
        }
        Ok(inputs[0].clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        mul::record(recording, io.inputs[0], io.inputs[1], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        mul::reference(inputs[0], inputs[1])
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![wanted[0].then(|| g.mul(dy, x[1])).transpose()?, wanted[1].then(|| g.mul(x[0], dy)).transpose()?])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        let left = t[0].map(|t| g.mul(t, x[1])).transpose()?;
        let right = t[1].map(|t| g.mul(x[0], t)).transpose()?;
        match (left, right) {
            (Some(a), Some(b)) => g.add(a, b).map(Some),
            (one, other) => Ok(one.or(other)),
        }
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    vec![Example::new("mul", vec![Array::normal(&[3, 5], 1.0, 1), Array::normal(&[3, 5], 1.0, 2)], |g, x| {
        g.mul(x[0], x[1])
    })]
}
