//! SeLa: labels by optimal transport under given cluster sizes, learned by cross-entropy, made again and again while the
//! network trains (Asano, Rupprecht and Vedaldi 2020); `sela-rot` trains a fresh network on such labels and on rotation.

mod frozen;
mod judge;
mod labels;
mod settings;
mod updates;

pub use labels::{ASSIGNED, labels_of};
pub use settings::{Balance, Features, Heads, SelaSettings};
pub use updates::Updates;

use std::sync::Arc;

use crate::base::labels::LabelRule;
use crate::base::transforms::TransformSet;
use crate::base::{DType, Error, Result, Shape};
use crate::data::ImageSet;
use crate::graph::NodeId;
use crate::models::Backbone;
use crate::nn::Builder;
use crate::train::losses::{mean_cross_entropy, sum_correct};
use crate::train::views;
use crate::train::{Batch, Context, Labeller, Measure, Method, Metric, Objective, Prediction};

/// The leaf of the training graph that holds the labels: `(T, N)`.
const TABLE: &str = "assigned labels";
/// The state of the training graph that keeps the features of every image: `(N, D)`.
const BANK: &str = "feature bank";

/// The layer of head `head` among `heads`, as the official code names it.
pub fn head_name(head: usize, heads: usize) -> String {
    if heads == 1 { "top_layer".into() } else { format!("top_layer{head}") }
}

/// Self-labelling, with or without a rotation task beside it.
#[derive(Clone, Debug)]
pub struct SelfLabelling {
    settings: SelaSettings,
    rotation: bool,
}

impl SelfLabelling {
    /// SeLa, or SeLa + Rot on frozen labels when `rotation`.
    ///
    /// # Errors
    /// When `sela-rot` is given no labels.
    pub fn new(settings: SelaSettings, rotation: bool) -> Result<Self> {
        if rotation && settings.labels.is_empty() {
            return Err(Error::Config(
                "sela.labels is empty: `sela-rot` learns frozen labels; name a checkpoint of `sela` or a file that \
                 `relabel label` wrote"
                    .into(),
            ));
        }
        Ok(Self { settings, rotation })
    }

    fn tops(&self, b: &mut Builder, backbone: &dyn Backbone, features: NodeId) -> Result<Vec<NodeId>> {
        let SelaSettings { heads, clusters, .. } = self.settings;
        let top = |h| b.linear_from(&head_name(h, heads), features, clusters, backbone.head_start());
        (0..heads).map(top).collect()
    }

    /// Logits of every head on upright images: the copies of the rotation task are of no use there.
    fn sorted(&self, b: &mut Builder, backbone: &dyn Backbone, images: NodeId) -> Result<Vec<NodeId>> {
        let features = backbone.features(b, images)?;
        self.tops(b, backbone, features)
    }

    /// Features of the upright images, logits of every head, and those of the rotation where it is asked for.
    fn heads(
        &self,
        b: &mut Builder,
        backbone: &dyn Backbone,
        images: NodeId,
    ) -> Result<(NodeId, Vec<NodeId>, Option<NodeId>)> {
        let m = self.views();
        let x = if m == 1 { images } else { b.graph.transform_views(images, TransformSet::Rotation)? };
        let features = backbone.features(b, x)?;
        // The clusters are learned on the upright copy alone.
        let upright = if m == 1 { features } else { b.graph.first_view(features, m)? };
        let logits = self.tops(b, backbone, upright)?;
        let rotation =
            if m == 1 { None } else { Some(b.linear_from("rotation", features, m, backbone.head_start())?) };
        Ok((upright, logits, rotation))
    }
}

