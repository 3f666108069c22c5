//! MAXL's meta step as one graph: how the loss on the primary task after a look-ahead step depends on the label
//! generator's weights, without a second derivative.
//!
//! With weights θ₁ of the multi-task network, generated labels q, `L_aux = (1/B) Σ_n ⟨q_n, f(z_n(θ₁))⟩` linear in q,
//! `θ₁⁺ = θ₁ − α ∇(L_pri + L_aux)` and `v = ∇L_pri(θ₁⁺)`, the derivative of `L_pri(θ₁⁺)` by q_nk is `−α/B` times the
//! directional derivative of `f_k(z_n)` along v at θ₁ (the Hessian of L_pri drops out: it holds no q). So: a gradient at
//! θ₁, one at θ₁⁺, one forward tangent of the auxiliary head, and one backward pass through the generator.
//!
//! Dropout: each pass draws masks of its own, as each forward call of the official code does, but for those that stand for
//! the pass at θ₁: its tangent is a derivative only under the same masks, the differences would else be those of masks, and
//! what is computed again must be what it was.
//!
//! Source: Liu, Davison and Johns 2019 (MAXL), eq. 2 to 5. Batch statistics everywhere; running ones stay as they are, unless asked for.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::losses::mean_focal;
use crate::base::{Error, Result};
use crate::graph::forward::needed;
use crate::graph::place::update;
use crate::graph::reverse::reverse_from;
use crate::graph::{NodeId, Source, forward, reverse};
use crate::nn::{Builder, Phase};

/// How the meta-gradient is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hessian {
    /// By a forward tangent along v: equal to double backward up to rounding.
    #[default]
    Exact,
    /// By central differences `θ₁ ± ε v`, `ε = 0.01/‖v‖`, as the official first-order code, which loses the entropy term;
    /// it is kept here.
    FiniteDifference,
    /// The entropy term alone.
    None,
}

/// The settings of a meta step.
#[derive(Clone, Debug, PartialEq)]
pub struct MetaSettings {
    /// ψ: number of auxiliary labels of each class.
    pub hierarchy: Vec<usize>,
    /// γ of both focal losses.
    pub gamma: f32,
    /// λ: weight of the negative entropy of the batch-mean label.
    pub entropy_weight: f32,
    /// How the meta-gradient is found.
    pub hessian: Hessian,
    /// Whether activations are computed again and not kept: those of the generator until its backward pass, those at θ₁
    /// until the tangent.
    pub recompute: bool,
    /// Whether the passes at θ₁ and at the generator's own weights move running statistics, as in the official code.
    pub running: bool,
    /// Whether the two losses' gradients are compared, which costs one more backward pass.
    pub cosine: bool,
}

/// How the two networks stand in a graph. Each appends its layers to the builder and is called several times.
#[derive(Clone, Copy)]
pub struct Networks<'a> {
    /// Primary logits `(B, N)` and auxiliary logits `(B, K)`.
    pub multitask: &'a dyn Fn(&mut Builder) -> Result<[NodeId; 2]>,
    /// Logits `(B, K)` of the label generator. Its parameters' names differ from the multi-task network's.
    pub generator: &'a dyn Fn(&mut Builder) -> Result<NodeId>,
}

/// Nodes of a meta step. What is neither asked for nor needed by what is asked for is not computed.
#[derive(Clone, Debug)]
pub struct MetaStep {
    /// Generated labels q `(B, K)`.
    pub labels: NodeId,
    /// Primary loss at θ₁ `(1)`.
    pub primary_loss: NodeId,
    /// Auxiliary loss at θ₁ `(1)`.
    pub auxiliary_loss: NodeId,
    /// Parameters of the multi-task network and the gradient of both losses' sum by each.
    pub inner: Vec<(NodeId, NodeId)>,
    /// Primary loss at θ₁⁺ `(1)`.
    pub ahead_loss: NodeId,
    /// Negative entropy of the batch-mean label `(1)`.
    pub negative_entropy: NodeId,
    /// Cosine similarity of the two losses' gradients at θ₁ `(1)`, where it is asked for: for each output channel of the
    /// weights that both heads share (biases left out), the mean over the channels, then over the tensors.
    pub cosine: Option<NodeId>,
    /// Parameters of the generator and the meta-gradient by each.
    pub meta: Vec<(NodeId, NodeId)>,
}

/// The radius of the finite differences: `ε = RADIUS/‖v‖`.
const RADIUS: f32 = 0.01;
/// Scope of the nodes at the look-ahead weights.
const AHEAD: &str = "ahead";
/// Scope of passes that are computed once more.
const AGAIN: &str = "again";

