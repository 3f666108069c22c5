//! What a method is to the trainer: graphs to train, to evaluate and to predict with. The trainer knows this trait and
//! no method.

use std::fmt::Debug;

use crate::base::{Result, Shape};
use crate::graph::NodeId;
use crate::models::Backbone;
use crate::nn::Builder;

/// The leaves of a batch, already in the graph.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// Normalised images `(B, H, W, C)`, cropped and flipped in training.
    pub images: NodeId,
    /// Classes `(B)`; [`IGNORED`] marks padding rows of a last, short batch.
    pub labels: NodeId,
    /// Number of classes N.
    pub classes: usize,
}

/// The label of a row that does not count: loss 0, gradient 0, in no accuracy.
pub const IGNORED: u32 = u32::MAX;

/// A number to report: a name and a node of shape `(1)`.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Name in `metrics.jsonl`; see `docs/guide/metrics.md`.
    pub name: String,
    /// Training: the mean over the batch. Evaluation: the sum over the images of the batch.
    pub value: NodeId,
}

impl Metric {
    /// A metric.
    pub fn new(name: &str, value: NodeId) -> Self {
        Self { name: name.into(), value }
    }
}

/// What a training graph computes.
#[derive(Clone, Debug)]
pub struct Objective {
    /// The loss `(1)`, a mean over the batch.
    pub loss: NodeId,
    /// Means over the batch; the trainer adds the loss itself.
    pub metrics: Vec<Metric>,
}

/// What a prediction graph computes.
#[derive(Clone, Copy, Debug)]
pub struct Prediction {
    /// Class probabilities `(B, N)`, by the method's best inference.
    pub probabilities: NodeId,
    /// Class probabilities of each view alone, `(B·M, N)`, image-major.
    pub view_probabilities: NodeId,
}

/// A way to train a classifier.
pub trait Method: Debug + Send + Sync {
    /// The name in configs.
    fn name(&self) -> &'static str;

    /// M: transformed views of each image (1 where there are none).
    fn views(&self) -> usize;

    /// The metric that one number for this method stands for (`accuracy` in tables).
    fn headline(&self) -> &'static str;

    /// Refuses data that the method cannot use.
    ///
    /// # Errors
    /// When a transformation does not fit the images, with both named. `image` is `(H, W, C)`.
    fn check(&self, image: &Shape, classes: usize) -> Result<()>;

    /// Appends the training pass.
    ///
    /// # Errors
    /// When shapes do not fit.
    fn train(&self, b: &mut Builder, backbone: &dyn Backbone, batch: Batch) -> Result<Objective>;

    /// Appends the evaluation pass: sums over the batch's images.
    ///
    /// # Errors
    /// When shapes do not fit.
    fn evaluate(&self, b: &mut Builder, backbone: &dyn Backbone, batch: Batch) -> Result<Vec<Metric>>;

    /// Appends the prediction pass; labels are not read.
    ///
    /// # Errors
    /// When shapes do not fit.
    fn predict(&self, b: &mut Builder, backbone: &dyn Backbone, images: NodeId, classes: usize) -> Result<Prediction>;
}
