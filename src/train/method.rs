//! What a method is to the trainer: graphs to train, to evaluate and to predict with. The trainer knows this trait and
//! no method.

use std::fmt::Debug;
use std::sync::Arc;

use super::config::Config;
use super::datasets::Datasets;
use super::events::Metrics;
use super::feed::Feed;
use super::labeller::Labeller;
use super::network::Network;
use crate::base::{Result, Shape};
use crate::data::ImageSet;
use crate::gpu::{Engine, Variants};
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
    /// Which image each row shows: `(B, 4)`, place in the bound bytes, index of the image, epoch, 0.
    pub draws: NodeId,
    /// Images of the whole set.
    pub samples: usize,
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

/// What a method may use when it prepares its part of a run.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The device.
    pub engine: &'a Arc<Engine>,
    /// The run's settings.
    pub config: &'a Config,
    /// The run's images.
    pub data: &'a Datasets,
    /// The network being trained.
    pub network: &'a Network,
    /// How to build its trunk.
    pub backbone: &'a dyn Backbone,
    /// The training images on the device.
    pub feed: &'a Feed,
    /// The kernels' variants for this device.
    pub variants: &'a Variants,
    /// Steps of the whole run.
    pub steps: u64,
}

/// Measures the network during a run on images that it is not trained on.
pub trait Measure: Debug {
    /// Names of the metrics, in order.
    fn names(&self) -> &[String];

    /// Images measured on.
    fn images(&self) -> usize;

    /// The metrics of the network as it is now, in order.
    ///
    /// # Errors
    /// When the device fails.
    fn run(&mut self, engine: &Engine) -> Result<Vec<(String, f64)>>;
}

/// A way to train a classifier.
pub trait Method: Debug + Send + Sync {
    /// The name in configs.
    fn name(&self) -> &'static str;

    /// M: transformed views of each image (1 where there are none).
    fn views(&self) -> usize;

    /// The metric that one number for this method stands for (`accuracy` in tables).
    fn headline(&self) -> &'static str;

    /// The metric that chooses the best checkpoint unless the settings name another.
    fn selects_by(&self) -> &'static str {
        "single_accuracy"
    }

    /// Whether it learns from labels of its own, and not from the data's classes.
    fn makes_labels(&self) -> bool {
        false
    }

    /// Appends the logits `(B, K)` of every head that sorts images into clusters or finer labels; none where there is none.
    /// The batch's labels are read by what sorts within a class ([`Method::sorts_within_classes`]).
    ///
    /// # Errors
    /// When shapes do not fit.
    fn clusters(&self, _: &mut Builder, _: &dyn Backbone, _: Batch) -> Result<Vec<NodeId>> {
        Ok(Vec::new())
    }

    /// Whether a tensor of the training graph belongs to a network of the labeller's, which training reads and the
    /// labeller learns.
    fn is_labellers(&self, _tensor: &str) -> bool {
        false
    }

    /// What a user should know about the training metrics of a report, such as labels that have collapsed; it is told once.
    fn warning(&self, _: &Metrics) -> Option<String> {
        None
    }

    /// Whether [`Method::clusters`] needs the images' classes.
    fn sorts_within_classes(&self) -> bool {
        false
    }

    /// What makes its labels during a run; its tensors are leaves of the training graph.
    ///
    /// # Errors
    /// When settings, data and device do not fit together.
    fn labeller(&self, _: Context<'_>) -> Result<Option<Box<dyn Labeller>>> {
        Ok(None)
    }

    /// A measure of its own; without it, [`Method::evaluate`] on `set`.
    ///
    /// # Errors
    /// When it does not fit the device.
    fn measure(&self, _: Context<'_>, _: &Arc<ImageSet>) -> Result<Option<Box<dyn Measure>>> {
        Ok(None)
    }

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
