//! MAXL: a network learns auxiliary labels for another, by how much they help it (Liu, Davison and Johns 2019); and what it
//! is compared with: the primary task alone, auxiliary labels drawn at random, clusters, and labels that people made.

mod clusters;
mod generator;
mod given;
mod settings;

pub use given::labels_of;
pub use settings::{Head, Hierarchy, MaxlSettings, MetaData, Order, Running};

use crate::base::labels::LabelRule;
use crate::base::{DType, Error, Result, Shape};
use crate::graph::NodeId;
use crate::models::Backbone;
use crate::nn::Builder;
use crate::train::events::Metrics;
use crate::train::losses::{mean_focal, sum_correct, sum_cross_entropy};
use crate::train::{Batch, Context, Labeller, Method, Metric, Objective, Prediction};

/// What all names of the generator's tensors begin with.
const GENERATOR: &str = "generator";
/// The leaf of the training graph that holds labels that do not change: `(1, N)`.
const TABLE: &str = "auxiliary labels";
/// The checkpoint's tensor of ψ, `(N)`.
const HIERARCHY: &str = "labels.hierarchy";
/// Labels have collapsed when their use is below this part of the possible.
const COLLAPSED: f64 = 0.02;

/// Where auxiliary labels come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From the label generator: `maxl`.
    Generated,
    /// There are none: `maxl-single`.
    None,
    /// Drawn within each class: `maxl-random`.
    Random,
    /// Clusters within each class: `maxl-kmeans`.
    Clusters,
    /// From people: `maxl-human`.
    Human,
}

/// A primary task with an auxiliary one.
#[derive(Debug)]
pub struct Maxl {
    settings: MaxlSettings,
    source: Source,
    /// The generator's network, without its head.
    generator: Box<dyn Backbone>,
}

impl Maxl {
    /// The method; `generator` is the network of the label generator.
    ///
    /// # Errors
    /// When `maxl-human` is given no labels.
    pub fn new(settings: MaxlSettings, source: Source, generator: Box<dyn Backbone>) -> Result<Self> {
        if source == Source::Human && settings.labels.is_empty() {
            return Err(Error::Config(
                "maxl.labels is empty: `maxl-human` learns a finer labelling; name a label file, or \"own\" for the finest \
                 labels that came with the data"
                    .into(),
            ));
        }
        Ok(Self { settings, source, generator })
    }

    /// Logits `(B, labels)` on features `(B, D)`.
    fn head(&self, b: &mut Builder, name: &str, net: &dyn Backbone, features: NodeId, labels: usize) -> Result<NodeId> {
        match self.settings.head {
            Head::Linear => b.linear_from(name, features, labels, net.head_start()),
            Head::Hidden => b.within(name, |b| {
                let width = b.graph.shape(features).last();
                let hidden = b.linear_from("0", features, width, net.head_start())?;
                let hidden = b.graph.relu(hidden)?;
                b.linear_from("2", hidden, labels, net.head_start())
            }),
        }
    }

    /// Primary logits `(B, N)`, and auxiliary ones `(B, Σψ)` where there is such a task.
    fn heads(
        &self,
        b: &mut Builder,
        backbone: &dyn Backbone,
        images: NodeId,
        classes: usize,
    ) -> Result<(NodeId, Option<NodeId>)> {
        let features = backbone.features(b, images)?;
        let primary = self.head(b, "primary", backbone, features, classes)?;
        if self.source == Source::None {
            return Ok((primary, None));
        }
        let labels = self.settings.hierarchy.of(classes)?.iter().sum();
        Ok((primary, Some(self.head(b, "auxiliary", backbone, features, labels)?)))
    }

    fn multitask(
        &self,
        b: &mut Builder,
        backbone: &dyn Backbone,
        images: NodeId,
        classes: usize,
    ) -> Result<[NodeId; 2]> {
        match self.heads(b, backbone, images, classes)? {
            (primary, Some(auxiliary)) => Ok([primary, auxiliary]),
            _ => Err(Error::Shape("a meta step without an auxiliary task".into())),
        }
    }

    /// Logits `(B, Σψ)` of the label generator.
    fn generated(&self, b: &mut Builder, images: NodeId, classes: usize) -> Result<NodeId> {
        let labels = self.settings.hierarchy.of(classes)?.iter().sum();
        b.within(GENERATOR, |b| {
            let features = self.generator.features(b, images)?;
            self.head(b, "auxiliary", &*self.generator, features, labels)
        })
    }

    /// 1/ψ in the columns of each image's class, and 0 in the others: `(B, Σψ)`.
    fn even(&self, b: &mut Builder, batch: Batch) -> Result<NodeId> {
        let hierarchy = self.settings.hierarchy.of(batch.classes)?;
        let sizes = [b.graph.shape(batch.labels).elements(), hierarchy.iter().sum()];
        let zeros = b.graph.constant(&sizes, 0.0);
        b.graph.masked_softmax(zeros, batch.labels, &hierarchy)
    }

    /// The generator's logits, far below all others in the columns of other classes.
    fn within_class(&self, b: &mut Builder, batch: Batch) -> Result<NodeId> {
        let logits = self.generated(b, batch.images, batch.classes)?;
        let own = self.even(b, batch)?;
        let sizes = b.graph.shape(own).sizes().to_vec();
        let ones = b.graph.constant(&sizes, 1.0);
        let outside = b.graph.weighted_sum(ones, 1.0, own, -1e6)?;
        let outside = b.graph.relu(outside)?;
        b.graph.weighted_sum(logits, 1.0, outside, -1e9)
    }

