//! Dynamic loss scaling of runs in half precision: the loss is multiplied by a scale so that small gradients of feature maps
//! stay above what 16-bit floats can hold; the optimizer divides by it. Gradients that are not finite leave their step
//! out and halve the scale; it doubles after many steps without that.

use crate::base::{DType, Result, Shape};
use crate::gpu::{Engine, Recording, Tensor, readback};
use crate::graph::{Graph, NodeId};
use crate::kernels::loss_scale::{self, Buffers, FIRST, INTERVAL};

/// A scale that so many overflows in a row have halved is not what is wrong: 2⁻¹⁴ is the smallest normal 16-bit float.
const LEAST: f32 = 1.0 / 16_384.0;

/// The scale and its counters.
#[derive(Debug)]
pub struct LossScale {
    scale: Tensor,
    counts: Tensor,
}

/// What a loss scale is at some step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The scale.
    pub scale: f32,
    /// Steps since the scale changed.
    pub row: f32,
    /// Steps left out in all.
    pub left_out: f32,
}

impl LossScale {
    /// One at its first value.
    ///
    /// # Errors
    /// When memory does not suffice.
    pub fn new(engine: &Engine) -> Result<Self> {
        let scale = engine.tensor("loss scale", Shape::scalar(), DType::F32)?;
        let counts = engine.tensor("loss scale (counts)", Shape::new(&[2]), DType::F32)?;
        let new = Self { scale, counts };
        new.set(engine, Reading { scale: FIRST, row: 0.0, left_out: 0.0 });
        Ok(new)
    }

    /// The leaf that stands for the scale in a training graph `(1)`: where the gradient of the loss starts.
    pub fn leaf(graph: &mut Graph) -> NodeId {
        graph.state("loss_scale", &[1])
    }

    /// The scale's tensor `(1)`.
    pub fn tensor(&self) -> &Tensor {
        &self.scale
    }

    /// Records the optimizer's `factor` of gradients whose norm, scaled and summed over `1 / base` micro-batches, is `norm`,
    /// and the next step's scale.
    ///
    /// # Errors
    /// When a tensor is not a scalar.
    pub fn record(
        &self,
        recording: &mut Recording,
        norm: &Tensor,
        highest: Option<f32>,
        base: f32,
        factor: &Tensor,
    ) -> Result<()> {
        let buffers = Buffers { norm, scale: &self.scale, counts: &self.counts, factor };
        loss_scale::record(recording, highest, base, INTERVAL, buffers)
    }

    /// Reads it.
    ///
    /// # Errors
    /// When the device has failed.
    pub fn read(&self, engine: &Engine) -> Result<Reading> {
        let words = readback::read_words::<f32>(engine, &[&self.scale, &self.counts])?;
        Ok(Reading { scale: words[0][0], row: words[1][0], left_out: words[1][1] })
    }

    /// Sets it, for a run that goes on.
    pub fn set(&self, engine: &Engine, reading: Reading) {
        engine.write(&self.scale, &[reading.scale]);
        engine.write(&self.counts, &[reading.row, reading.left_out]);
    }
}

impl Reading {
    /// Whether no scale makes the gradients finite.
    pub fn hopeless(&self) -> bool {
        self.scale < LEAST
    }
}
