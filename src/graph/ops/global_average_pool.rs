//! `global_average_pool(x)`: the mean over each image's pixels, and its transpose.

use super::{Example, single};
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::{broadcast_rows, sum_rows};

#[derive(Debug)]
struct GlobalAveragePool {
    pixels: usize,
}

#[derive(Debug)]
struct Transpose {
    height: usize,
    width: usize,
}

impl Graph {
    /// The mean over H and W. Shapes: `x (R, H, W, C)` → `(R, C)`.
    ///
    /// # Errors
    /// When `x` is not an image tensor.
    pub fn global_average_pool(&mut self, x: NodeId) -> Result<NodeId> {
        match *self.shape(x).sizes() {
            [_, h, w, _] => self.apply(GlobalAveragePool { pixels: h * w }, &[x]),
            _ => Err(Error::Shape(format!("global_average_pool takes (R, H, W, C), not {}", self.shape(x)))),
        }
    }

    /// `dy / (H·W)` in every pixel. Shapes: `dy (R, C)` → `(R, height, width, C)`.
    ///
    /// # Errors
    /// When `dy` is not a matrix.
    pub fn global_average_pool_transpose(&mut self, dy: NodeId, height: usize, width: usize) -> Result<NodeId> {
        self.apply(Transpose { height, width }, &[dy])
    }
}

impl Operation for GlobalAveragePool {
    fn name(&self) -> &'static str {
        "global_average_pool"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        Ok(Shape::new(&[inputs[0].sizes()[0], inputs[0].last()]))
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        sum_rows::record_images(recording, io.inputs[0], 1.0 / self.pixels as f32, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        sum_rows::reference_images(inputs[0], 1.0 / self.pixels as f64)
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let (h, w) = (g.shape(x[0]).sizes()[1], g.shape(x[0]).sizes()[2]);
        Ok(single(g.global_average_pool_transpose(dy, h, w)?))
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.global_average_pool(t)).transpose()
    }
}

impl Operation for Transpose {
    fn name(&self) -> &'static str {
        "global_average_pool_transpose"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        match *inputs[0].sizes() {
            [r, c] if self.height * self.width > 0 => Ok(Shape::new(&[r, self.height, self.width, c])),
            _ => Err(Error::Shape(format!("{} to {} x {} pixels", inputs[0], self.height, self.width))),
        }
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        let factor = 1.0 / (self.height * self.width) as f32;
        broadcast_rows::record_images(recording, io.inputs[0], factor, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        let (r, c) = (inputs[0].sizes()[0], inputs[0].shape.last());
        let shape = Shape::new(&[r, self.height, self.width, c]);
        broadcast_rows::reference_images(inputs[0], 1.0 / (self.height * self.width) as f64, &shape)
    }

    fn vjp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(single(g.global_average_pool(dy)?))
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.global_average_pool_transpose(t, self.height, self.width)).transpose()
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    vec![
        Example::new("global_average_pool", vec![Array::normal(&[2, 3, 4, 5], 1.0, 1)], |g, x| {
            g.global_average_pool(x[0])
        }),
        Example::new("global_average_pool_transpose", vec![Array::normal(&[2, 5], 1.0, 2)], |g, x| {
            g.global_average_pool_transpose(x[0], 3, 4)
        }),
    ]
}