    /// Auxiliary labels `(B, Σψ)` of a batch; each row sums to one.
    fn labels(&self, b: &mut Builder, batch: Batch) -> Result<NodeId> {
        let hierarchy = self.settings.hierarchy.of(batch.classes)?;
        if self.source == Source::Generated {
            let logits = self.generated(b, batch.images, batch.classes)?;
            return b.graph.masked_softmax(logits, batch.labels, &hierarchy);
        }
        let table = b.graph.input(TABLE, &[1, batch.samples], DType::U32);
        let labels = b.graph.gather_labels(table, batch.draws, batch.labels, 0..1)?;
        b.graph.one_hot(labels, hierarchy.iter().sum())
    }
}

impl Method for Maxl {
    fn name(&self) -> &'static str {
        match self.source {
            Source::Generated => "maxl",
            Source::None => "maxl-single",
            Source::Random => "maxl-random",
            Source::Clusters => "maxl-kmeans",
            Source::Human => "maxl-human",
        }
    }

    fn views(&self) -> usize {
        1
    }

    fn headline(&self) -> &'static str {
        "single_accuracy"
    }

    fn is_labellers(&self, tensor: &str) -> bool {
        generator::is_generators(tensor)
    }

    fn labeller(&self, context: Context<'_>) -> Result<Option<Box<dyn Labeller>>> {
        let hierarchy = self.settings.hierarchy.of(context.data.train.classes.len())?;
        let labeller: Box<dyn Labeller> = match self.source {
            Source::None => return Ok(None),
            Source::Generated => Box::new(generator::Generator::new(self, context)?),
            Source::Random => Box::new(given::Given::new(None, &hierarchy, context)?),
            Source::Clusters => Box::new(clusters::Clusters::new(&self.settings, &hierarchy, context)?),
            Source::Human => Box::new(given::Given::new(Some(&self.settings.labels), &hierarchy, context)?),
        };
        Ok(Some(labeller))
    }

    fn sorts_within_classes(&self) -> bool {
        self.source == Source::Generated
    }

    fn clusters(&self, b: &mut Builder, _: &dyn Backbone, batch: Batch) -> Result<Vec<NodeId>> {
        if self.source == Source::Generated { Ok(vec![self.within_class(b, batch)?]) } else { Ok(Vec::new()) }
    }

    fn warning(&self, metrics: &Metrics) -> Option<String> {
        let usage = metrics.get("label_usage").filter(|_| self.source == Source::Generated)?;
        (usage < COLLAPSED).then(|| {
            format!(
                "the generated labels have collapsed: the images of a class share one label (label_usage {usage:.4} of 1); \
                 try a larger maxl.entropy_weight (now {}), a lower maxl.generator_lr (now {}) or fewer labels a class",
                self.settings.entropy_weight, self.settings.generator_lr
            )
        })
    }

    fn check(&self, _: &Shape, classes: usize) -> Result<()> {
        if self.source == Source::None { Ok(()) } else { self.settings.hierarchy.of(classes).map(drop) }
    }

    fn train(&self, b: &mut Builder, backbone: &dyn Backbone, batch: Batch) -> Result<Objective> {
        let gamma = self.settings.gamma as f32;
        let (primary, auxiliary) = self.heads(b, backbone, batch.images, batch.classes)?;
        let classes = b.graph.one_hot(batch.labels, batch.classes)?;
        let mut loss = mean_focal(b, primary, classes, gamma)?;
        let rows = b.graph.shape(batch.labels).elements() as f32;
        let right = sum_correct(b, primary, batch.labels, LabelRule::Class, 1)?;
        let mut metrics = vec![Metric::new("accuracy", b.graph.scale(right, 1.0 / rows)?)];
        if let Some(auxiliary) = auxiliary {
            let labels = self.labels(b, batch)?;
            let second = mean_focal(b, auxiliary, labels, gamma)?;
            metrics.extend([Metric::new("primary_loss", loss), Metric::new("auxiliary_loss", second)]);
            loss = b.graph.add(loss, second)?;
            let used = b.graph.negative_entropy(labels)?;
            metrics.push(Metric::new("label_entropy", b.graph.scale(used, -1.0)?));
            let terms = b.graph.entropy_terms(labels)?;
            metrics.push(Metric::new("image_label_entropy", b.graph.sum_all(terms, -1.0 / rows)?));
            // What of the labels' entropy is not that of the classes, beside what it would be at equal use; 0 where classes
            // have one label.
            let even = self.even(b, batch)?;
            let (given, most) = (b.graph.negative_entropy(classes)?, b.graph.negative_entropy(even)?);
            let above = b.graph.weighted_sum(given, 1.0, used, -1.0)?;
            let possible = b.graph.weighted_sum(given, 1.0, most, -1.0)?;
            let little = b.graph.constant(&[1], 1e-6);
            let possible = b.graph.add(possible, little)?;
            let inverse = b.graph.power(possible, -1.0, 1.0)?;
            metrics.push(Metric::new("label_usage", b.graph.mul(above, inverse)?));
        }
        Ok(Objective { loss, metrics })
    }

    fn evaluate(&self, b: &mut Builder, backbone: &dyn Backbone, batch: Batch) -> Result<Vec<Metric>> {
        let (primary, _) = self.heads(b, backbone, batch.images, batch.classes)?;
        Ok(vec![
            Metric::new("single_accuracy", sum_correct(b, primary, batch.labels, LabelRule::Class, 1)?),
            Metric::new("single_loss", sum_cross_entropy(b, primary, batch.labels, LabelRule::Class, 1)?),
        ])
    }

    fn predict(&self, b: &mut Builder, backbone: &dyn Backbone, images: NodeId, classes: usize) -> Result<Prediction> {
        let (primary, _) = self.heads(b, backbone, images, classes)?;
        let probabilities = b.graph.softmax(primary)?;
        Ok(Prediction { probabilities, view_probabilities: probabilities })
    }
}