/// Appends a meta step for `labels (B)` with the look-ahead rate α = `rate (1)`.
///
/// # Errors
/// When the shapes do not fit, an operation has no derivative, or the two networks share a parameter.
pub fn meta_step(
    b: &mut Builder,
    networks: Networks<'_>,
    labels: NodeId,
    rate: NodeId,
    settings: &MetaSettings,
) -> Result<MetaStep> {
    let phase = std::mem::replace(&mut b.phase, Phase::Train { update: false });
    let step = Step { networks, labels, rate, settings }.build(b);
    b.phase = phase;
    step
}

struct Step<'a> {
    networks: Networks<'a>,
    labels: NodeId,
    rate: NodeId,
    settings: &'a MetaSettings,
}

/// A parameter: its name, its leaf, and a value, gradient or tangent of it.
type Named = (String, NodeId, NodeId);

impl Step<'_> {
    fn build(&self, b: &mut Builder) -> Result<MetaStep> {
        let s = self.settings;
        b.phase = Phase::Train { update: s.running };
        let own_masks = b.dropouts();
        let (q, generator) = self.generated(b)?;
        let masks = b.dropouts();
        let [primary, auxiliary] = (self.networks.multitask)(b)?;
        b.phase = Phase::Train { update: false };
        let theta = parameters(b, &[primary, auxiliary]);
        if let Some(shared) = theta.iter().find(|leaf| generator.contains(leaf)) {
            let name = &b.graph.node(*shared).name;
            return Err(Error::Shape(format!("`{name}` is a parameter of both networks of a meta step")));
        }
        let classes = b.graph.shape(primary).last();
        let onehot = b.graph.one_hot(self.labels, classes)?;
        let primary_loss = mean_focal(b, primary, onehot, s.gamma)?;
        let costs = b.graph.focal(auxiliary, s.gamma)?;
        let rows = b.graph.row_dot(q, costs)?;
        let auxiliary_loss = b.graph.mean_all(rows)?;
        let loss = b.graph.add(primary_loss, auxiliary_loss)?;
        let gradients = reverse(&mut b.graph, loss, &theta)?;
        let inner: Vec<(NodeId, NodeId)> = theta.iter().copied().zip(gradients).collect();

        let cosine = if s.cosine { Some(cosine(b, [primary, auxiliary], primary_loss, &inner)?) } else { None };

        let mut ahead: Vec<Named> = Vec::new();
        for &(leaf, gradient) in &inner {
            let name = b.graph.node(leaf).name.clone();
            let scope = update(&format!("{AHEAD}.{name}"));
            let value = b.graph.scope(&scope, |g| g.add_scaled(leaf, gradient, self.rate, -1.0))?;
            ahead.push((name, leaf, value));
        }
        let [primary_ahead, _] = b.scope(AHEAD, |b| b.at(weights(&ahead), self.networks.multitask))?;
        let ahead_loss = mean_focal(b, primary_ahead, onehot, s.gamma)?;
        let values: Vec<NodeId> = ahead.iter().map(|(_, _, value)| *value).collect();
        let v = reverse(&mut b.graph, ahead_loss, &values)?;
        // The auxiliary head has no part in the primary loss: its direction is zero.
        let moves = |b: &Builder, node: NodeId| matches!(b.graph.node(node).source, Source::Computed(_));
        let v: Vec<Named> = ahead
            .iter()
            .zip(v)
            .filter(|(_, v)| moves(b, *v))
            .map(|((name, leaf, _), v)| (name.clone(), *leaf, v))
            .collect();

        let negative_entropy = b.graph.negative_entropy(q)?;
        let by_entropy = reverse(&mut b.graph, negative_entropy, &[q])?[0];
        let by_entropy = b.graph.scale(by_entropy, s.entropy_weight)?;
        let share = 1.0 / b.graph.shape(q).rows() as f32;
        let by_labels = match s.hessian {
            Hessian::Exact => {
                let tangent = self.tangent(b, costs, &v, masks)?;
                b.graph.add_scaled(by_entropy, tangent, self.rate, -share)?
            }
            Hessian::FiniteDifference => {
                let (difference, norm) = self.difference(b, &v, masks)?;
                // −α/B · difference / 2ε
                let length = b.graph.scaled_by(norm, self.rate, -share / (2.0 * RADIUS))?;
                b.graph.add_scaled(by_entropy, difference, length, 1.0)?
            }
            Hessian::None => by_entropy,
        };
        let again = if s.recompute { b.scope(AGAIN, |b| b.with_masks(own_masks, |b| self.generated(b)))?.0 } else { q };
        let gradients = reverse_from(&mut b.graph, &[(again, by_labels)], &generator)?;
        let meta = generator.into_iter().zip(gradients).collect();
        Ok(MetaStep { labels: q, primary_loss, auxiliary_loss, inner, ahead_loss, negative_entropy, cosine, meta })
    }

    /// Generated labels, and the generator's parameters.
    fn generated(&self, b: &mut Builder) -> Result<(NodeId, Vec<NodeId>)> {
        let logits = (self.networks.generator)(b)?;
        let generator = parameters(b, &[logits]);
        Ok((b.graph.masked_softmax(logits, self.labels, &self.settings.hierarchy)?, generator))
    }

    /// What each auxiliary label would cost `(B, K)`, with the multi-task network at given weights and under the dropout
    /// masks from number `masks` on.
    fn costs(&self, b: &mut Builder, weights: HashMap<String, NodeId>, masks: u32) -> Result<NodeId> {
        let [_, auxiliary] = b.scope(AGAIN, |b| b.with_masks(masks, |b| b.at(weights, self.networks.multitask)))?;
        b.graph.focal(auxiliary, self.settings.gamma)
    }

    /// The directional derivative of `costs` along v at θ₁.
    fn tangent(&self, b: &mut Builder, costs: NodeId, v: &[Named], masks: u32) -> Result<NodeId> {
        let costs = if self.settings.recompute { self.costs(b, HashMap::new(), masks)? } else { costs };
        let along: Vec<(NodeId, NodeId)> = v.iter().map(|(_, leaf, v)| (*leaf, *v)).collect();
        let tangent = forward(&mut b.graph, &along, &[costs])?[0];
        tangent.ok_or_else(|| Error::Shape("the two heads of the multi-task network share no parameter".into()))
    }

    /// The difference of the costs at `θ₁ + εv` and `θ₁ − εv`, and `‖v‖`.
    fn difference(&self, b: &mut Builder, v: &[Named], masks: u32) -> Result<(NodeId, NodeId)> {
        let mut square: Option<NodeId> = None;
        for &(_, _, v) in v {
            let product = b.graph.mul(v, v)?;
            let part = b.graph.sum_all(product, 1.0)?;
            square = Some(match square {
                None => part,
                Some(square) => b.graph.add(square, part)?,
            });
        }
        let square = square.ok_or_else(|| Error::Shape("the primary loss depends on no parameter".into()))?;
        let radius = b.graph.power(square, -0.5, RADIUS)?;
        let mut at = |sign: f32| -> Result<NodeId> {
            let mut moved = Vec::new();
            for (name, leaf, v) in v {
                moved.push((name.clone(), *leaf, b.graph.add_scaled(*leaf, *v, radius, sign)?));
            }
            self.costs(b, weights(&moved), masks)
        };
        let (above, below) = (at(1.0)?, at(-1.0)?);
        let difference = b.graph.weighted_sum(above, 1.0, below, -1.0)?;
        Ok((difference, b.graph.power(square, 0.5, 1.0)?))
    }
}

