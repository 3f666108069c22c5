//! Rows to their samples and labels from them: the in-place `scatter_rows` and `gather_labels`. Neither has a
//! derivative: they move values out of the graph, and indices into it.

use std::ops::Range;

use super::Example;
use super::counters::no_rules;
use super::rows::matrix;
use crate::base::{Array, DType, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::ir::no_derivative;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::{gather_labels, scatter_rows};

#[derive(Debug)]
struct ScatterRows {
    first: usize,
    half: bool,
}

#[derive(Debug)]
struct GatherLabels {
    heads: Range<usize>,
}

impl Graph {
    /// In place: row `b` of `values` becomes row `draws[b].sample − first` of the window `store`, when it lies in it and
    /// `labels[b]` counts; with `half` as two float16 a word. Shapes: `values (B, C)`, `draws (B, 4)` and `labels (B)`
    /// unsigned, `store (W, C)`, or `(W, ⌈C / 2⌉)` with `half` → the store.
    pub fn scatter_rows(
        &mut self,
        values: NodeId,
        draws: NodeId,
        labels: NodeId,
        store: NodeId,
        first: usize,
        half: bool,
    ) -> Result<NodeId> {
        self.apply(ScatterRows { first, half }, &[values, draws, labels, store])
    }

    /// The labels that `heads` have for each image: `table[head, draws[b].sample]`, ignored where `labels[b]` is; those of an image
    /// are neighbours. Shapes: `table (T, N)`, `draws (B, 4)`, `labels (B)` → `(B · heads)`, all unsigned.
    ///
    /// # Errors
    /// When the shapes do not fit together or the table has no such heads.
    pub fn gather_labels(
        &mut self,
        table: NodeId,
        draws: NodeId,
        labels: NodeId,
        heads: Range<usize>,
    ) -> Result<NodeId> {
        self.apply(GatherLabels { heads }, &[table, draws, labels])
    }
}

impl Operation for ScatterRows {
    fn name(&self) -> &'static str {
        "scatter_rows"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [rows, columns] = matrix("values", inputs[0])?;
        scatter_rows::check_draws("scatter_rows", rows, inputs[1].sizes(), inputs[2].sizes())?;
        let [_, width] = matrix("store", inputs[3])?;
        let expected = scatter_rows::store_columns(columns, self.half);
        if width != expected {
            return Err(Error::Shape(format!("a store {} for rows of {expected} words", inputs[3])));
        }
        Ok(inputs[3].clone())
    }

    fn in_place(&self) -> bool {
        true
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        let [values, draws, labels] = [io.inputs[0], io.inputs[1], io.inputs[2]];
        scatter_rows::record(recording, values, draws, labels, [self.first, usize::from(self.half)], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        scatter_rows::reference(inputs[0], inputs[1], inputs[2], [self.first, usize::from(self.half)], inputs[3])
    }

    no_rules!("anything: it updates a store");
}

impl Operation for GatherLabels {
    fn name(&self) -> &'static str {
        "gather_labels"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [all, _] = matrix("table", inputs[0])?;
        gather_labels::check_heads(all, &self.heads)?;
        let rows = inputs[2].elements();
        scatter_rows::check_draws("gather_labels", rows, inputs[1].sizes(), inputs[2].sizes())?;
        Ok(Shape::new(&[rows * self.heads.len()]))
    }

    fn dtype(&self) -> DType {
        DType::U32
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        gather_labels::record(recording, io.inputs[0], io.inputs[1], io.inputs[2], self.heads.clone(), io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        gather_labels::reference(inputs[0], inputs[1], inputs[2], self.heads.clone())
    }

    no_rules!("its input: labels are whole numbers");
}

/// For the checks of device against interpreter: rows moved and labels looked up, exactly.
pub fn examples() -> Vec<Example> {
    let draws = || Array::from_fn(&[5, 4], |i| [3.0, 9.0, 1.0, 0.0, 3.0][i / 4] * f64::from(u8::from(i % 4 == 1)));
    let labels = || Array::from_fn(&[5], |b| if b == 4 { f64::from(u32::MAX) } else { 0.0 });
    let scatter = |first: usize| {
        let inputs = vec![Array::normal(&[5, 6], 1.0, 1), draws(), labels(), Array::normal(&[4, 6], 1.0, 2)];
        Example::new(format!("scatter_rows at {first}"), inputs, move |g, x| {
            g.scatter_rows(x[0], x[1], x[2], x[3], first, false)
        })
        .integer_input(1)
        .integer_input(2)
        .updates_last()
        .tolerance(0.0)
    };
    let gather = |heads: Range<usize>| {
        let inputs = vec![Array::integers(&[3, 11], 50, 3), draws(), Array::zeros(&[5])];
        Example::new(format!("gather_labels of heads {heads:?}"), inputs, move |g, x| {
            g.gather_labels(x[0], x[1], x[2], heads.clone())
        })
        .integer_input(0)
        .integer_input(1)
        .integer_input(2)
        .tolerance(0.0)
    };
    vec![scatter(0), scatter(6), gather(0..1), gather(2..3), gather(0..3)]
}
