//! `conditional_logits(x, M)`: each view's logits given its transformation; linear, closed with its transpose.

use super::{Example, single};
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::conditional;

#[derive(Debug)]
struct Conditional {
    views: usize,
    transpose: bool,
}

impl Graph {
    /// From joint logits `(B·M, N·M)`, row `b·M + j`, the columns `n·M + j`. Shapes: → `(B·M, N)`. Source: SLA,
    /// section 3.1.
    pub fn conditional_logits(&mut self, joint: NodeId, views: usize) -> Result<NodeId> {
        self.apply(Conditional { views, transpose: false }, &[joint])
    }

    /// The transpose of [`Graph::conditional_logits`]. Shapes: `(B·M, N)` → `(B·M, N·M)`.
    pub fn conditional_logits_transpose(&mut self, x: NodeId, views: usize) -> Result<NodeId> {
        self.apply(Conditional { views, transpose: true }, &[x])
    }
}

impl Conditional {
    fn apply(&self, g: &mut Graph, x: NodeId, transpose: bool) -> Result<NodeId> {
        g.apply(Self { views: self.views, transpose }, &[x])
    }
}

impl Operation for Conditional {
    fn name(&self) -> &'static str {
        if self.transpose { "conditional_logits_transpose" } else { "conditional_logits" }
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let bad = || Error::Shape(format!("{} does not hold {} views in its rows and columns", inputs[0], self.views));
        let &[rows, columns] = inputs[0].sizes() else { return Err(bad()) };
        if rows % self.views != 0 || (!self.transpose && columns % self.views != 0) {
            return Err(bad());
        }
        Ok(Shape::new(&[rows, if self.transpose { columns * self.views } else { columns / self.views }]))
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        let record = if self.transpose { conditional::record_transpose } else { conditional::record };
        record(recording, io.inputs[0], self.views, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        let twin = if self.transpose { conditional::reference_transpose } else { conditional::reference };
        twin(inputs[0], self.views)
    }

    fn vjp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(single(self.apply(g, dy, !self.transpose)?))
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| self.apply(g, t, self.transpose)).transpose()
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    vec![
        Example::new("conditional_logits", vec![Array::normal(&[6, 10], 1.0, 1)], |g, x| g.conditional_logits(x[0], 2)),
        Example::new("conditional_logits_transpose", vec![Array::normal(&[6, 5], 1.0, 2)], |g, x| {
            g.conditional_logits_transpose(x[0], 3)
        }),
    ]
}
