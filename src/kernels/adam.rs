//! Adam and AdamW over all parameters. Shapes: `grads`, `weights`, `average`, `square (n)`, `mask (n/64)`,
//! `scale (1)`, `step (8)`.

use super::flat::{VARIANTS, flat_grid};
use super::sgd::{check_flat, some_gradients, some_mask, step_words};
use super::{Case, Kernel, Output, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, DType, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, update};

params! {
    /// Uniforms of `adam.wgsl`.
    pub struct Params {
        /// n / 4.
        pub count: u32,
        /// β₁.
        pub keep1: f32,
        /// 1 − β₁, rounded once.
        pub take1: f32,
        /// β₂.
        pub keep2: f32,
        /// 1 − β₂, rounded once.
        pub take2: f32,
        /// Added to the root.
        pub epsilon: f32,
        /// Penalty where the mask is 1.
        pub weight_decay: f32,
        /// 0 Adam (L2), 1 AdamW (decoupled).
        pub decoupled: u32,
    }
}

/// What does not change from step to step; PyTorch's names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// β₁ and β₂.
    pub betas: [f64; 2],
    /// Added to the root.
    pub epsilon: f64,
    /// Penalty where the mask is 1.
    pub weight_decay: f64,
    /// Whether the decay acts on the weights (AdamW) and not through the gradient (Adam).
    pub decoupled: bool,
}

impl Settings {
    /// `[1/(1 − β₁ᵗ), 1/(1 − β₂ᵗ)]` for step number `t − 1`: words 2 and 3 of the step settings.
    pub fn corrections(&self, number: u32) -> [f32; 2] {
        let t = f64::from(number) + 1.0;
        self.betas.map(|b| (1.0 / (1.0 - b.powf(t))) as f32)
    }
}

/// The tensors of one step.
#[derive(Clone, Copy, Debug)]
pub struct Buffers<'a> {
    /// Step settings `(8)`: number, bits of the learning rate and of [`Settings::corrections`].
    pub step: &'a Tensor,
    /// Gradients `(n)`.
    pub grads: &'a Tensor,
    /// 1 for each 64 floats that decay, else 0 `(n/64)`.
    pub mask: &'a Tensor,
    /// Factor of the gradients `(1)`; a negative one leaves the step out.
    pub scale: &'a Tensor,
    /// Parameters `(n)`, updated.
    pub weights: &'a Tensor,
    /// Running mean of the gradients `(n)`, zero before the first step, updated.
    pub average: &'a Tensor,
    /// Running mean of their squares `(n)`, zero before the first step, updated.
    pub square: &'a Tensor,
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "adam",
    source: include_str!("../../shaders/optimise/adam.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[
        read("step_words"),
        read("grads"),
        read("mask"),
        read("scale"),
        update("weights"),
        update("average"),
        update("square"),
    ],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records one step.
///
/// # Errors
/// When the buffers do not fit together or their length is not a multiple of 64.
pub fn record(recording: &mut Recording, settings: Settings, buffers: Buffers<'_>) -> Result<()> {
    let Buffers { step, grads, mask, scale, weights, average, square } = buffers;
    let n = check_flat("adam", weights, mask, scale, step)?;
    for (what, tensor) in [("grads", grads), ("average", average), ("square", square)] {
        tensor.expect(&format!("adam: {what}, as weights"), &[n])?;
    }
    let p = Params {
        count: (n / 4) as u32,
        keep1: settings.betas[0] as f32,
        take1: (1.0 - settings.betas[0]) as f32,
        keep2: settings.betas[1] as f32,
        take2: (1.0 - settings.betas[1]) as f32,
        epsilon: settings.epsilon as f32,
        weight_decay: settings.weight_decay as f32,
        decoupled: u32::from(settings.decoupled),
    };
    let groups = flat_grid(recording, &SHADER, n / 4);
    let tensors = [step, grads, mask, scale, weights, average, square];
    recording.dispatch(&SHADER, p, &tensors, groups, cost(p))
}

/// The least work: read gradient, weight and both averages, write the last three; about 16 operations.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.count);
    Cost { operations: 16 * values, bytes: 28 * values }
}

/// The twin: one step, updating `[weights, average, square]`.
pub fn reference(settings: Settings, step: &Array, grads: &Array, mask: &Array, scale: f64, state: &mut [Array; 3]) {
    if scale < 0.0 {
        return;
    }
    let word = |i: usize| f64::from(f32::from_bits(step.data[i] as u32));
    let (rate, correct1, correct2) = (word(1), word(2), word(3));
    let [b1, b2] = settings.betas;
    let [weights, average, square] = state;
    for i in 0..weights.data.len() {
        let decay = settings.weight_decay * mask.data[i / 64];
        let mut g = scale * grads.data[i];
        if settings.decoupled {
            weights.data[i] *= 1.0 - rate * decay;
        } else {
            g += decay * weights.data[i];
        }
        average.data[i] = b1 * average.data[i] + (1.0 - b1) * g;
        square.data[i] = b2 * square.data[i] + (1.0 - b2) * g * g;
        let root = (square.data[i] * correct2).sqrt() + settings.epsilon;
        weights.data[i] -= rate * correct1 * average.data[i] / root;
    }
}

/// Three steps with a falling rate; one is left out. Each step moves a weight by about the rate, with a root and a division of 2.5
/// units in the last place each: 2e-6 of the largest.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (n, decoupled, weight_decay, left_out) in [
        (64, false, 0.0, false),
        (192, true, 0.1, true),
        (320, false, 0.1, true),
        (64 * 257, true, 1e-2, false),
        (64 * 64, false, 1e-2, false),
    ] {
        let settings = Settings { betas: [0.9, 0.999], epsilon: 1e-8, weight_decay, decoupled };
        let start = [Array::normal(&[n], 1.0, 1), Array::zeros(&[n]), Array::zeros(&[n])];
        let mut state = start.clone();
        let mask = some_mask(n);
        let mut inputs = vec![(mask.clone(), DType::F32)];
        for t in 0..3u32 {
            let step = step_words(t, 0.01 / (1 + t) as f32, settings.corrections(t));
            let (scale, grads) = some_gradients(n, t, left_out);
            reference(settings, &step, &grads, &mask, scale, &mut state);
            inputs.extend([(Array::scalar(scale), DType::F32), (step, DType::U32), (grads, DType::F32)]);
        }
        let output = |(expected, initial)| Output {
            expected,
            initial: Some(initial),
            dtype: DType::F32,
            tolerance: Tolerance::largest(2e-6),
        };
        cases.push(Case {
            name: format!("{n} floats, {settings:?}, one left out: {left_out}"),
            inputs,
            outputs: state.into_iter().zip(start).map(output).collect(),
            scratch: Vec::new(),
            record: Box::new(move |r, i, o, _| {
                for given in i[1..].chunks_exact(3) {
                    let [scale, step, grads] = [&given[0], &given[1], &given[2]];
                    let [weights, average, square] = [&o[0], &o[1], &o[2]];
                    let buffers = Buffers { step, grads, mask: &i[0], scale, weights, average, square };
                    record(r, settings, buffers)?;
                }
                Ok(())
            }),
        });
    }
    cases
}