impl Method for SelfLabelling {
    fn name(&self) -> &'static str {
        if self.rotation { "sela-rot" } else { "sela" }
    }

    fn views(&self) -> usize {
        if self.rotation { TransformSet::Rotation.views() } else { 1 }
    }

    fn headline(&self) -> &'static str {
        "knn_accuracy"
    }

    fn selects_by(&self) -> &'static str {
        "knn_accuracy"
    }

    fn makes_labels(&self) -> bool {
        true
    }

    fn clusters(&self, b: &mut Builder, backbone: &dyn Backbone, batch: Batch) -> Result<Vec<NodeId>> {
        self.sorted(b, backbone, batch.images)
    }

    fn labeller(&self, context: Context<'_>) -> Result<Option<Box<dyn Labeller>>> {
        let labels = labels::Labels::new(&self.settings, self.rotation, context)?;
        Ok(Some(Box::new(labels)))
    }

    fn measure(&self, context: Context<'_>, set: &Arc<ImageSet>) -> Result<Option<Box<dyn Measure>>> {
        Ok(Some(Box::new(judge::Neighbours::new(context, set)?)))
    }

    fn check(&self, image: &Shape, _: usize) -> Result<()> {
        if self.rotation { views::check(TransformSet::Rotation, image) } else { Ok(()) }
    }

    fn train(&self, b: &mut Builder, backbone: &dyn Backbone, batch: Batch) -> Result<Objective> {
        let heads = self.settings.heads;
        let table = b.graph.input(TABLE, &[heads, batch.samples], DType::U32);
        let (features, logits, rotation) = self.heads(b, backbone, batch.images)?;
        if !self.rotation && self.settings.features == Features::Bank {
            let width = b.graph.shape(features).last();
            let bank = b.graph.state(BANK, &[batch.samples, width]);
            b.graph.scatter_rows(features, batch.draws, batch.labels, bank, 0, false)?;
        }
        let images = b.graph.shape(batch.labels).elements() as f32;
        let (mut losses, mut rights) = (Vec::new(), Vec::new());
        for (head, &logits) in logits.iter().enumerate() {
            let labels = b.graph.gather_labels(table, batch.draws, batch.labels, head)?;
            losses.push(mean_cross_entropy(b, logits, labels, LabelRule::Class, 1)?);
            rights.push(sum_correct(b, logits, labels, LabelRule::Class, 1)?);
        }
        let cluster = mean(b, &losses, 1.0)?;
        let accuracy = mean(b, &rights, images)?;
        let mut metrics = vec![Metric::new("accuracy", accuracy)];
        let mut loss = cluster;
        if let Some(rotation) = rotation {
            let m = self.views();
            let turned = mean_cross_entropy(b, rotation, batch.labels, LabelRule::View, m)?;
            let right = sum_correct(b, rotation, batch.labels, LabelRule::View, m)?;
            metrics.extend([
                Metric::new("cluster_loss", cluster),
                Metric::new("rotation_loss", turned),
                Metric::new("rotation_accuracy", b.graph.scale(right, 1.0 / images)?),
            ]);
            loss = b.graph.add(loss, turned)?;
        }
        Ok(Objective { loss, metrics })
    }

    /// There are no labels of other images to measure by: see [`Method::measure`]. This asks for the network's tensors.
    fn evaluate(&self, b: &mut Builder, backbone: &dyn Backbone, batch: Batch) -> Result<Vec<Metric>> {
        self.heads(b, backbone, batch.images)?;
        Ok(Vec::new())
    }

    fn predict(&self, b: &mut Builder, backbone: &dyn Backbone, images: NodeId, _: usize) -> Result<Prediction> {
        let logits = self.sorted(b, backbone, images)?;
        let probabilities = b.graph.softmax(logits[0])?;
        Ok(Prediction { probabilities, view_probabilities: probabilities })
    }
}

/// The mean of scalars, divided by `by` as well.
fn mean(b: &mut Builder, values: &[NodeId], by: f32) -> Result<NodeId> {
    let mut sum = values[0];
    for &value in &values[1..] {
        sum = b.graph.add(sum, value)?;
    }
    b.graph.scale(sum, 1.0 / (by * values.len() as f32))
}
