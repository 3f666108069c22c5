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
use crate::base::{DType, Error, Result, Shape, pad4};
use crate::data::ImageSet;
use crate::graph::NodeId;
use crate::kernels::channel_window::ChannelWindow;
use crate::models::Backbone;
use crate::nn::Builder;
use crate::train::losses::{mean_cross_entropy, sum_correct};
use crate::train::views;
use crate::train::{Batch, Context, Labeller, Measure, Method, Metric, Objective, Prediction};

/// The leaf of the training graph that holds the labels: `(T, N)`.
const TABLE: &str = "assigned labels";
/// The state of the training graph that keeps the features of every image: `(N, D)`.
const BANK: &str = "feature bank";

/// The layer of the only head, as the official code names it; of several it puts each one's number behind.
const TOP: &str = "top_layer";

/// The logits of all heads, beside each other where there are several: `(R, K)`, or `(R, T · pad4(K))`.
#[derive(Clone, Copy, Debug)]
struct Logits {
    all: NodeId,
    heads: usize,
    clusters: usize,
}

impl Logits {
    /// A row for each head of each image: `(R · T, K)`.
    fn rows(&self, b: &mut Builder) -> Result<NodeId> {
        if self.heads == 1 { Ok(self.all) } else { b.graph.split_heads(self.all, self.heads, self.clusters) }
    }

    /// Those of one head: `(R, K)`.
    fn of(&self, b: &mut Builder, head: usize) -> Result<NodeId> {
        match self.heads {
            1 => Ok(self.all),
            _ => b.graph.channel_window(self.all, columns_of(head, self.clusters)),
        }
    }
}

/// The columns of one head among those of several.
fn columns_of(head: usize, clusters: usize) -> ChannelWindow {
    ChannelWindow { from: head * pad4(clusters), to: 0, count: clusters, channels: clusters, stride: 1 }
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

    fn tops(&self, b: &mut Builder, backbone: &dyn Backbone, features: NodeId) -> Result<Logits> {
        let SelaSettings { heads, clusters, .. } = self.settings;
        let all = match heads {
            1 => b.linear_from(TOP, features, clusters, backbone.head_start())?,
            _ => b.linear_heads(TOP, features, [heads, clusters], backbone.head_start())?,
        };
        Ok(Logits { all, heads, clusters })
    }

    /// Logits of every head on upright images: the copies of the rotation task are of no use there.
    fn sorted(&self, b: &mut Builder, backbone: &dyn Backbone, images: NodeId) -> Result<Logits> {
        let features = backbone.features(b, images)?;
        self.tops(b, backbone, features)
    }

    /// Features of the upright images, logits of every head, and those of the rotation where it is asked for.
    fn heads(
        &self,
        b: &mut Builder,
        backbone: &dyn Backbone,
        images: NodeId,
    ) -> Result<(NodeId, Logits, Option<NodeId>)> {
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
        let logits = self.sorted(b, backbone, batch.images)?;
        (0..logits.heads).map(|head| logits.of(b, head)).collect()
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
        // The mean over heads of their means is that over all their rows.
        let labels = b.graph.gather_labels(table, batch.draws, batch.labels, 0..heads)?;
        let logits = logits.rows(b)?;
        let cluster = mean_cross_entropy(b, logits, labels, LabelRule::Class, 1)?;
        let right = sum_correct(b, logits, labels, LabelRule::Class, 1)?;
        let accuracy = b.graph.scale(right, 1.0 / (images * heads as f32))?;
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
        let logits = self.sorted(b, backbone, images)?.of(b, 0)?;
        let probabilities = b.graph.softmax(logits)?;
        Ok(Prediction { probabilities, view_probabilities: probabilities })
    }
}
