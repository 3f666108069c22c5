//! `relu_derivative_sum(x, a, b) = (a + b) · [x > 0]`: the gradient before a rectified linear unit whose output went two
//! ways, as into a residual block and around it. Made by `fuse` alone.

use super::Example;
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::ir::fused;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::relu_derivative_sum;

const NAME: &str = "relu_derivative_sum";

#[derive(Debug)]
pub(in crate::graph) struct ReluDerivativeSum;

impl Operation for ReluDerivativeSum {
    fn name(&self) -> &'static str {
        NAME
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        if inputs[0] != inputs[1] || inputs[0] != inputs[2] {
            return Err(Error::Shape(format!("x {}, a {} and b {} differ", inputs[0], inputs[1], inputs[2])));
        }
        Ok(inputs[0].clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        relu_derivative_sum::record(recording, io.inputs[0], io.inputs[1], io.inputs[2], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        relu_derivative_sum::reference(inputs[0], inputs[1], inputs[2])
    }

    fn vjp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, _: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Err(fused(NAME))
    }

    fn jvp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, _: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        Err(fused(NAME))
    }
}

/// For the checks of the device; there is no derivative.
pub fn examples() -> Vec<Example> {
    let inputs = (1..4).map(|seed| Array::normal(&[3, 7], 1.0, seed)).collect();
    vec![Example::new(NAME, inputs, |g, x| g.apply(ReluDerivativeSum, x)).no_derivative()]
}
