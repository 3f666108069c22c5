//! Counting without reading back: `argmax`, `correct`, and the in-place `accumulate` and `flag_nonfinite`. None has a
//! derivative: they are steps, or they update a state.

use super::Example;
use super::cross_entropy::{SIZES, some_labels};
use super::rows::{expect, matrix};
use crate::base::labels::check_views;
use crate::base::{Array, DType, Error, LabelRule, Result, Shape};
use crate::gpu::{Recording, Tensor};
use crate::graph::ir::no_derivative;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::{accumulate, argmax, count_matches, flag_nonfinite};

#[derive(Debug)]
struct Argmax;

#[derive(Debug)]
struct Correct {
    rule: LabelRule,
    views: usize,
}

#[derive(Debug)]
pub(in crate::graph) struct Accumulate {
    pub slot: usize,
    /// Of each value.
    pub factors: Vec<f32>,
}

#[derive(Debug)]
struct FlagNonfinite {
    slot: usize,
}

impl Graph {
    /// Index of each row's first maximum. Shapes: `(R, N)` → `(R)` unsigned.
    pub fn argmax(&mut self, logits: NodeId) -> Result<NodeId> {
        self.apply(Argmax, &[logits])
    }

    /// Number of rows whose first maximum is the label that `rule` makes of the image's class and the view; ignored
    /// images are not counted. Shapes: `logits (B·M, N)`, `labels (B)` unsigned → `(1)`.
    pub fn correct(&mut self, logits: NodeId, labels: NodeId, rule: LabelRule, views: usize) -> Result<NodeId> {
        self.apply(Correct { rule, views }, &[logits, labels])
    }

    /// In place: `state[slot + i] += x` for the i-th of `values`. Shapes: `values (1)` each, `state (K)` → the state.
    pub fn accumulate(&mut self, values: &[NodeId], state: NodeId, slot: usize) -> Result<NodeId> {
        self.apply(Accumulate { slot, factors: vec![1.0; values.len()] }, &[values, &[state]].concat())
    }

    /// In place: `state[slot] = step number + 1` where `x` is NaN or infinite and the slot is still 0. Shapes: `x (1)`,
    /// `step (8)` unsigned (word 0 the number), `state (K)` → the state.
    pub fn flag_nonfinite(&mut self, x: NodeId, step: NodeId, state: NodeId, slot: usize) -> Result<NodeId> {
        self.apply(FlagNonfinite { slot }, &[x, step, state])
    }
}

/// The rules of an operation without a derivative.
macro_rules! no_rules {
    ($reason:literal) => {
        fn vjp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, _: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
            Err(no_derivative(self.name(), $reason))
        }

        fn jvp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
            if t.iter().any(Option::is_some) {
                return Err(no_derivative(self.name(), $reason));
            }
            Ok(None)
        }
    };
}
pub(super) use no_rules;

impl Operation for Argmax {
    fn name(&self) -> &'static str {
        "argmax"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [rows, _] = matrix("logits", inputs[0])?;
        Ok(Shape::new(&[rows]))
    }

    fn dtype(&self) -> DType {
        DType::U32
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        argmax::record(recording, io.inputs[0], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        argmax::reference(inputs[0])
    }

    no_rules!("its input: an index is a step function");
}

impl Operation for Correct {
    fn name(&self) -> &'static str {
        "correct"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [rows, _] = matrix("logits", inputs[0])?;
        check_views("logits and labels", rows, inputs[1].elements(), self.views)?;
        Ok(Shape::scalar())
    }

    fn scratch(&self, inputs: &[&Shape], _: &Shape) -> Vec<Shape> {
        vec![Shape::new(&[inputs[0].rows()])]
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        let chosen = io.scratch[0];
        argmax::record(recording, io.inputs[0], chosen)?;
        count_matches::record(recording, chosen, io.inputs[1], self.rule, self.views, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        count_matches::reference(&argmax::reference(inputs[0]), inputs[1], self.rule, self.views)
    }

    no_rules!("its input: a count is a step function");
}

