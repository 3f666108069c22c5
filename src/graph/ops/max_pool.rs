//! `max_pool(x)`, the places of its maxima (`max_pool_index`), and the mutually transposed choices at those places:
//! `max_pool_select` (tangents) and `max_pool_grad` (gradients).

use std::any::Any;

use super::{Example, single};
use crate::base::{Array, DType, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::pool::Pool;
use crate::kernels::{max_pool, max_pool_grad, max_pool_index, max_pool_select};

#[derive(Debug)]
struct MaxPool {
    pool: Pool,
}

#[derive(Debug)]
struct Index {
    pool: Pool,
}

#[derive(Debug)]
struct Select {
    pool: Pool,
}

#[derive(Debug)]
struct Gradient {
    pool: Pool,
    shape: Shape,
}

/// The window of a `max_pool`; `None` of another operation.
pub fn window(operation: &dyn Operation) -> Option<Pool> {
    (operation as &dyn Any).downcast_ref::<MaxPool>().map(|operation| operation.pool)
}

impl Graph {
    /// The largest value of each `kernel × kernel` window; padding counts as −∞.
    /// Shapes: `x (R, H, W, C)` → `(R, OH, OW, C)` with `OH = ⌊(H + 2·padding − kernel)/stride⌋ + 1`.
    ///
    /// # Errors
    /// When `x` is not an image tensor or the window does not fit (padding at most half a kernel).
    pub fn max_pool(&mut self, x: NodeId, kernel: usize, stride: usize, padding: usize) -> Result<NodeId> {
        self.apply(MaxPool { pool: Pool { kernel, stride, padding } }, &[x])
    }

    /// Where in its window each maximum stands (`row · kernel + column`, the first of equal values), without a
    /// derivative. Shapes: `x (R, H, W, C)` → `(R, OH, OW, C)` u32.
    ///
    /// # Errors
    /// As [`Graph::max_pool`].
    pub fn max_pool_index(&mut self, x: NodeId, pool: Pool) -> Result<NodeId> {
        self.apply(Index { pool }, &[x])
    }

    /// `u` at the places of `index`. Shapes: `index (R, OH, OW, C)` u32, `u (R, H, W, C)` → `(R, OH, OW, C)`.
    ///
    /// # Errors
    /// When the shapes do not fit the window.
    pub fn max_pool_select(&mut self, index: NodeId, u: NodeId, pool: Pool) -> Result<NodeId> {
        self.apply(Select { pool }, &[index, u])
    }

    /// `dy` sent back to the places of `index`: the transpose of [`Graph::max_pool_select`].
    /// Shapes: `index (R, OH, OW, C)` u32, `dy (R, OH, OW, C)` → `sizes = (R, H, W, C)`.
    ///
    /// # Errors
    /// When the shapes do not fit the window.
    pub fn max_pool_grad(&mut self, index: NodeId, dy: NodeId, pool: Pool, sizes: &[usize]) -> Result<NodeId> {
        self.apply(Gradient { pool, shape: Shape::new(sizes) }, &[index, dy])
    }
}

impl Operation for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        self.pool.infer(inputs[0])
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        max_pool::record(recording, self.pool, io.inputs[0], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        max_pool::reference(self.pool, inputs[0])
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let sizes = g.shape(x[0]).sizes().to_vec();
        let index = g.max_pool_index(x[0], self.pool)?;
        Ok(single(g.max_pool_grad(index, dy, self.pool, &sizes)?))
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        let Some(t) = t[0] else { return Ok(None) };
        let index = g.max_pool_index(x[0], self.pool)?;
        g.max_pool_select(index, t, self.pool).map(Some)
    }
}

impl Operation for Index {
    fn name(&self) -> &'static str {
        "max_pool_index"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        self.pool.infer(inputs[0])
    }

    fn dtype(&self) -> DType {
        DType::U32
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        max_pool_index::record(recording, self.pool, io.inputs[0], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        max_pool_index::reference(self.pool, inputs[0])
    }

    // Piecewise constant: no derivative flows through it.
    fn vjp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, _: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![None])
    }

    fn jvp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, _: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        Ok(None)
    }
}

impl Operation for Select {
    fn name(&self) -> &'static str {
        "max_pool_select"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        expect_index(inputs[0], &self.pool.infer(inputs[1])?)
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        max_pool_select::record(recording, self.pool, io.inputs[0], io.inputs[1], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        max_pool_select::reference(self.pool, inputs[0], inputs[1])
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let sizes = g.shape(x[1]).sizes().to_vec();
        Ok(vec![None, wanted[1].then(|| g.max_pool_grad(x[0], dy, self.pool, &sizes)).transpose()?])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[1].map(|t| g.max_pool_select(x[0], t, self.pool)).transpose()
    }
}

impl Operation for Gradient {
    fn name(&self) -> &'static str {
        "max_pool_grad"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let pooled = self.pool.infer(&self.shape)?;
        expect_index(inputs[0], &pooled)?;
        expect_index(inputs[1], &pooled)?;
        Ok(self.shape.clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        max_pool_grad::record(recording, self.pool, io.inputs[0], io.inputs[1], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        max_pool_grad::reference(self.pool, inputs[0], inputs[1], &self.shape)
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![None, wanted[1].then(|| g.max_pool_select(x[0], dy, self.pool)).transpose()?])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[1].map(|t| g.max_pool_grad(x[0], t, self.pool, self.shape.sizes())).transpose()
    }
}

fn expect_index(found: &Shape, pooled: &Shape) -> Result<Shape> {
    if found != pooled {
        return Err(Error::Shape(format!("{found} where {pooled} was expected")));
    }
    Ok(pooled.clone())
}

/// Values that all differ by at least 0.01, in scattered order.
fn distinct(sizes: &[usize]) -> Array {
    let n = Shape::new(sizes).elements();
    Array::from_fn(sizes, |i| 0.01 * ((i * 37 + 11) % n) as f64 - 0.5)
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    let pool = Pool { kernel: 3, stride: 2, padding: 1 };
    // 120 and 210 elements have no factor in common with 37, so the values are a permutation.
    let x = || distinct(&[2, 3, 4, 5]);
    let index = || max_pool_index::reference(pool, &x());
    vec![
        Example::new("max_pool", vec![x()], |g, x| g.max_pool(x[0], 3, 2, 1)),
        Example::new("max_pool without overlap", vec![distinct(&[1, 7, 6, 5])], |g, x| g.max_pool(x[0], 2, 2, 0)),
        Example::new("max_pool_select", vec![index(), Array::normal(&[2, 3, 4, 5], 1.0, 2)], move |g, x| {
            g.max_pool_select(x[0], x[1], pool)
        })
        .integer_input(0),
        Example::new("max_pool_grad", vec![index(), Array::normal(&[2, 2, 2, 5], 1.0, 3)], move |g, x| {
            g.max_pool_grad(x[0], x[1], pool, &[2, 3, 4, 5])
        })
        .integer_input(0),
    ]
}
