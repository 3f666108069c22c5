//! `add_scaled(a, b, s, factor) = a + factor·s·b` with a scalar `s`: a step along a direction whose length is known on
//! the device alone.

use super::Example;
use super::rows::expect;
use crate::base::{Array, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::add_scaled;

#[derive(Clone, Copy, Debug)]
struct AddScaled {
    factor: f32,
}

impl Graph {
    /// `a + factor·scale·b`. Shapes: `a`, `b` any, the same, `scale (1)` → as `a`.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn add_scaled(&mut self, a: NodeId, b: NodeId, scale: NodeId, factor: f32) -> Result<NodeId> {
        self.apply(AddScaled { factor }, &[a, b, scale])
    }

    /// `factor·scale·b`. Shapes: `b` any, `scale (1)` → as `b`.
    ///
    /// # Errors
    /// When `scale` is not a scalar.
    pub fn scaled_by(&mut self, b: NodeId, scale: NodeId, factor: f32) -> Result<NodeId> {
        let sizes = self.shape(b).sizes().to_vec();
        let zeros = self.constant(&sizes, 0.0);
        self.add_scaled(zeros, b, scale, factor)
    }
}

impl Operation for AddScaled {
    fn name(&self) -> &'static str {
        "add_scaled"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        expect("b", inputs[1], inputs[0].sizes())?;
        expect("scale", inputs[2], &[1])?;
        Ok(inputs[0].clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        add_scaled::record(recording, io.inputs[0], io.inputs[1], io.inputs[2], self.factor, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        add_scaled::reference(inputs[0], inputs[1], inputs[2].data[0], f64::from(self.factor))
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let by_b = wanted[1].then(|| g.scaled_by(dy, x[2], self.factor)).transpose()?;
        let mut by_scale = None;
        if wanted[2] {
            let product = g.mul(x[1], dy)?;
            by_scale = Some(g.sum_all(product, self.factor)?);
        }
        Ok(vec![wanted[0].then_some(dy), by_b, by_scale])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        let by_b = t[1].map(|t| g.scaled_by(t, x[2], self.factor)).transpose()?;
        let by_scale = t[2].map(|t| g.scaled_by(x[1], t, self.factor)).transpose()?;
        g.sum_of_terms([t[0], by_b, by_scale])
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    let x = |seed| Array::normal(&[3, 5], 1.0, seed);
    vec![Example::new("add_scaled", vec![x(1), x(2), Array::scalar(0.3)], |g, x| g.add_scaled(x[0], x[1], x[2], -2.0))]
}
