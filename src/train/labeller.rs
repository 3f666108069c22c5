//! What a method that makes its own labels is to the trainer: tensors for the training graph, and updates between steps.

use std::collections::HashMap;
use std::fmt::Debug;

use super::checkpoint::{Checkpoint, NamedTensor};
use super::events::Relabelled;
use crate::base::Result;
use crate::gpu::Tensor;
use crate::graph::{Graph, NodeId};

/// Makes labels for the training images.
pub trait Labeller: Debug {
    /// The tensors of the leaves that the training graph reads labels from.
    ///
    /// # Errors
    /// When the graph lacks such a leaf.
    fn place(&self, graph: &Graph, placed: &mut HashMap<NodeId, Tensor>) -> Result<()>;

    /// What a user should know before the run begins, such as what is kept in memory.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether labels are made before step `step` (from 0).
    fn due(&self, step: u64) -> bool;

    /// Makes labels; one message a head.
    ///
    /// # Errors
    /// When the assignment is impossible or the device fails.
    fn update(&mut self, step: u64, epoch: f64) -> Result<Vec<Relabelled>>;

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
