//! `split_heads(x)`: the columns of each head as a row of its own, and its inverse.

use super::{Example, single};
use crate::base::shape::pad4;
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::copy;

#[derive(Clone, Copy, Debug)]
struct SplitHeads {
    heads: usize,
    columns: usize,
}

#[derive(Clone, Copy, Debug)]
struct JoinHeads {
    heads: usize,
}

impl Graph {
    /// Each head's `columns`, of which `x` has `pad4(columns)`, as a row: row `r · heads + h` is that of head `h`.
    /// Shapes: `x (R, heads · pad4(columns))` → `(R · heads, columns)`.
    ///
    /// # Errors
    /// When `x` has another number of columns.
    pub fn split_heads(&mut self, x: NodeId, heads: usize, columns: usize) -> Result<NodeId> {
        self.apply(SplitHeads { heads, columns }, &[x])
    }

    /// The inverse of [`Graph::split_heads`]; pads are zero. Shapes: `x (R · heads, columns)` → `(R, heads · pad4(columns))`.
    ///
    /// # Errors
    /// When the rows are no multiple of `heads`.
    pub fn join_heads(&mut self, x: NodeId, heads: usize) -> Result<NodeId> {
        self.apply(JoinHeads { heads }, &[x])
    }
}

impl Operation for SplitHeads {
    fn name(&self) -> &'static str {
        "split_heads"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let Self { heads, columns } = *self;
        match *inputs[0].sizes() {
            [r, c] if heads > 0 && columns > 0 && c == heads * pad4(columns) => Ok(Shape::new(&[r * heads, columns])),
            _ => Err(Error::Shape(format!("{} is not (R, {heads}·pad4({columns}))", inputs[0]))),
        }
    }

    /// Both hold the same bytes.
    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        copy::record(recording, &io.inputs[0].window(0, io.output.shape.clone()), io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        let (rows, width) = (inputs[0].sizes()[0] * self.heads, pad4(self.columns));
        Array::from_fn(&[rows, self.columns], |i| inputs[0].data[i / self.columns * width + i % self.columns])
    }

    fn vjp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(single(g.join_heads(dy, self.heads)?))
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.split_heads(t, self.heads, self.columns)).transpose()
    }
}

impl Operation for JoinHeads {
    fn name(&self) -> &'static str {
        "join_heads"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        match *inputs[0].sizes() {
            [rows, columns] if self.heads > 0 && rows.is_multiple_of(self.heads) => {
                Ok(Shape::new(&[rows / self.heads, self.heads * pad4(columns)]))
            }
            _ => Err(Error::Shape(format!("{} is not (R·{}, columns)", inputs[0], self.heads))),
        }
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        copy::record(recording, io.inputs[0], &io.output.window(0, io.inputs[0].shape.clone()))
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        let columns = inputs[0].shape.last();
        let width = pad4(columns);
        Array::from_fn(&[inputs[0].sizes()[0] / self.heads, self.heads * width], |i| match i % width {
            column if column < columns => inputs[0].data[i / width * columns + column],
            _ => 0.0,
        })
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let columns = g.shape(x[0]).last();
        Ok(single(g.split_heads(dy, self.heads, columns)?))
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.join_heads(t, self.heads)).transpose()
    }
}

/// For the gradient checks: whole and padded columns.
pub fn examples() -> Vec<Example> {
    vec![
        Example::new("split_heads of 8", vec![Array::normal(&[3, 16], 1.0, 1)], |g, x| g.split_heads(x[0], 2, 8)),
        Example::new("join_heads of 8", vec![Array::normal(&[6, 8], 1.0, 2)], |g, x| g.join_heads(x[0], 2)),
        Example::new("join_heads of 5", vec![Array::normal(&[6, 5], 1.0, 3)], |g, x| g.join_heads(x[0], 3)),
        // What stands in the pads of a device's tensor is zero, so it is here.
        Example::new("split_heads of 5", vec![Array::normal(&[6, 5], 1.0, 4)], |g, x| {
            let joined = g.join_heads(x[0], 3)?;
            g.split_heads(joined, 3, 5)
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut g = Graph::new();
        let x = g.parameter("x", &[6, 16]);
        assert!(g.split_heads(x, 3, 5).is_err() && g.split_heads(x, 0, 5).is_err() && g.join_heads(x, 4).is_err());
        assert!(g.split_heads(x, 2, 5).is_ok() && g.join_heads(x, 3).is_ok());
    }
}
