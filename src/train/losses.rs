//! Loss graphs of label augmentation, shared by the methods and by `relabel verify`.
//!
//! Rows are image-major, `r = b·M + j`; the joint label is `y·M + j` (Lee, Hwang and Shin 2020, section 3).

use crate::base::Result;
use crate::base::labels::LabelRule;
use crate::graph::NodeId;

use crate::nn::Builder;

/// Mean over the rows of the cross-entropy of `logits (B·M, ·)` against the labels that `rule` makes of `labels (B)`.
///
/// # Errors
/// When the shapes do not fit.
pub fn mean_cross_entropy(
    b: &mut Builder,
    logits: NodeId,
    labels: NodeId,
    rule: LabelRule,
    views: usize,
) -> Result<NodeId> {
    let rows = b.graph.cross_entropy(logits, labels, rule, views)?;
    b.graph.mean_all(rows)
}

/// Mean over the rows of the focal loss of `logits (R, N)` with soft `targets (R, N)`; γ = 0 is cross-entropy.
///
/// # Errors
/// When the shapes do not fit.
pub fn mean_focal(b: &mut Builder, logits: NodeId, targets: NodeId, gamma: f32) -> Result<NodeId> {
    let rows = b.graph.focal_loss(logits, targets, gamma)?;
    b.graph.mean_all(rows)
}

/// Sum over the images of the mean over their views of the cross-entropy.
///
/// # Errors
/// When the shapes do not fit.
pub fn sum_cross_entropy(
    b: &mut Builder,
    logits: NodeId,
    labels: NodeId,
    rule: LabelRule,
    views: usize,
) -> Result<NodeId> {
    let rows = b.graph.cross_entropy(logits, labels, rule, views)?;
    b.graph.sum_all(rows, 1.0 / views as f32)
}

/// Number of images whose views are right, averaged over the views: the sum over images of the mean over views.
///
/// # Errors
/// When the shapes do not fit.
pub fn sum_correct(b: &mut Builder, logits: NodeId, labels: NodeId, rule: LabelRule, views: usize) -> Result<NodeId> {
    let correct = b.graph.correct(logits, labels, rule, views)?;
    if views == 1 { Ok(correct) } else { b.graph.scale(correct, 1.0 / views as f32) }
}

/// Nodes of the self-distillation of the aggregated prediction into one head on the untransformed view.
#[derive(Clone, Copy, Debug)]
pub struct Distillation {
    /// `T²·KL(softmax(aggregated/T) ‖ softmax(single/T))`, mean over the images; the teacher is constant.
    pub divergence: NodeId,
    /// Cross-entropy of the single head, mean over the images.
    pub cross_entropy: NodeId,
    /// `divergence + β·cross_entropy`.
    pub loss: NodeId,
}

/// SLA + SD (eq. 5): `joint (B·M, N·M)` teaches `single (B, N)`.
///
/// # Errors
/// When the shapes do not fit.
pub fn distillation(
    b: &mut Builder,
    joint: NodeId,
    single: NodeId,
    labels: NodeId,
    views: usize,
    temperature: f32,
    beta: f32,
) -> Result<Distillation> {
    let teacher = b.graph.aggregated_logits(joint, views)?;
    let rows = b.graph.distillation(single, teacher, temperature, labels)?;
    let divergence = b.graph.mean_all(rows)?;
    let cross_entropy = mean_cross_entropy(b, single, labels, LabelRule::Class, 1)?;
    let loss = b.graph.weighted_sum(divergence, 1.0, cross_entropy, beta)?;
    Ok(Distillation { divergence, cross_entropy, loss })
}
