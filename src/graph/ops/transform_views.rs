//! `transform_views(x, set)`: all views of each image, image-major, and the transpose. Linear and closed.
//!
//! Source: Lee, Hwang and Shin 2020 (SLA), section 3, the transformations t_j.

use super::{Example, single};
use crate::base::{Array, Error, Result, Shape, TransformSet};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::{transform_views, transform_views_transpose};

#[derive(Debug)]
struct TransformViews {
    set: TransformSet,
}

#[derive(Debug)]
struct TransformViewsTranspose {
    set: TransformSet,
}

impl Graph {
    /// All views of each image; row `b·M + j` is view `j` of image `b`. Shapes: `(B, H, W, C)` → `(B·M, H, W, C)`.
    ///
    /// # Errors
    /// A configuration error when the set permutes colours and C is not 3, or turns by quarters and H is not W.
    pub fn transform_views(&mut self, x: NodeId, set: TransformSet) -> Result<NodeId> {
        let [_, h, w, c] = images(self.shape(x))?;
        set.check(h, w, c)?;
        if set == TransformSet::Identity {
            return Ok(x);
        }
        self.apply(TransformViews { set }, &[x])
    }

    /// The transpose of [`Graph::transform_views`]. Shapes: `(B·M, H, W, C)` → `(B, H, W, C)`.
    pub fn transform_views_transpose(&mut self, u: NodeId, set: TransformSet) -> Result<NodeId> {
        self.apply(TransformViewsTranspose { set }, &[u])
    }
}

fn images(shape: &Shape) -> Result<[usize; 4]> {
    match shape.sizes() {
        &[b, h, w, c] => Ok([b, h, w, c]),
        _ => Err(Error::Shape(format!("{shape} is not (B, H, W, C)"))),
    }
}

impl Operation for TransformViews {
    fn name(&self) -> &'static str {
        "transform_views"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [b, h, w, c] = images(inputs[0])?;
        self.set.check(h, w, c)?;
        Ok(Shape::new(&[b * self.set.views(), h, w, c]))
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        transform_views::record(recording, io.inputs[0], self.set, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        transform_views::reference(inputs[0], self.set)
    }

    fn vjp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(single(g.transform_views_transpose(dy, self.set)?))
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.transform_views(t, self.set)).transpose()
    }
}

impl Operation for TransformViewsTranspose {
    fn name(&self) -> &'static str {
        "transform_views_transpose"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [rows, h, w, c] = images(inputs[0])?;
        self.set.check(h, w, c)?;
        let views = self.set.views();
        if !rows.is_multiple_of(views) {
            return Err(Error::Shape(format!("{} is not {views} views of each image", inputs[0])));
        }
        Ok(Shape::new(&[rows / views, h, w, c]))
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        transform_views_transpose::record(recording, io.inputs[0], self.set, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        transform_views_transpose::reference(inputs[0], self.set)
    }

    fn vjp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(single(g.transform_views(dy, self.set)?))
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.transform_views_transpose(t, self.set)).transpose()
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    let mut all = Vec::new();
    for set in TransformSet::ALL.into_iter().filter(|s| *s != TransformSet::Identity) {
        let width = if set.needs_square() { 3 } else { 2 };
        let images = Array::normal(&[2, 3, width, 3], 1.0, 1);
        all.push(Example::new(format!("transform_views {set}"), vec![images], move |g, x| {
            g.transform_views(x[0], set)
        }));
        let views = Array::normal(&[set.views(), 3, width, 3], 1.0, 2);
        all.push(Example::new(format!("transform_views_transpose {set}"), vec![views], move |g, x| {
            g.transform_views_transpose(x[0], set)
        }));
    }
    let set = TransformSet::Rotation;
    let grey = vec![Array::normal(&[1, 3, 3, 1], 1.0, 3)];
    all.push(Example::new("transform_views of one channel", grey, move |g, x| g.transform_views(x[0], set)));
    all
}
