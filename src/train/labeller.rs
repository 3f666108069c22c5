//! What a method that makes its own labels is to the trainer: tensors for the training graph, and updates between steps.

use std::collections::HashMap;
use std::fmt::Debug;

use super::checkpoint::{Checkpoint, NamedTensor};
use super::events::Relabelled;
use crate::base::Result;
use crate::gpu::{Recording, Tensor};
use crate::graph::{Graph, NodeId};

/// Makes labels for the training images.
pub trait Labeller: Debug {
    /// The tensors of the leaves that the training graph reads labels from, or a network that makes them there
    /// ([`super::Method::is_labellers`]).
    ///
    /// # Errors
    /// When the graph lacks such a leaf.
    fn place(&self, graph: &Graph, placed: &mut HashMap<NodeId, Tensor>) -> Result<()>;

    /// What a user should know before the run begins, such as what is kept in memory.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether there is an update (another one, after those made so far) to make before step `step` (from 0), or, once
    /// `step` is the number of steps of the run, after the last.
    fn due(&self, step: u64) -> bool;

    /// Makes one update: labels, with one message a head, or some steps of the network that makes them.
    ///
    /// # Errors
    /// When the assignment is impossible or the device fails.
    fn update(&mut self, step: u64, epoch: f64) -> Result<Vec<Relabelled>>;

    /// Whether updates count as training time.
    fn trains(&self) -> bool {
        false
    }

    /// What one of those steps dispatches, where updates count as training.
    fn recording(&self) -> Option<&Recording> {
        None
    }

    /// Means since the last call, for the report of training metrics.
    ///
    /// # Errors
    /// When the device fails, or a value of an update was not finite.
    fn report(&mut self) -> Result<Vec<(String, f64)>> {
        Ok(Vec::new())
    }

    /// The labels, and what else an exact resumption needs, under [`super::checkpoint::LABELS`].
    ///
    /// # Errors
    /// When the device fails.
    fn tensors(&self) -> Result<Vec<NamedTensor>>;

    /// All updates so far, as JSON.
    ///
    /// # Errors
    /// When a value cannot be written.
    fn history(&self) -> Result<String>;

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    /// When its labels do not fit this run.
    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()>;
}