/// See [`MetaStep::cosine`]; `inner` holds the gradients of the losses' sum.
fn cosine(b: &mut Builder, heads: [NodeId; 2], primary_loss: NodeId, inner: &[(NodeId, NodeId)]) -> Result<NodeId> {
    let [own, others] = heads.map(|head| parameters(b, &[head]));
    let mut shared: Vec<(NodeId, NodeId)> = inner.to_vec();
    shared.retain(|(leaf, _)| own.contains(leaf) && others.contains(leaf) && b.graph.shape(*leaf).sizes().len() > 1);
    let leaves: Vec<NodeId> = shared.iter().map(|(leaf, _)| *leaf).collect();
    let first = reverse(&mut b.graph, primary_loss, &leaves)?;
    let share = 1.0 / shared.len() as f32;
    let mut sum: Option<NodeId> = None;
    for ((_, total), first) in shared.into_iter().zip(first) {
        let second = b.graph.weighted_sum(total, 1.0, first, -1.0)?;
        let mut dot = |a: NodeId, c: NodeId| {
            let product = b.graph.mul(a, c)?;
            b.graph.sum_rows(product)
        };
        let [both, one, two] = [dot(first, second)?, dot(first, first)?, dot(second, second)?];
        let (one, two) = (b.graph.power(one, -0.5, 1.0)?, b.graph.power(two, -0.5, 1.0)?);
        let scaled = b.graph.mul(both, one)?;
        let cosines = b.graph.mul(scaled, two)?;
        let mean = b.graph.mean_all(cosines)?;
        sum = Some(match sum {
            None => b.graph.scale(mean, share)?,
            Some(sum) => b.graph.weighted_sum(sum, 1.0, mean, share)?,
        });
    }
    sum.ok_or_else(|| Error::Shape("the two heads of the multi-task network share no weight".into()))
}

/// The parameters that `outputs` depend on, in order of creation.
fn parameters(b: &Builder, outputs: &[NodeId]) -> Vec<NodeId> {
    let needed = needed(&b.graph, outputs);
    needed.into_iter().filter(|&id| matches!(b.graph.node(id).source, Source::Parameter)).collect()
}

fn weights(values: &[Named]) -> HashMap<String, NodeId> {
    values.iter().map(|(name, _, value)| (name.clone(), *value)).collect()
}
