//! `gather_rows(windows, indices)[b] = store[indices[b]]`: batches of cached features. The store is data, so it has no
//! derivative.

use super::Example;
use super::rows::matrix;
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::ir::no_derivative;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::gather_rows;

#[derive(Debug)]
struct GatherRows;

impl Graph {
    /// Rows of a store by their numbers; the store comes as windows, one after the other, and a number past its end
    /// gives zeros. Shapes: windows `(W, D)`, `indices (B)` unsigned → `(B, D)`.
    ///
    /// # Errors
    /// When there is no window, or the windows differ in D.
    pub fn gather_rows(&mut self, windows: &[NodeId], indices: NodeId) -> Result<NodeId> {
        let inputs: Vec<NodeId> = std::iter::once(indices).chain(windows.iter().copied()).collect();
        self.apply(GatherRows, &inputs)
    }
}

impl Operation for GatherRows {
    fn name(&self) -> &'static str {
        "gather_rows"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let Some(first) = inputs.get(1) else { return Err(Error::Shape("a store of no windows".into())) };
        let [_, columns] = matrix("window 0", first)?;
        for (i, window) in inputs[1..].iter().enumerate() {
            let [_, other] = matrix("window", window)?;
            if other != columns {
                return Err(Error::Shape(format!("window 0 has rows of {columns} values, window {i} of {other}")));
            }
        }
        Ok(Shape::new(&[inputs[0].elements(), columns]))
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        gather_rows::record(recording, &io.inputs[1..], io.inputs[0], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        gather_rows::reference(&inputs[1..], inputs[0])
    }

    fn vjp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, _: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Err(no_derivative(self.name(), "its store: cached rows are data"))
    }

    fn jvp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        if t.iter().any(Option::is_some) {
            return Err(no_derivative(self.name(), "its store: cached rows are data"));
        }
        Ok(None)
    }
}

/// For the checks of device against interpreter; copies are exact in float32.
pub fn examples() -> Vec<Example> {
    let mut all = Vec::new();
    for rows in [&[3][..], &[4, 4, 2]] {
        let total: usize = rows.iter().sum();
        let mut inputs = vec![Array::integers(&[9], total as u32, 1)];
        inputs.extend(rows.iter().enumerate().map(|(i, &r)| Array::normal(&[r, 6], 1.0, 2 + i as u64)));
        let mut example = Example::new(format!("gather_rows {rows:?}"), inputs, |g, x| g.gather_rows(&x[1..], x[0]));
        for i in 1..=rows.len() {
            example = example.constant_input(i);
        }
        all.push(example.integer_input(0).tolerance(0.0));
    }
    all
}
