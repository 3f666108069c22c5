//! `cross_entropy(logits, labels, rule, M)`: the loss of each row; `cross_entropy_grad`, its gradient with the upstream
//! gradient as row weights; `counted(labels, M)`, which rows have a label.
//!
//! Source: Lee, Hwang and Shin 2020 (SLA), L_SLA with the joint rule, L_DA with the class rule, L_MT with class and view.

use super::Example;
use super::rows::{expect, matrix};
use crate::base::labels::{IGNORED, check_views};
use crate::base::{Array, LabelRule, Result, Shape};
use crate::gpu::Recording;
use crate::graph::ir::no_derivative;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::{counted, cross_entropy, cross_entropy_grad};

#[derive(Clone, Copy, Debug)]
struct CrossEntropy {
    rule: LabelRule,
    views: usize,
}

#[derive(Clone, Copy, Debug)]
struct CrossEntropyGrad {
    rule: LabelRule,
    views: usize,
}

#[derive(Debug)]
struct Counted {
    views: usize,
}

impl Graph {
    /// Softmax cross-entropy of each row against the label that `rule` makes of its image's class and its view; 0
    /// where the image is ignored. Shapes: `logits (B·M, N)`, `labels (B)` unsigned → `(B·M)`.
    pub fn cross_entropy(&mut self, logits: NodeId, labels: NodeId, rule: LabelRule, views: usize) -> Result<NodeId> {
        self.apply(CrossEntropy { rule, views }, &[logits, labels])
    }

    /// `weights[r]·(softmax(logits) − onehot)`, 0 where the image is ignored: the gradient of the weighted sum of
    /// [`Graph::cross_entropy`]. Shapes: `logits (B·M, N)`, `labels (B)`, `weights (B·M)` → `(B·M, N)`.
    pub fn cross_entropy_grad(
        &mut self,
        logits: NodeId,
        labels: NodeId,
        weights: NodeId,
        rule: LabelRule,
        views: usize,
    ) -> Result<NodeId> {
        self.apply(CrossEntropyGrad { rule, views }, &[logits, labels, weights])
    }

    /// 1 for each row whose image has a label, 0 for an ignored one; its sum is the number of rows that count. Shapes:
    /// `labels (B)` → `(B·M)`.
    pub fn counted(&mut self, labels: NodeId, views: usize) -> Result<NodeId> {
        self.apply(Counted { views }, &[labels])
    }

    /// `weights·counted·(softmax's derivative at p, applied to u)`: what second derivatives of row losses are.
    pub(super) fn weighted_softmax_grad(
        &mut self,
        labels: NodeId,
        weights: NodeId,
        views: usize,
        p: NodeId,
        u: NodeId,
    ) -> Result<NodeId> {
        let counted = self.counted(labels, views)?;
        let factors = self.mul(weights, counted)?;
        let inner = self.softmax_grad(p, u)?;
        self.row_scale(factors, inner)
    }
}

impl CrossEntropyGrad {
    /// The gradient with weights 1.
    fn plain(self, g: &mut Graph, x: &[NodeId]) -> Result<NodeId> {
        let rows = g.shape(x[0]).rows();
        let ones = g.constant(&[rows], 1.0);
        g.cross_entropy_grad(x[0], x[1], ones, self.rule, self.views)
    }
}

impl Operation for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [rows, _] = matrix("logits", inputs[0])?;
        check_views("logits and labels", rows, inputs[1].elements(), self.views)?;
        Ok(Shape::new(&[rows]))
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        cross_entropy::record(recording, io.inputs[0], io.inputs[1], self.rule, self.views, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        cross_entropy::reference(inputs[0], inputs[1], self.rule, self.views)
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let by_logits = wanted[0].then(|| g.cross_entropy_grad(x[0], x[1], dy, self.rule, self.views)).transpose()?;
        Ok(vec![by_logits, None])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        let Some(t) = t[0] else { return Ok(None) };
        let grad = CrossEntropyGrad { rule: self.rule, views: self.views }.plain(g, x)?;
        g.row_dot(grad, t).map(Some)
    }
}

