//! What a run tells: typed messages, and who listens.

use std::path::PathBuf;

use crate::base::Result;

/// Named values in the order in which they were added.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Metrics(Vec<(String, f64)>);

impl Metrics {
    /// Adds a value, or replaces the one of that name.
    pub fn set(&mut self, name: &str, value: f64) {
        match self.0.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.into(), value)),
        }
    }

    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
    }

    /// All names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}

impl<S: Into<String>> FromIterator<(S, f64)> for Metrics {
    fn from_iter<I: IntoIterator<Item = (S, f64)>>(values: I) -> Self {
        Self(values.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

/// A run begins, or goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    /// Name of the method.
    pub method: String,
    /// Name of the network.
    pub model: String,
    /// Trained numbers of the network.
    pub parameters: u64,
    /// Name, kind, backend and driver of the adapter.
    pub adapter: String,
    /// Steps done before: 0 for a new run.
    pub first_step: u64,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Images of a step, before transformations.
    pub batch: usize,
    /// Images that are trained on.
    pub train_images: usize,
    /// Device memory of the plans and the data, in bytes.
    pub memory: u64,
}

/// Training metrics since the last message of this kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Optimizer steps done.
    pub step: u64,
    /// Passes over the training images done.
    pub epoch: f64,
    /// Mean loss.
    pub loss: f64,
    /// Part of the rows that were right, 0 to 1.
    pub accuracy: f64,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Images (before transformations) of a second.
    pub images_per_second: f64,
    /// Seconds since the start of the run or of its resumption.
    pub seconds: f64,
    /// What the method adds.
    pub metrics: Metrics,
}

/// An evaluation is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// Optimizer steps done.
    pub step: u64,
    /// Passes over the training images done.
    pub epoch: f64,
    /// `validation` or `test`.
    pub split: String,
    /// Images evaluated.
    pub images: usize,
    /// Seconds that it took.
    pub seconds: f64,
    /// Results; those whose names end in `accuracy` lie in 0 to 1.
    pub metrics: Metrics,
}

/// One head's labels were made anew.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Relabelled {
    /// Steps done.
    pub step: u64,
    /// Passes over the training images done.
    pub epoch: f64,
    /// Number of the update, from 1.
    pub update: u64,
    /// The head, from 0.
    pub head: usize,
    /// Share of the images whose label is another one than before.
    pub changed: f64,
    /// Sinkhorn iterations.
    pub iterations: u32,
    /// Largest relative error of a cluster's mass when they ended.
    pub marginal_error: f64,
    /// Whether that is within the tolerance.
    pub converged: bool,
    /// Mean of −log P of the labels.
    pub cost: f64,
    /// Exact sizes: no other labels of these sizes have a mean cost below `cost − gap`; `None` where some image's
    /// cluster is none of its candidates, whose cost is only bounded.
    pub gap: Option<f64>,
    /// Images of the smallest and of the largest cluster.
    pub sizes: [u64; 2],
    /// Normalised mutual information of the labels and the training images' classes, where there are classes. A
    /// report: nothing is chosen by it.
    pub nmi: Option<f64>,
    /// Seconds, those of the pass over the images shared by all heads of an update.
    pub seconds: f64,
    /// Of these, seconds of the assignment itself.
    pub assignment_seconds: f64,
}

/// A checkpoint was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// Optimizer steps done.
    pub step: u64,
    /// Its path.
    pub path: PathBuf,
    /// Whether it is the best so far.
    pub best: bool,
}

/// A run ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// Optimizer steps done.
    pub step: u64,
    /// Seconds since the start of the run or of its resumption.
    pub seconds: f64,
    /// Whether all steps are done; else it was stopped and can be resumed.
    pub complete: bool,
}

/// A message of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A run begins, or goes on.
    Started(Started),
    /// Training metrics, every `log.every` steps.
    Step(Step),
    /// An evaluation, every `evaluate.every` steps. Comes before the checkpoint of the same step.
    Evaluated(Evaluated),
    /// The labels of one head, at each update.
    Relabelled(Relabelled),
    /// A checkpoint, every `checkpoint.every` steps.
    Saved(Saved),
    /// Something the user should know, in a sentence.
    Note(String),
    /// A run ends.
    Finished(Finished),
}

/// A listener. It cannot change the run; its failure stops the run.
pub trait Sink {
    /// Takes a message.
    ///
    /// # Errors
    /// When the message cannot be written.
    fn event(&mut self, event: &Event) -> Result<()>;
}

impl<S: Sink + ?Sized> Sink for &mut S {
    fn event(&mut self, event: &Event) -> Result<()> {
        (**self).event(event)
    }
}

impl<S: Sink + ?Sized> Sink for Box<S> {
    fn event(&mut self, event: &Event) -> Result<()> {
        (**self).event(event)
    }
}

/// Several listeners, one after the other.
impl<S: Sink> Sink for Vec<S> {
    fn event(&mut self, event: &Event) -> Result<()> {
        self.iter_mut().try_for_each(|sink| sink.event(event))
    }
}

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Sink for Silent {
    fn event(&mut self, _: &Event) -> Result<()> {
        Ok(())
    }
}
