//! `add_bias(x, bias)`: a bias added to every row.

use super::Example;
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::add_bias;

#[derive(Debug)]
struct AddBias;

impl Graph {
    /// `x + bias` in every row. Shapes: `x (…, C)`, rank at least 2, `bias (C)` → `(…, C)`.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn add_bias(&mut self, x: NodeId, bias: NodeId) -> Result<NodeId> {
        self.apply(AddBias, &[x, bias])
    }
}

impl Operation for AddBias {
    fn name(&self) -> &'static str {
        "add_bias"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        if inputs[0].rank() < 2 || inputs[1].sizes() != [inputs[0].last()] {
            return Err(Error::Shape(format!("x {} and bias {} are not (…, C) and (C)", inputs[0], inputs[1])));
        }
        Ok(inputs[0].clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        add_bias::record(recording, io.inputs[0], io.inputs[1], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        add_bias::reference(inputs[0], inputs[1])
    }

    fn vjp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![wanted[0].then_some(dy), wanted[1].then(|| g.sum_rows(dy)).transpose()?])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        let sizes = g.shape(x[0]).sizes().to_vec();
        match (t[0], t[1]) {
            (Some(x), Some(bias)) => g.add_bias(x, bias).map(Some),
            (None, Some(bias)) => g.broadcast_rows(bias, &sizes).map(Some),
            (x, None) => Ok(x),
        }
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    let bias = || Array::normal(&[5], 1.0, 2);
    vec![
        Example::new("add_bias", vec![Array::normal(&[2, 3, 4, 5], 1.0, 1), bias()], |g, x| g.add_bias(x[0], x[1])),
        Example::new("add_bias (R, D)", vec![Array::normal(&[3, 5], 1.0, 1), bias()], |g, x| g.add_bias(x[0], x[1])),
        Example::new("add_bias bias alone", vec![Array::normal(&[3, 5], 1.0, 1), bias()], |g, x| {
            g.add_bias(x[0], x[1])
        })
        .constant_input(0),
    ]
}