impl Operation for CrossEntropyGrad {
    fn name(&self) -> &'static str {
        "cross_entropy_grad"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [rows, _] = matrix("logits", inputs[0])?;
        check_views("logits and labels", rows, inputs[1].elements(), self.views)?;
        expect("weights", inputs[2], &[rows])?;
        Ok(inputs[0].clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        let [logits, labels, weights] = [io.inputs[0], io.inputs[1], io.inputs[2]];
        cross_entropy_grad::record(recording, logits, labels, weights, self.rule, self.views, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        cross_entropy_grad::reference(inputs[0], inputs[1], inputs[2], self.rule, self.views)
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let mut by_logits = None;
        if wanted[0] {
            // The derivative of the softmax is symmetric: this is the tangent's rule as well.
            let p = g.softmax(x[0])?;
            by_logits = Some(g.weighted_softmax_grad(x[1], x[2], self.views, p, dy)?);
        }
        let mut by_weights = None;
        if wanted[2] {
            let plain = self.plain(g, x)?;
            by_weights = Some(g.row_dot(plain, dy)?);
        }
        Ok(vec![by_logits, None, by_weights])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        let mut by_logits = None;
        if let Some(t) = t[0] {
            let p = g.softmax(x[0])?;
            by_logits = Some(g.weighted_softmax_grad(x[1], x[2], self.views, p, t)?);
        }
        let by_weights = t[2].map(|t| g.cross_entropy_grad(x[0], x[1], t, self.rule, self.views)).transpose()?;
        g.sum_of_terms([by_logits, by_weights])
    }
}

impl Operation for Counted {
    fn name(&self) -> &'static str {
        "counted"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let rows = inputs[0].elements() * self.views;
        check_views("labels", rows, inputs[0].elements(), self.views)?;
        Ok(Shape::new(&[rows]))
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        counted::record(recording, io.inputs[0], self.views, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        counted::reference(inputs[0], self.views)
    }

    fn vjp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, _: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Err(no_derivative("counted", "integer labels"))
    }

    fn jvp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        if t[0].is_some() {
            return Err(no_derivative("counted", "integer labels"));
        }
        Ok(None)
    }
}

/// `(B, M, classes)`: widths that are and are not a multiple of four, one to six views.
pub(super) const SIZES: [(usize, usize, usize); 4] = [(1, 1, 5), (3, 2, 3), (2, 4, 2), (2, 6, 3)];

/// Labels with one image ignored where there are three.
pub(super) fn some_labels(images: usize, classes: usize) -> Array {
    Array::from_fn(&[images], |b| if b == 1 && images > 2 { f64::from(IGNORED) } else { ((b + 1) % classes) as f64 })
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    let mut all = Vec::new();
    for (images, views, classes) in SIZES {
        for rule in [LabelRule::Joint, LabelRule::Class, LabelRule::View] {
            let columns = match rule {
                LabelRule::Joint => classes * views,
                LabelRule::Class => classes,
                LabelRule::View => views + 1,
            };
            let logits = Array::normal(&[images * views, columns], 2.0, 1);
            let weights = Array::normal(&[images * views], 1.0, 2);
            let labels = some_labels(images, classes);
            let name = format!("{rule:?} {images} x {views} x {classes}");
            all.push(
                Example::new(format!("cross_entropy {name}"), vec![logits.clone(), labels.clone()], move |g, x| {
                    g.cross_entropy(x[0], x[1], rule, views)
                })
                .integer_input(1),
            );
            all.push(
                Example::new(format!("cross_entropy_grad {name}"), vec![logits, labels, weights], move |g, x| {
                    g.cross_entropy_grad(x[0], x[1], x[2], rule, views)
                })
                .integer_input(1),
            );
        }
        let labels = some_labels(images, classes);
        let name = format!("counted {images} x {views}");
        all.push(Example::new(name, vec![labels], move |g, x| g.counted(x[0], views)).integer_input(0));
    }
    all
}
