//! Stochastic gradient descent over all parameters. Shapes: `grads`, `weights`, `velocity (n)`, `mask (n/64)`,
//! `scale (1)`, `step (8)`.

use super::flat::{VARIANTS, flat_grid};
use super::{Case, Kernel, Output, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, DType, Error, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, update};

params! {
    /// Uniforms of `sgd.wgsl`.
    pub struct Params {
        /// n / 4.
        pub count: u32,
        /// Factor of the old velocity.
        pub momentum: f32,
        /// L2 penalty where the mask is 1.
        pub weight_decay: f32,
        /// 1 for Nesterov's form.
        pub nesterov: u32,
    }
}

/// What does not change from step to step; PyTorch's names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Factor of the old velocity.
    pub momentum: f32,
    /// L2 penalty where the mask is 1.
    pub weight_decay: f32,
    /// Nesterov's form.
    pub nesterov: bool,
}

/// The tensors of one step.
#[derive(Clone, Copy, Debug)]
pub struct Buffers<'a> {
    /// Step settings `(8)`: number, bits of the learning rate.
    pub step: &'a Tensor,
    /// Gradients `(n)`.
    pub grads: &'a Tensor,
    /// 1 for each 64 floats that decay, else 0 `(n/64)`.
    pub mask: &'a Tensor,
    /// Factor of the gradients `(1)`; a negative one leaves the step out.
    pub scale: &'a Tensor,
    /// Parameters `(n)`, updated.
    pub weights: &'a Tensor,
    /// Momentum buffer `(n)`, updated; what it holds before step 0 does not matter.
    pub velocity: &'a Tensor,
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "sgd",
    source: include_str!("../../shaders/optimise/sgd.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("step_words"), read("grads"), read("mask"), read("scale"), update("weights"), update("velocity")],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records one step.
///
/// # Errors
/// When the buffers do not fit together or their length is not a multiple of 64.
pub fn record(recording: &mut Recording, settings: Settings, buffers: Buffers<'_>) -> Result<()> {
    let Buffers { step, grads, mask, scale, weights, velocity } = buffers;
    let n = check_flat("sgd", weights, mask, scale, step)?;
    grads.expect("sgd: grads, as weights", &[n])?;
    velocity.expect("sgd: velocity, as weights", &[n])?;
    let p = Params {
        count: (n / 4) as u32,
        momentum: settings.momentum,
        weight_decay: settings.weight_decay,
        nesterov: u32::from(settings.nesterov),
    };
    let groups = flat_grid(recording, &SHADER, n / 4);
    recording.dispatch(&SHADER, p, &[step, grads, mask, scale, weights, velocity], groups, cost(p))
}

/// Length of the flat buffers of an optimizer's step, when they fit together.
pub(super) fn check_flat(name: &str, weights: &Tensor, mask: &Tensor, scale: &Tensor, step: &Tensor) -> Result<usize> {
    let n = weights.shape.elements();
    if weights.shape.rank() != 1 || !n.is_multiple_of(64) {
        return Err(Error::Shape(format!(
            "{name}: weights {} is not one row of a multiple of 64 floats",
            weights.shape
        )));
    }
    mask.expect(&format!("{name}: mask (n/64)"), &[n / 64])?;
    scale.expect(&format!("{name}: scale (1)"), &[1])?;
    step.expect(&format!("{name}: step (8)"), &[8])?;
    Ok(n)
}

/// The least work: read gradient, weight and velocity, write the last two; three multiply-adds and one more.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.count);
    Cost { operations: 8 * values, bytes: 20 * values }
}

/// Step settings as the device reads them: number, bits of the rate and of Adam's two corrections.
pub(super) fn step_words(number: u32, rate: f32, corrections: [f32; 2]) -> Array {
    let words = [number, rate.to_bits(), corrections[0].to_bits(), corrections[1].to_bits(), 0, 0, 0, 0];
    Array::from_fn(&[8], |i| f64::from(words[i]))
}

/// The twin: one step, updating `weights` and `velocity`.
pub fn reference(
    settings: Settings,
    step: &Array,
    grads: &Array,
    mask: &Array,
    scale: f64,
    weights: &mut Array,
    velocity: &mut Array,
) {
    if scale < 0.0 {
        return;
    }
    let rate = f64::from(f32::from_bits(step.data[1] as u32));
    let (momentum, decay) = (f64::from(settings.momentum), f64::from(settings.weight_decay));
    for i in 0..weights.data.len() {
        let g = scale * grads.data[i] + decay * mask.data[i / 64] * weights.data[i];
        velocity.data[i] = if step.data[0] == 0.0 { g } else { momentum * velocity.data[i] + g };
        let moved = if settings.nesterov { g + momentum * velocity.data[i] } else { velocity.data[i] };
        weights.data[i] -= rate * moved;
    }
}

/// A mask that alternates in an irregular pattern.
pub(super) fn some_mask(n: usize) -> Array {
    Array::from_fn(&[n / 64], |i| if i % 3 == 1 { 0.0 } else { 1.0 })
}

/// Factor and gradients of step `t` of a case: those of the second step may be left out, and are then not finite.
pub(super) fn some_gradients(n: usize, t: u32, left_out: bool) -> (f64, Array) {
    match left_out && t == 1 {
        true => (-1.0, Array::full(&[n], f64::INFINITY)),
        false => (0.25, Array::normal(&[n], 1.0, 10 + u64::from(t))),
    }
}

/// Three steps with a falling rate, from a momentum buffer that is not clean; one is left out. Three steps of a few roundings each on
/// values of size 1: 1e-6 of the largest.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (n, momentum, weight_decay, nesterov, left_out) in [
        (64, 0.9, 1e-4, false, false),
        (192, 0.9, 0.05, true, true),
        (64 * 5, 0.0, 0.0, false, false),
        (64 * 257, 0.9, 5e-2, false, true),
        (64 * 64, 0.5, 0.1, true, false),
    ] {
        let settings = Settings { momentum, weight_decay, nesterov };
        let mut weights = Array::normal(&[n], 1.0, 1);
        let mut velocity = Array::normal(&[n], 10.0, 2);
        let (first_weights, first_velocity) = (weights.clone(), velocity.clone());
        let mask = some_mask(n);
        let mut inputs = vec![(mask.clone(), DType::F32)];
        for t in 0..3u32 {
            let step = step_words(t, 0.1 / (1 + t) as f32, [1.0, 1.0]);
            let (scale, grads) = some_gradients(n, t, left_out);
            reference(settings, &step, &grads, &mask, scale, &mut weights, &mut velocity);
            inputs.extend([(Array::scalar(scale), DType::F32), (step, DType::U32), (grads, DType::F32)]);
        }
        let output = |expected, initial| Output {
            expected,
            initial: Some(initial),
            dtype: DType::F32,
            tolerance: Tolerance::largest(1e-6),
        };
        cases.push(Case {
            name: format!("{n} floats, {settings:?}, one left out: {left_out}"),
            inputs,
            outputs: vec![output(weights, first_weights), output(velocity, first_velocity)],
            scratch: Vec::new(),
            record: Box::new(move |r, i, o, _| {
                for given in i[1..].chunks_exact(3) {
                    let [scale, step, grads] = [&given[0], &given[1], &given[2]];
                    let buffers = Buffers { step, grads, mask: &i[0], scale, weights: &o[0], velocity: &o[1] };
                    record(r, settings, buffers)?;
                }
                Ok(())
            }),
        });
    }
    cases
}
