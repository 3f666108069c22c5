//! `relu(x) = max(x, 0)` and `relu_derivative(x, u) = u · [x > 0]`, which is its own transpose in `u`.

use super::{Example, single};
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::{relu, relu_derivative};

#[derive(Debug)]
pub(in crate::graph) struct Relu;

#[derive(Debug)]
pub(in crate::graph) struct ReluDerivative;

impl Graph {
    /// `max(x, 0)`. Shapes: any → the same.
    pub fn relu(&mut self, x: NodeId) -> Result<NodeId> {
        self.apply(Relu, &[x])
    }

    /// `u` where `x > 0`, else 0. Shapes: any, the same.
    pub fn relu_derivative(&mut self, x: NodeId, u: NodeId) -> Result<NodeId> {
        self.apply(ReluDerivative, &[x, u])
    }
}

impl Operation for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        Ok(inputs[0].clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        relu::record(recording, io.inputs[0], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        relu::reference(inputs[0])
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], output: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        // y > 0 exactly where x > 0, and y is alive anyway: x need not be kept.
        let _ = x;
        Ok(single(g.relu_derivative(output, dy)?))
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], output: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.relu_derivative(output, t)).transpose()
    }
}

impl Operation for ReluDerivative {
    fn name(&self) -> &'static str {
        "relu_derivative"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        if inputs[0] != inputs[1] {
            return Err(Error::Shape(format!("x {} and u {} differ", inputs[0], inputs[1])));
        }
        Ok(inputs[0].clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        relu_derivative::record(recording, io.inputs[0], io.inputs[1], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        relu_derivative::reference(inputs[0], inputs[1])
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        // Piecewise linear: the derivative in x is zero wherever it exists.
        Ok(vec![None, wanted[1].then(|| g.relu_derivative(x[0], dy)).transpose()?])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[1].map(|t| g.relu_derivative(x[0], t)).transpose()
    }
}

/// Values at least 0.01 away from the kink.
fn off_zero(sizes: &[usize], seed: u64) -> Array {
    Array::normal(sizes, 1.0, seed).map(|v| if v.abs() < 0.01 { 0.5 } else { v })
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    vec![
        Example::new("relu", vec![off_zero(&[2, 3, 3, 5], 1)], |g, x| g.relu(x[0])),
        Example::new("relu_derivative", vec![off_zero(&[3, 7], 2), Array::normal(&[3, 7], 1.0, 3)], |g, x| {
            g.relu_derivative(x[0], x[1])
        })
        .constant_input(0),
    ]
}
