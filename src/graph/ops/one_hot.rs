//! `one_hot(labels, N)`: rows with a single 1; zero where the label says "ignore".

use super::Example;
use crate::base::labels::IGNORED;
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::ir::no_derivative;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::one_hot;

#[derive(Debug)]
struct OneHot {
    classes: usize,
}

impl Graph {
    /// A row for each label. Shapes: `labels (B)` unsigned → `(B, classes)`.
    ///
    /// # Errors
    /// When `labels` has more than one dimension.
    pub fn one_hot(&mut self, labels: NodeId, classes: usize) -> Result<NodeId> {
        self.apply(OneHot { classes }, &[labels])
    }
}

impl Operation for OneHot {
    fn name(&self) -> &'static str {
        "one_hot"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        match inputs[0].sizes() {
            &[rows] => Ok(Shape::new(&[rows, self.classes])),
            _ => Err(Error::Shape(format!("labels {} are not (B)", inputs[0]))),
        }
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        one_hot::record(recording, io.inputs[0], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        one_hot::reference(inputs[0], self.classes)
    }

    fn vjp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, _: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Err(no_derivative("one_hot", "integer labels"))
    }

    fn jvp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        if t[0].is_some() {
            return Err(no_derivative("one_hot", "integer labels"));
        }
        Ok(None)
    }
}

/// For the checks of the device.
pub fn examples() -> Vec<Example> {
    let example = |(rows, classes): (usize, usize)| {
        let label = |r| if r == 1 { f64::from(IGNORED) } else { (r % classes) as f64 };
        let name = format!("one_hot {rows} x {classes}");
        Example::new(name, vec![Array::from_fn(&[rows], label)], move |g, x| g.one_hot(x[0], classes)).integer_input(0)
    };
    [(1, 3), (5, 4), (6, 7)].into_iter().map(example).collect()
}
