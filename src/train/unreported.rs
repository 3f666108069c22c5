//! Steps without reports, evaluations and checkpoints: what `relabel bench` and `relabel profile` time and what peers repeat.

use super::events;
use super::trainer::{Clock, Prepared, SLOTS, Trainer};
use crate::base::Result;
use crate::data::Draw;
use crate::gpu::{Recording, readback};

impl Trainer {
    /// Replays `count` steps as fast as they go and waits for them.
    ///
    /// # Errors
    /// When the device fails.
    pub fn run_unreported(&mut self, count: u64) -> Result<()> {
        for _ in 0..count {
            self.submit_unreported()?;
        }
        readback::wait(&self.engine)
    }

    /// Records and submits one step; waits only for earlier ones, when two are in flight. Label updates that do not train
    /// are left out.
    ///
    /// # Errors
    /// When the device fails.
    pub fn submit_unreported(&mut self) -> Result<()> {
        if self.labeller.as_ref().is_some_and(|labeller| labeller.trains()) {
            self.relabel(&mut Clock::start(), &mut events::Silent, &|| false)?;
        }
        let sampling = self.engine.span("sample");
        let draws = self.sampler.batch(self.step);
        drop(sampling);
        self.submit(&Prepared { draws, pixels: None })?;
        self.step += 1;
        Ok(())
    }

    /// Runs one step, as [`Trainer::submit_unreported`], and reads its loss: the mean over the batch.
    ///
    /// # Errors
    /// When the device fails.
    pub fn loss_of_next(&mut self) -> Result<f32> {
        self.engine.write_words(&self.metrics, &[0.0f32; SLOTS]);
        self.submit_unreported()?;
        Ok(readback::read::<f32>(&self.engine, &self.metrics)?[1])
    }

    /// The images of step `step`'s batch, in its order.
    pub fn draws(&mut self, step: u64) -> Vec<Draw> {
        self.sampler.batch(step)
    }

    /// Bytes of the training graph's plan: what is kept from one part of a step to another.
    pub fn planned(&self) -> u64 {
        self.planned
    }

    /// What a step dispatches, and what a step of a labeller that trains does besides.
    pub fn recordings(&self) -> Vec<&Recording> {
        let labeller = self.labeller.as_ref().and_then(|labeller| labeller.recording());
        [Some(&self.recording), labeller].into_iter().flatten().collect()
    }
}
