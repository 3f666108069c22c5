//! `dropout(x, step)`: values set to zero at random, the rest scaled up. Linear in `x`: its own derivative.

use super::Example;
use crate::base::{Array, DType, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::dropout::{self, Dropout};

impl Graph {
    /// `mask · x / (1 − p)`. The mask is a function of seed, layer, step number, row and column, so that it depends on
    /// neither the order of work nor the cut into micro-batches, and backward sees the forward's mask.
    /// Shapes: `x (…, C)`, `step (8)` u32 (word 0 step number, word 4 micro-batch) → `(…, C)`.
    ///
    /// # Errors
    /// When `step` is not `(8)` u32, or `p` lies outside [0, 1).
    pub fn dropout(&mut self, x: NodeId, step: NodeId, p: f32, seed: u64, layer: u32) -> Result<NodeId> {
        if self.node(step).dtype != DType::U32 {
            let name = &self.node(step).name;
            return Err(Error::Shape(format!("{}: `{name}` is not of type u32", self.scoped("dropout"))));
        }
        if !(0.0..1.0).contains(&p) {
            return Err(Error::Config(format!("dropout: p = {p} lies outside [0, 1)")));
        }
        self.apply(Dropout { p, seed, layer }, &[x, step])
    }
}

impl Operation for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        if inputs[1].sizes() != [8] {
            return Err(Error::Shape(format!("step {} is not (8)", inputs[1])));
        }
        Ok(inputs[0].clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        dropout::record(recording, *self, io.inputs[0], io.inputs[1], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        dropout::reference(*self, inputs[0], inputs[1])
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![wanted[0].then(|| g.apply(*self, &[dy, x[1]])).transpose()?, None])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.apply(*self, &[t, x[1]])).transpose()
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    let step = || Array::new(&[8], vec![5.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    vec![
        Example::new("dropout", vec![Array::normal(&[2, 3, 4, 5], 1.0, 1), step()], |g, x| {
            g.dropout(x[0], x[1], 0.4, 9, 2)
        })
        .integer_input(1),
        Example::new("dropout (R, D)", vec![Array::normal(&[3, 7], 1.0, 2), step()], |g, x| {
            g.dropout(x[0], x[1], 0.5, 1 << 40, 0)
        })
        .integer_input(1),
    ]
}
