//! Runs that have gone wrong: a loss, a gradient or a weight that is not finite.

use super::checkpoint::{Checkpoint, NamedTensor, TensorData};
use super::loss_scale::Reading;
use super::trainer::Trainer;
use crate::base::{Error, Result};
use crate::gpu::readback;
use crate::graph::Precision;

impl Trainer {
    /// The sums of the metrics.
    ///
    /// # Errors
    /// When a loss was not finite, or the device has failed.
    pub(super) fn counters(&self) -> Result<Vec<f32>> {
        let sums: Vec<f32> = readback::read(&self.engine, &self.metrics)?;
        if sums[0] != 0.0 {
            return Err(self.diverged("the loss", sums[0] as u64));
        }
        Ok(sums)
    }

    /// The loss scale, where there is one.
    ///
    /// # Errors
    /// When no scale makes the gradients finite, or the device has failed.
    pub(super) fn loss_scale(&self) -> Result<Option<Reading>> {
        let found = self.optimizer.loss_scale().map(|loss_scale| loss_scale.read(&self.engine)).transpose()?;
        match found {
            Some(found) if found.hopeless() => Err(self.diverged("a gradient", self.step)),
            found => Ok(found),
        }
    }

    /// The update after a finite loss can still overflow: such weights must not replace good ones either.
    pub(super) fn check_finite(&self, checkpoint: &Checkpoint) -> Result<()> {
        let finite = |t: &NamedTensor| !matches!(&t.data, TensorData::F32(v) if v.iter().any(|x| !x.is_finite()));
        match checkpoint.tensors.iter().find(|t| !finite(t)) {
            Some(tensor) => Err(self.diverged(&format!("`{}`", tensor.name), self.step)),
            None => Ok(()),
        }
    }

    fn diverged(&self, what: &str, step: u64) -> Error {
        let precision = match self.config.precision {
            Precision::F32 | Precision::Tf32 => "",
            Precision::F16 => ", or precision = \"f32\": 16-bit floats end at 65504",
        };
        Error::Diverged(format!(
            "{what} became NaN or infinite at step {step}; the last good checkpoint is kept. Try a lower optimizer.lr \
             (now {}), a warm-up (schedule.warmup), or optimizer.max_grad_norm{precision}",
            self.config.optimizer.lr
        ))
    }
}
