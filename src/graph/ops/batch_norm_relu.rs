//! Batch normalisation and the rectified linear unit after it in one pass, and both passes of their gradient. With
//! `y = weight · (x − mean) / √(variance + eps) + bias` and `m = u · [y > 0]`,
//!
//! - `batch_norm_relu(x, stats, affine) = max(y, 0)`, and with a residual `max(y + residual, 0)`,
//! - `batch_norm_relu_sums(x, stats, affine, u) = batch_norm_sums(x, stats, m)`,
//! - `batch_norm_relu_project(x, stats, u, sums, affine) = batch_norm_project(x, stats, m, sums, affine)`.
//!
//! The last two work out again which values passed, so that `m` is never stored. Made by `fuse` alone.

use super::Example;
use super::batch_norm::infer_rows;
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::ir::fused;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::{
    batch_norm_add_relu, batch_norm_relu, batch_norm_relu_project, batch_norm_relu_sums, batch_norm_sums,
};

/// Inputs `x, stats, affine`, and a residual or none.
#[derive(Debug)]
pub(in crate::graph) struct BatchNormRelu {
    pub eps: f32,
}

/// Inputs `x, stats, affine, u`.
#[derive(Debug)]
pub(in crate::graph) struct BatchNormReluSums {
    pub eps: f32,
}

/// Inputs `x, stats, u, sums, affine`.
#[derive(Debug)]
pub(in crate::graph) struct BatchNormReluProject {
    pub eps: f32,
}

/// Refuses a tensor of another shape than `x`.
fn as_x(what: &str, tensor: &Shape, x: &Shape) -> Result<()> {
    if tensor == x {
        return Ok(());
    }
    Err(Error::Shape(format!("x {x} and {what} {tensor} differ")))
}

impl Operation for BatchNormRelu {
    fn name(&self) -> &'static str {
        "batch_norm_relu"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        if let Some(residual) = inputs.get(3) {
            as_x("the residual", residual, inputs[0])?;
        }
        infer_rows(inputs[0], &[("stats", inputs[1]), ("affine", inputs[2])], Some(self.eps))
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        match *io.inputs {
            [x, stats, affine, residual] => {
                batch_norm_add_relu::record(recording, self.eps, [x, stats, affine, residual], io.output)
            }
            _ => batch_norm_relu::record(recording, self.eps, [io.inputs[0], io.inputs[1], io.inputs[2]], io.output),
        }
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        match *inputs {
            [x, stats, affine, residual] => batch_norm_add_relu::reference(self.eps, x, stats, affine, residual),
            _ => batch_norm_relu::reference(self.eps, inputs[0], inputs[1], inputs[2]),
        }
    }

    fn vjp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, _: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Err(fused(self.name()))
    }

    fn jvp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, _: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        Err(fused(self.name()))
    }
}

impl Operation for BatchNormReluSums {
    fn name(&self) -> &'static str {
        "batch_norm_relu_sums"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        as_x("u", inputs[3], inputs[0])?;
        infer_rows(inputs[0], &[("stats", inputs[1]), ("affine", inputs[2])], Some(self.eps))?;
        Ok(inputs[1].clone())
    }

    fn scratch(&self, inputs: &[&Shape], _: &Shape) -> Vec<Shape> {
        vec![batch_norm_sums::scratch(inputs[0])]
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        let i = io.inputs;
        batch_norm_relu_sums::record(recording, self.eps, [i[0], i[1], i[2], i[3]], io.scratch[0], io.output)
    }

    fn interpret(&self, i: &[&Array]) -> Array {
        batch_norm_relu_sums::reference(self.eps, i[0], i[1], i[2], i[3])
    }

    fn vjp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, _: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Err(fused(self.name()))
    }

    fn jvp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, _: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        Err(fused(self.name()))
    }
}

impl Operation for BatchNormReluProject {
    fn name(&self) -> &'static str {
        "batch_norm_relu_project"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        as_x("u", inputs[2], inputs[0])?;
        let rows = [("stats", inputs[1]), ("sums", inputs[3]), ("affine", inputs[4])];
        infer_rows(inputs[0], &rows, Some(self.eps))
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        let i = io.inputs;
        batch_norm_relu_project::record(recording, self.eps, [i[0], i[1], i[2], i[3], i[4]], io.output)
    }

    fn interpret(&self, i: &[&Array]) -> Array {
        batch_norm_relu_project::reference(self.eps, i[0], i[1], i[2], i[3], i[4])
    }

    fn vjp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, _: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Err(fused(self.name()))
    }

    fn jvp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, _: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        Err(fused(self.name()))
    }
}

/// For the checks of the device; there is no derivative.
pub fn examples() -> Vec<Example> {
    let x = |seed| Array::normal(&[2, 3, 4, 5], 1.0, seed);
    let stats = || Array::normal(&[2, 5], 1.0, 9).map(|v| v.abs() + 0.1);
    let affine = || Array::normal(&[2, 5], 1.0, 4);
    let eps = 1e-2;
    let forward = move |g: &mut Graph, x: &[NodeId]| g.apply(BatchNormRelu { eps }, x);
    vec![
        Example::new("batch_norm_relu", vec![x(1), stats(), affine()], forward).no_derivative(),
        Example::new("batch_norm_relu with a residual", vec![x(1), stats(), affine(), x(2)], forward).no_derivative(),
        Example::new("batch_norm_relu_sums", vec![x(1), stats(), affine(), x(3)], move |g, x| {
            g.apply(BatchNormReluSums { eps }, x)
        })
        .no_derivative(),
        Example::new("batch_norm_relu_project", vec![x(1), stats(), x(3), affine(), affine()], move |g, x| {
            g.apply(BatchNormReluProject { eps }, x)
        })
        .no_derivative(),
    ]
}
