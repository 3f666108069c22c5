//! Means over views of chosen logits, `aggregate(x, views)`, and the transpose. Linear and closed.
//!
//! Source: Lee, Hwang and Shin 2020 (SLA), aggregated and single inference.

use super::rows::{expect, matrix};
use super::{Example, single};
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::aggregate::Views;
use crate::kernels::{aggregate, aggregate_transpose};

#[derive(Clone, Copy, Debug)]
struct Aggregate {
    views: Views,
}

#[derive(Clone, Copy, Debug)]
struct AggregateTranspose {
    views: Views,
    width: usize,
}

impl Graph {
    /// `out[b, n] = 1/used · Σ_{j < used} logits[b·M + j, n·column_scale + j·view_scale]`. Shapes: `(B·M, W)` →
    /// `(B, N)`.
    pub fn aggregate(&mut self, logits: NodeId, views: Views) -> Result<NodeId> {
        self.apply(Aggregate { views }, &[logits])
    }

    /// The transpose of [`Graph::aggregate`] for logits of `width` columns. Shapes: `(B, N)` → `(B·M, W)`.
    pub fn aggregate_transpose(&mut self, u: NodeId, views: Views, width: usize) -> Result<NodeId> {
        self.apply(AggregateTranspose { views, width }, &[u])
    }

    /// Aggregated inference: the mean over the views of the logits given their transformation. Shapes: joint logits
    /// `(B·M, N·M)` → `(B, N)`.
    pub fn aggregated_logits(&mut self, joint: NodeId, views: usize) -> Result<NodeId> {
        self.conditional_mean(joint, views, views)
    }

    /// Single inference: the logits of view 0 given transformation 0. Shapes: joint logits `(B·M, N·M)` → `(B, N)`.
    pub fn single_inference_logits(&mut self, joint: NodeId, views: usize) -> Result<NodeId> {
        self.conditional_mean(joint, views, 1)
    }

    /// The mean of each image's rows. Shapes: `(B·M, N)` → `(B, N)`.
    pub fn mean_over_views(&mut self, x: NodeId, views: usize) -> Result<NodeId> {
        self.same_columns(x, views, views)
    }

    /// Each image's first row. Shapes: `(B·M, N)` → `(B, N)`.
    pub fn first_view(&mut self, x: NodeId, views: usize) -> Result<NodeId> {
        self.same_columns(x, views, 1)
    }

    fn conditional_mean(&mut self, joint: NodeId, views: usize, used: usize) -> Result<NodeId> {
        let shape = self.shape(joint);
        let width = shape.last();
        if views == 0 || !width.is_multiple_of(views) {
            return Err(Error::Shape(format!("joint logits {shape} are not N·{views} columns for {views} views")));
        }
        // One view is its own mean.
        if views == 1 {
            return Ok(joint);
        }
        self.aggregate(joint, Views { views, used, columns: width / views, column_scale: views, view_scale: 1 })
    }

    fn same_columns(&mut self, x: NodeId, views: usize, used: usize) -> Result<NodeId> {
        if views == 1 {
            return Ok(x);
        }
        let columns = self.shape(x).last();
        self.aggregate(x, Views { views, used, columns, column_scale: 1, view_scale: 0 })
    }
}

impl Operation for Aggregate {
    fn name(&self) -> &'static str {
        "aggregate"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [rows, width] = matrix("logits", inputs[0])?;
        Ok(Shape::new(&[self.views.images(rows, width)?, self.views.columns]))
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        aggregate::record(recording, io.inputs[0], self.views, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        aggregate::reference(inputs[0], self.views)
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let width = g.shape(x[0]).last();
        Ok(single(g.aggregate_transpose(dy, self.views, width)?))
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.aggregate(t, self.views)).transpose()
    }
}

impl Operation for AggregateTranspose {
    fn name(&self) -> &'static str {
        "aggregate_transpose"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [images, _] = matrix("u", inputs[0])?;
        let rows = images * self.views.views;
        self.views.images(rows, self.width)?;
        expect("u", inputs[0], &[images, self.views.columns])?;
        Ok(Shape::new(&[rows, self.width]))
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        aggregate_transpose::record(recording, io.inputs[0], self.views, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        aggregate_transpose::reference(inputs[0], self.views, self.width)
    }

    fn vjp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(single(g.aggregate(dy, self.views)?))
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.aggregate_transpose(t, self.views, self.width)).transpose()
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    let mut all = Vec::new();
    for (images, views, classes) in [(1, 2, 3), (3, 4, 2), (2, 6, 3)] {
        let joint = || vec![Array::normal(&[images * views, classes * views], 1.0, 1)];
        let plain = || vec![Array::normal(&[images * views, classes], 1.0, 2)];
        let name = |what: &str| format!("{what} {images} x {views} x {classes}");
        all.extend([
            Example::new(name("aggregated_logits"), joint(), move |g, x| g.aggregated_logits(x[0], views)),
            Example::new(name("single_inference_logits"), joint(), move |g, x| g.single_inference_logits(x[0], views)),
            Example::new(name("mean_over_views"), plain(), move |g, x| g.mean_over_views(x[0], views)),
            Example::new(name("first_view"), plain(), move |g, x| g.first_view(x[0], views)),
        ]);
        let u = vec![Array::normal(&[images, classes], 1.0, 3)];
        let chosen = Views { views, used: views, columns: classes, column_scale: views, view_scale: 1 };
        all.push(Example::new(name("aggregate_transpose"), u, move |g, x| {
            g.aggregate_transpose(x[0], chosen, classes * views)
        }));
    }
    all
}
