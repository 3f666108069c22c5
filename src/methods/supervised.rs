//! The supervised baselines of SLA's paper: `baseline` (one view), `da` (transformed copies keep the class; L_DA) and
//! `mt` (class and transformation as two tasks; L_MT). Methods: section 2 of Lee, Hwang and Shin (2020).

use crate::base::labels::LabelRule;
use crate::base::transforms::TransformSet;
use crate::base::{Result, Shape};
use crate::graph::NodeId;
use crate::models::Backbone;
use crate::nn::Builder;
use crate::train::losses::{mean_cross_entropy, sum_correct, sum_cross_entropy};
use crate::train::views::{self, ViewSettings};
use crate::train::{Batch, Method, Metric, Objective, Prediction};

/// Class cross-entropy on one or several views, with or without a second head that tells the views apart.
#[derive(Clone, Debug)]
pub struct Supervised {
    name: &'static str,
    set: TransformSet,
    multi_task: bool,
    factor: f32,
}

impl Supervised {
    /// One view, class cross-entropy.
    pub fn baseline() -> Self {
        Self { name: "baseline", set: TransformSet::Identity, multi_task: false, factor: 1.0 }
    }

    /// Transformed copies under their class.
    ///
    /// # Errors
    /// When the settings are out of range.
    pub fn augmentation(settings: &ViewSettings) -> Result<Self> {
        Ok(Self { name: "da", set: settings.set()?, multi_task: false, factor: settings.loss_factor()? })
    }

    /// Class loss plus transformation loss, each on its own head.
    ///
    /// # Errors
    /// When the settings are out of range.
    pub fn multi_task(settings: &ViewSettings) -> Result<Self> {
        Ok(Self { name: "mt", set: settings.set()?, multi_task: true, factor: settings.loss_factor()? })
    }

    fn heads(
        &self,
        b: &mut Builder,
        backbone: &dyn Backbone,
        images: NodeId,
        classes: usize,
    ) -> Result<(NodeId, Option<NodeId>)> {
        let x = b.graph.transform_views(images, self.set)?;
        let features = backbone.features(b, x)?;
        let class = b.linear("class", features, classes)?;
        let view = if self.multi_task { Some(b.linear("transform", features, self.views())?) } else { None };
        Ok((class, view))
    }
}

impl Method for Supervised {
    fn name(&self) -> &'static str {
        self.name
    }

    fn views(&self) -> usize {
        self.set.views()
    }

    fn headline(&self) -> &'static str {
        "single_accuracy"
    }

    fn check(&self, image: &Shape, _: usize) -> Result<()> {
        views::check(self.set, image)
    }

    fn train(&self, b: &mut Builder, backbone: &dyn Backbone, batch: Batch) -> Result<Objective> {
        let m = self.views();
        let (class, view) = self.heads(b, backbone, batch.images, batch.classes)?;
        let mut loss = mean_cross_entropy(b, class, batch.labels, LabelRule::Class, m)?;
        let mut metrics = Vec::new();
        let rows = b.graph.shape(batch.labels).elements() as f32;
        if let Some(view) = view {
            let transform = mean_cross_entropy(b, view, batch.labels, LabelRule::View, m)?;
            metrics.push(Metric::new("class_loss", loss));
            metrics.push(Metric::new("transform_loss", transform));
            let right = sum_correct(b, view, batch.labels, LabelRule::View, m)?;
            metrics.push(Metric::new("transform_accuracy", b.graph.scale(right, 1.0 / rows)?));
            loss = b.graph.add(loss, transform)?;
        }
        if self.factor != 1.0 {
            loss = b.graph.scale(loss, self.factor)?;
        }
        let right = sum_correct(b, class, batch.labels, LabelRule::Class, m)?;
        metrics.insert(0, Metric::new("accuracy", b.graph.scale(right, 1.0 / rows)?));
        Ok(Objective { loss, metrics })
    }

    fn evaluate(&self, b: &mut Builder, backbone: &dyn Backbone, batch: Batch) -> Result<Vec<Metric>> {
        let m = self.views();
        let (class, view) = self.heads(b, backbone, batch.images, batch.classes)?;
        let single = b.graph.first_view(class, m)?;
        let mut metrics = vec![
            Metric::new("single_accuracy", sum_correct(b, single, batch.labels, LabelRule::Class, 1)?),
            Metric::new("single_loss", sum_cross_entropy(b, single, batch.labels, LabelRule::Class, 1)?),
        ];
        if m > 1 {
            let mean = b.graph.mean_over_views(class, m)?;
            metrics.extend([
                Metric::new("aggregated_accuracy", sum_correct(b, mean, batch.labels, LabelRule::Class, 1)?),
                Metric::new("aggregated_loss", sum_cross_entropy(b, mean, batch.labels, LabelRule::Class, 1)?),
                Metric::new("total_accuracy", sum_correct(b, class, batch.labels, LabelRule::Class, m)?),
                Metric::new("total_loss", sum_cross_entropy(b, class, batch.labels, LabelRule::Class, m)?),
            ]);
        }
        if let Some(view) = view {
            metrics.push(Metric::new("transform_accuracy", sum_correct(b, view, batch.labels, LabelRule::View, m)?));
        }
        Ok(metrics)
    }

    fn predict(&self, b: &mut Builder, backbone: &dyn Backbone, images: NodeId, classes: usize) -> Result<Prediction> {
        let (class, _) = self.heads(b, backbone, images, classes)?;
        let mean = b.graph.mean_over_views(class, self.views())?;
        Ok(Prediction { probabilities: b.graph.softmax(mean)?, view_probabilities: b.graph.softmax(class)? })
    }
}
