//! `update_running(stats, running)`: running statistics of batch normalisation, moved in place.

use super::Example;
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::batch_norm_running;

#[derive(Debug)]
struct UpdateRunning {
    momentum: f32,
    count: usize,
}

impl Graph {
    /// `running ← (1 − momentum) · running + momentum · (mean, variance · n/(n − 1))`, PyTorch's rule, with
    /// `n = count` values a channel (a single value keeps the biased variance). In place, without a derivative.
    /// Shapes: `stats (2, C)`, `running (2, C)` (a state) → `(2, C)`.
    ///
    /// # Errors
    /// When the shapes differ, or the momentum lies outside [0, 1].
    pub fn update_running(&mut self, stats: NodeId, running: NodeId, momentum: f32, count: usize) -> Result<NodeId> {
        self.apply(UpdateRunning { momentum, count }, &[stats, running])
    }
}

impl Operation for UpdateRunning {
    fn name(&self) -> &'static str {
        "update_running"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        if inputs[0] != inputs[1] || inputs[0].rank() != 2 || inputs[0].rows() != 2 {
            return Err(Error::Shape(format!("stats {} and running {} are not both (2, C)", inputs[0], inputs[1])));
        }
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(Error::Shape(format!("momentum {} lies outside [0, 1]", self.momentum)));
        }
        Ok(inputs[1].clone())
    }

    fn in_place(&self) -> bool {
        true
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        batch_norm_running::record(recording, io.inputs[0], self.momentum, self.count, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        batch_norm_running::reference(inputs[0], self.momentum, self.count, inputs[1])
    }

    fn vjp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, _: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![None, None])
    }

    fn jvp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, _: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        Ok(None)
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    let x = Array::normal(&[2, 3, 4, 5], 1.0, 1);
    let running = Array::normal(&[2, 5], 1.0, 2);
    vec![
        Example::new("update_running", vec![x, running], |g, x| {
            let stats = g.batch_norm_stats(x[0])?;
            g.update_running(stats, x[1], 0.1, 24)
        })
        .updates_last(),
    ]
}
