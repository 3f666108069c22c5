//! SLA: labels = class × transformation, one joint softmax (Lee, Hwang and Shin 2020, eq. 3), aggregated inference
//! (eq. 4), and with `sla-sd` the aggregated prediction distilled into a second head on the untransformed view (eq. 5).

use crate::base::labels::LabelRule;
use crate::base::transforms::TransformSet;
use crate::base::{Result, Shape};
use crate::graph::NodeId;
use crate::models::Backbone;
use crate::nn::Builder;
use crate::train::losses::{distillation, mean_cross_entropy, sum_correct, sum_cross_entropy};
use crate::train::views::{self, ViewSettings};
use crate::train::{Batch, Method, Metric, Objective, Prediction};

/// Self-supervised label augmentation.
#[derive(Clone, Debug)]
pub struct LabelAugmentation {
    set: TransformSet,
    factor: f32,
    distil: bool,
    temperature: f32,
    beta: f32,
}

struct Heads {
    /// `(B·M, N·M)`.
    joint: NodeId,
    /// `(B, N)`, with self-distillation.
    single: Option<NodeId>,
}

impl LabelAugmentation {
    /// SLA, or SLA + SD when `distil`.
    ///
    /// # Errors
    /// When the settings are out of range.
    pub fn new(settings: &ViewSettings, distil: bool) -> Result<Self> {
        Ok(Self {
            set: settings.set()?,
            factor: settings.loss_factor()?,
            distil,
            temperature: settings.temperature as f32,
            beta: settings.beta as f32,
        })
    }

    fn heads(&self, b: &mut Builder, backbone: &dyn Backbone, images: NodeId, classes: usize) -> Result<Heads> {
        let m = self.views();
        let x = b.graph.transform_views(images, self.set)?;
        let features = backbone.features(b, x)?;
        let joint = b.linear("joint", features, classes * m)?;
        let single = if self.distil {
            // The official code runs this head on every view and throws all but the first away.
            let first = b.graph.first_view(features, m)?;
            Some(b.linear("single", first, classes)?)
        } else {
            None
        };
        Ok(Heads { joint, single })
    }

    /// Logits of the prediction from the untransformed view alone: the distilled head where there is one.
    fn single(&self, b: &mut Builder, heads: &Heads) -> Result<NodeId> {
        match heads.single {
            Some(single) => Ok(single),
            None => b.graph.single_inference_logits(heads.joint, self.views()),
        }
    }
}

impl Method for LabelAugmentation {
    fn name(&self) -> &'static str {
        if self.distil { "sla-sd" } else { "sla" }
    }

    fn views(&self) -> usize {
        self.set.views()
    }

    fn headline(&self) -> &'static str {
        if self.distil { "single_accuracy" } else { "aggregated_accuracy" }
    }

    fn check(&self, image: &Shape, _: usize) -> Result<()> {
        views::check(self.set, image)
    }

    fn train(&self, b: &mut Builder, backbone: &dyn Backbone, batch: Batch) -> Result<Objective> {
        let m = self.views();
        let images = b.graph.shape(batch.labels).elements() as f32;
        let heads = self.heads(b, backbone, batch.images, batch.classes)?;
        let joint = mean_cross_entropy(b, heads.joint, batch.labels, LabelRule::Joint, m)?;
        let right = sum_correct(b, heads.joint, batch.labels, LabelRule::Joint, m)?;
        let mut metrics = vec![Metric::new("accuracy", b.graph.scale(right, 1.0 / images)?)];
        let mut loss = if self.factor == 1.0 { joint } else { b.graph.scale(joint, self.factor)? };
        if let Some(single) = heads.single {
            let sd = distillation(b, heads.joint, single, batch.labels, m, self.temperature, self.beta)?;
            loss = b.graph.add(loss, sd.loss)?;
            let right = sum_correct(b, single, batch.labels, LabelRule::Class, 1)?;
            metrics.extend([
                Metric::new("joint_loss", joint),
                Metric::new("distillation_loss", sd.divergence),
                Metric::new("single_loss", sd.cross_entropy),
                Metric::new("single_accuracy", b.graph.scale(right, 1.0 / images)?),
            ]);
        }
        Ok(Objective { loss, metrics })
    }

    fn evaluate(&self, b: &mut Builder, backbone: &dyn Backbone, batch: Batch) -> Result<Vec<Metric>> {
        let m = self.views();
        let heads = self.heads(b, backbone, batch.images, batch.classes)?;
        let single = self.single(b, &heads)?;
        let aggregated = b.graph.aggregated_logits(heads.joint, m)?;
        Ok(vec![
            Metric::new("total_accuracy", sum_correct(b, heads.joint, batch.labels, LabelRule::Joint, m)?),
            Metric::new("total_loss", sum_cross_entropy(b, heads.joint, batch.labels, LabelRule::Joint, m)?),
            Metric::new("single_accuracy", sum_correct(b, single, batch.labels, LabelRule::Class, 1)?),
            Metric::new("single_loss", sum_cross_entropy(b, single, batch.labels, LabelRule::Class, 1)?),
            Metric::new("aggregated_accuracy", sum_correct(b, aggregated, batch.labels, LabelRule::Class, 1)?),
            Metric::new("aggregated_loss", sum_cross_entropy(b, aggregated, batch.labels, LabelRule::Class, 1)?),
        ])
    }

    fn predict(&self, b: &mut Builder, backbone: &dyn Backbone, images: NodeId, classes: usize) -> Result<Prediction> {
        let m = self.views();
        let heads = self.heads(b, backbone, images, classes)?;
        // Distillation is there so that one look at the image answers.
        let best = match heads.single {
            Some(single) => single,
            None => b.graph.aggregated_logits(heads.joint, m)?,
        };
        let views = b.graph.conditional_logits(heads.joint, m)?;
        Ok(Prediction { probabilities: b.graph.softmax(best)?, view_probabilities: b.graph.softmax(views)? })
    }
}
