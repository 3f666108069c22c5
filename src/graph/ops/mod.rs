//! The closed set of operations: one file each, with its shape rule, kernels, twin, vjp and jvp.
//! Builder methods (`graph.relu(x)`) stand in the operation's file as an `impl Graph`.

pub mod add;
pub mod add_bias;
pub mod add_scaled;
pub mod aggregate;
pub mod assign;
pub mod avg_pool;
pub mod batch_norm;
pub mod batch_norm_form;
pub mod batch_norm_relu;
pub mod channel_window;
pub mod colour_jitter;
pub mod conditional;
pub mod conv2d;
pub mod counters;
pub mod cross_entropy;
pub mod decode_augment;
pub mod distillation;
pub mod dropout;
pub mod entropy;
pub mod flatten;
pub mod focal;
pub mod gather_rows;
pub mod global_average_pool;
pub mod masked_softmax;
pub mod matmul;
pub mod max_pool;
pub mod mul;
pub mod one_hot;
pub mod power;
pub mod relu;
pub mod relu_derivative_sum;
pub mod resized_crop;
pub mod rows;
pub mod softmax;
pub mod split_heads;
pub mod sum_all;
pub mod sum_rows;
pub mod transform_views;
pub mod update_running;

use std::sync::Arc;

use super::Operation;
use super::{Graph, NodeId};
use crate::base::{Array, Result};

/// Every operation's examples: what the gradient checks walk. One line each.
#[rustfmt::skip] // one line each
pub fn examples() -> Vec<Example> {
    let all = [
        add::examples(),
        add_bias::examples(),
        add_scaled::examples(),
        aggregate::examples(),
        assign::examples(),
        avg_pool::examples(),
        batch_norm::examples(),
        batch_norm_form::examples(),
        batch_norm_relu::examples(),
        channel_window::examples(),
        colour_jitter::examples(),
        conditional::examples(),
        conv2d::examples(),
        counters::examples(),
        cross_entropy::examples(),
        decode_augment::examples(),
        distillation::examples(),
        dropout::examples(),
        entropy::examples(),
        flatten::examples(),
        focal::examples(),
        gather_rows::examples(),
        global_average_pool::examples(),
        masked_softmax::examples(),
        matmul::examples(),
        max_pool::examples(),
        mul::examples(),
        one_hot::examples(),
        power::examples(),
        relu::examples(),
        relu_derivative_sum::examples(),
        resized_crop::examples(),
        rows::examples(),
        softmax::examples(),
        split_heads::examples(),
        sum_all::examples(),
        sum_rows::examples(),
        transform_views::examples(),
        update_running::examples(),
    ];
    all.into_iter().flatten().collect()
}

/// Builds an operation on given inputs.
pub type Build = Arc<dyn Fn(&mut Graph, &[NodeId]) -> Result<NodeId> + Send + Sync>;

/// An operation on concrete values, for the checks: interpreter against device, both derivatives against finite
/// differences, and reverse against forward mode.
pub struct Example {
    /// What it shows.
    pub name: String,
    /// Input values, with their types.
    pub inputs: Vec<(Array, crate::base::DType)>,
    /// Which inputs are differentiated. Values must lie off the operation's kinks by more than 1e-3.
    pub differentiable: Vec<bool>,
    /// Builds the operation on those inputs and returns its output.
    pub build: Build,
    /// Whether the operation updates its last input, which is then a state.
    pub in_place: bool,
    /// How far the device may be from the interpreter, relative to the largest value.
    pub tolerance: f64,
}

impl Example {
    /// Float inputs, all differentiable, tolerance 2e-5 (float32 sums of at most a few thousand terms).
    pub fn new(
        name: impl Into<String>,
        inputs: Vec<Array>,
        build: impl Fn(&mut Graph, &[NodeId]) -> Result<NodeId> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            differentiable: vec![true; inputs.len()],
            inputs: inputs.into_iter().map(|a| (a, crate::base::DType::F32)).collect(),
            build: Arc::new(build),
            in_place: false,
            tolerance: 2e-5,
        }
    }

    /// The same with input `index` as integers without a derivative.
    #[must_use]
    pub fn integer_input(mut self, index: usize) -> Self {
        self.inputs[index].1 = crate::base::DType::U32;
        self.differentiable[index] = false;
        self
    }

    /// The same for an operation that updates its last input and has no derivative.
    #[must_use]
    pub fn updates_last(mut self) -> Self {
        self.in_place = true;
        self.differentiable.fill(false);
        self
    }

    /// The same for an operation without derivatives.
    #[must_use]
    pub fn no_derivative(mut self) -> Self {
        self.differentiable.fill(false);
        self
    }

    /// The same with another device tolerance, relative to the largest value; the reason stands at the call.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// The same with input `index` held constant.
    #[must_use]
    pub fn constant_input(mut self, index: usize) -> Self {
        self.differentiable[index] = false;
        self
    }
}

/// Shorthand for rules: the only derivative of a one-input operation.
pub(crate) fn single(node: NodeId) -> Vec<Option<NodeId>> {
    vec![Some(node)]
}

/// A shared reference to an operation.
pub type Shared = Arc<dyn Operation>;
