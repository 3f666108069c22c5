//! `power(x, e, factor) = factor·max(x, 1e-30)^e` of values that are not negative; its derivative is another power.

use super::{Example, single};
use crate::base::{Array, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::power;

#[derive(Clone, Copy, Debug)]
struct Power {
    exponent: f32,
    factor: f32,
}

impl Graph {
    /// `factor·max(x, 1e-30)^exponent`. Shapes: any → the same.
    pub fn power(&mut self, x: NodeId, exponent: f32, factor: f32) -> Result<NodeId> {
        self.apply(Power { exponent, factor }, &[x])
    }
}

impl Power {
    /// Both rules: the derivative times `u`.
    fn derivative(self, g: &mut Graph, x: NodeId, u: NodeId) -> Result<NodeId> {
        let slope = g.power(x, self.exponent - 1.0, self.factor * self.exponent)?;
        g.mul(slope, u)
    }
}

impl Operation for Power {
    fn name(&self) -> &'static str {
        "power"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        Ok(inputs[0].clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        power::record(recording, io.inputs[0], self.exponent, self.factor, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        power::reference(inputs[0], f64::from(self.exponent), f64::from(self.factor))
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(single(self.derivative(g, x[0], dy)?))
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| self.derivative(g, x[0], t)).transpose()
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    let example = |(exponent, factor): (f32, f32)| {
        let x = Array::normal(&[3, 5], 1.0, 1).map(|v| v.abs() + 0.1);
        Example::new(format!("power {exponent}"), vec![x], move |g, x| g.power(x[0], exponent, factor))
    };
    [(0.5, 2.0), (-0.5, 0.25), (2.0, 1.0)].into_iter().map(example).collect()
}
