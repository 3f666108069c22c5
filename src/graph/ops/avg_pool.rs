//! `avg_pool(x)`: the mean of each window, padding counted as zeros, and its transpose.

use super::{Example, single};
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::avg_pool;
use crate::kernels::pool::Pool;

#[derive(Debug)]
struct AvgPool {
    pool: Pool,
}

#[derive(Debug)]
struct Transpose {
    pool: Pool,
    shape: Shape,
}

impl Graph {
    /// The mean of each `kernel × kernel` window; padding counts as zeros (PyTorch's `count_include_pad`).
    /// Shapes: `x (R, H, W, C)` → `(R, OH, OW, C)` with `OH = ⌊(H + 2·padding − kernel)/stride⌋ + 1`.
    ///
    /// # Errors
    /// When `x` is not an image tensor or the window does not fit (padding at most half a kernel).
    pub fn avg_pool(&mut self, x: NodeId, kernel: usize, stride: usize, padding: usize) -> Result<NodeId> {
        self.apply(AvgPool { pool: Pool { kernel, stride, padding } }, &[x])
    }

    /// The transpose of [`Graph::avg_pool`]. Shapes: `dy (R, OH, OW, C)` → `sizes = (R, H, W, C)`.
    ///
    /// # Errors
    /// When `dy` is not what the window makes of `sizes`.
    pub fn avg_pool_transpose(&mut self, dy: NodeId, pool: Pool, sizes: &[usize]) -> Result<NodeId> {
        self.apply(Transpose { pool, shape: Shape::new(sizes) }, &[dy])
    }
}

impl Operation for AvgPool {
    fn name(&self) -> &'static str {
        "avg_pool"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        self.pool.infer(inputs[0])
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        avg_pool::record(recording, self.pool, io.inputs[0], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        avg_pool::reference(self.pool, inputs[0])
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let sizes = g.shape(x[0]).sizes().to_vec();
        Ok(single(g.avg_pool_transpose(dy, self.pool, &sizes)?))
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.apply(Self { pool: self.pool }, &[t])).transpose()
    }
}

impl Operation for Transpose {
    fn name(&self) -> &'static str {
        "avg_pool_transpose"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let expected = self.pool.infer(&self.shape)?;
        if *inputs[0] != expected {
            return Err(Error::Shape(format!("dy {} where {expected} was expected", inputs[0])));
        }
        Ok(self.shape.clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        avg_pool::record_transpose(recording, self.pool, io.inputs[0], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        avg_pool::reference_transpose(self.pool, inputs[0], &self.shape)
    }

    fn vjp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(single(g.apply(AvgPool { pool: self.pool }, &[dy])?))
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.avg_pool_transpose(t, self.pool, self.shape.sizes())).transpose()
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    let pool = Pool { kernel: 3, stride: 2, padding: 1 };
    vec![
        Example::new("avg_pool", vec![Array::normal(&[2, 3, 4, 5], 1.0, 1)], |g, x| g.avg_pool(x[0], 3, 2, 1)),
        Example::new("avg_pool without overlap", vec![Array::normal(&[1, 7, 6, 5], 1.0, 2)], |g, x| {
            g.avg_pool(x[0], 2, 2, 0)
        }),
        Example::new("avg_pool_transpose", vec![Array::normal(&[2, 2, 2, 5], 1.0, 3)], move |g, x| {
            g.avg_pool_transpose(x[0], pool, &[2, 3, 4, 5])
        }),
    ]
}