impl Operation for Accumulate {
    fn name(&self) -> &'static str {
        "accumulate"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [values @ .., state] = inputs else { unreachable!("the state is appended") };
        for value in values {
            expect("value", value, &[1])?;
        }
        let last = values.len().checked_sub(1).ok_or_else(|| Error::Shape("there is no value".into()))?;
        accumulate::check_slot("accumulate", state, self.slot + last)?;
        Ok((*state).clone())
    }

    fn in_place(&self) -> bool {
        true
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        let values: Vec<(&Tensor, f32)> = io.inputs.iter().copied().zip(self.factors.iter().copied()).collect();
        accumulate::record(recording, &values, self.slot, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        let factors = self.factors.iter().map(|&factor| f64::from(factor));
        let values: Vec<(&Array, f64)> = inputs.iter().copied().zip(factors).collect();
        accumulate::reference(&values, self.slot, inputs[values.len()])
    }

    no_rules!("anything: it updates a state");
}

impl Operation for FlagNonfinite {
    fn name(&self) -> &'static str {
        "flag_nonfinite"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        expect("x", inputs[0], &[1])?;
        expect("step", inputs[1], &[8])?;
        accumulate::check_slot("flag_nonfinite", inputs[2], self.slot)?;
        Ok(inputs[2].clone())
    }

    fn in_place(&self) -> bool {
        true
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        flag_nonfinite::record(recording, io.inputs[0], io.inputs[1], self.slot, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        flag_nonfinite::reference(inputs[0], inputs[1], self.slot, inputs[2])
    }

    no_rules!("anything: it updates a state");
}

/// For the checks of device against interpreter; counts and indices are exact.
pub fn examples() -> Vec<Example> {
    let mut all = Vec::new();
    for (images, views, classes) in SIZES {
        let logits = || Array::normal(&[images * views, classes * views], 1.0, 1);
        let argmax =
            Example::new(format!("argmax {images} x {views} x {classes}"), vec![logits()], |g, x| g.argmax(x[0]));
        all.push(argmax.constant_input(0).tolerance(0.0));
        for rule in [LabelRule::Joint, LabelRule::Class, LabelRule::View] {
            // Two classes: about every second row is right.
            let narrow = Array::normal(&[images * views, if rule == LabelRule::Joint { 2 * views } else { 2 }], 1.0, 2);
            let labels = some_labels(images, 2);
            let example =
                Example::new(format!("correct {rule:?} {images} x {views}"), vec![narrow, labels], move |g, x| {
                    g.correct(x[0], x[1], rule, views)
                });
            all.push(example.constant_input(0).integer_input(1).tolerance(0.0));
        }
    }
    let state = || Array::from_fn(&[5], |i| if i == 3 { 0.0 } else { i as f64 + 1.0 });
    all.push(
        Example::new("accumulate", vec![Array::scalar(2.5), state()], |g, x| g.accumulate(&x[..1], x[1], 2))
            .updates_last(),
    );
    // More values than one dispatch takes, some of them scaled.
    let values = (1..=5).map(|i| Array::scalar(0.5 + f64::from(i)));
    let several = Example::new("accumulate, five values", values.chain([state()]).collect(), |g, x| {
        let mut values = x[..5].to_vec();
        for i in [1, 4] {
            let half = g.scale(values[i], 0.5)?;
            values[i] = g.scale(half, -3.0)?;
        }
        g.accumulate(&values, x[5], 0)
    });
    all.push(several.updates_last());
    for x in [f64::NAN, f64::NEG_INFINITY, 1.0] {
        for slot in [2, 3] {
            let step = Array::from_fn(&[8], |i| 6.0 + i as f64);
            let inputs = vec![Array::scalar(x), step, state()];
            let example = Example::new(format!("flag_nonfinite {x} into {slot}"), inputs, move |g, x| {
                g.flag_nonfinite(x[0], x[1], x[2], slot)
            });
            all.push(example.integer_input(1).updates_last().tolerance(0.0));
        }
    }
    all
}
