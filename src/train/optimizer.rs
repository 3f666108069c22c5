//! The optimizer of a run: one dispatch over all parameters.

use super::config::OptimizerSettings;
use super::network::Network;
use crate::base::{DType, Error, Result, Shape};
use crate::gpu::{Engine, Recording, Tensor};
use crate::graph::Store;
use crate::graph::store::ALIGN;
use crate::kernels::{adam, clip_scale, gradient_norm, sgd};
use crate::nn::{Layout, TensorSpec};

/// SGD, Adam or AdamW with its buffers.
#[derive(Debug)]
pub struct Optimizer {
    settings: OptimizerSettings,
    /// Named like PyTorch's optimizer state: `momentum_buffer`, or `exp_avg` and `exp_avg_sq`.
    slots: Vec<(&'static str, Store)>,
    decay: Tensor,
    scale: Tensor,
    norm: Tensor,
    norm_scratch: Tensor,
}

impl Optimizer {
    /// Allocates the buffers that `settings.kind` needs.
    ///
    /// # Errors
    /// When memory does not suffice, the kind is unknown, or an entry of `no_decay` fits no parameter.
    pub fn new(engine: &Engine, settings: &OptimizerSettings, network: &Network) -> Result<Self> {
        let names: &[&'static str] = match settings.kind.as_str() {
            "sgd" => &["momentum_buffer"],
            "adam" | "adamw" => &["exp_avg", "exp_avg_sq"],
            other => return Err(Error::Config(format!("optimizer.kind = \"{other}\": it is sgd, adam or adamw"))),
        };
        let mut slots = Vec::new();
        for name in names {
            slots.push((*name, network.parameters.same_layout(engine, name)?));
        }
        let flat = network.parameters.flat();
        let decay = engine.tensor("weight decay mask", Shape::new(&[flat.shape.elements().div_ceil(ALIGN)]), DType::F32)?;
        engine.write(&decay, &mask(settings, network)?);
        let scale = engine.tensor("gradient scale", Shape::scalar(), DType::F32)?;
        let norm = engine.tensor("gradient norm", Shape::scalar(), DType::F32)?;
        let norm_scratch = engine.tensor("gradient norm (scratch)", gradient_norm::scratch(&flat.shape), DType::F32)?;
        Ok(Self { settings: settings.clone(), slots, decay, scale, norm, norm_scratch })
    }

    /// The optimizer's buffers by PyTorch's names.
    pub fn slots(&self) -> &[(&'static str, Store)] {
        &self.slots
    }

    /// Records the update from `gradients`, each multiplied by `factor` (1 / number of micro-batches).
    ///
    /// # Errors
    /// When shapes do not fit.
    pub fn record(
        &self,
        engine: &Engine,
        recording: &mut Recording,
        network: &Network,
        gradients: &Tensor,
        factor: f32,
        step: &Tensor,
    ) -> Result<()> {
        let s = &self.settings;
        recording.label("optimizer");
        if s.max_grad_norm > 0.0 {
            gradient_norm::record(recording, gradients, &self.norm_scratch, &self.norm)?;
            clip_scale::record(recording, &self.norm, s.max_grad_norm as f32, factor, &self.scale)?;
        } else {
            engine.write(&self.scale, &[factor]);
        }
        let parameters = network.parameters.flat();
        match s.kind.as_str() {
            "sgd" => {
                let settings = sgd::Settings {
                    momentum: s.momentum as f32,
                    weight_decay: s.weight_decay as f32,
                    nesterov: s.nesterov,
                };
                let momentum = self.slots[0].1.flat();
                sgd::record(recording, settings, parameters, gradients, momentum, &self.decay, &self.scale, step)
            }
            kind => {
                let settings = adam::Settings {
                    betas: [s.betas[0] as f32, s.betas[1] as f32],
                    eps: s.eps as f32,
                    weight_decay: s.weight_decay as f32,
                    decoupled: kind == "adamw",
                };
                let (m, v) = (self.slots[0].1.flat(), self.slots[1].1.flat());
                adam::record(recording, settings, parameters, gradients, m, v, &self.decay, &self.scale, step)
            }
        }
    }

    /// The step tensor's words: step number, learning rate, Adam's bias corrections, micro-batch.
    pub fn step_words(&self, step: u64, lr: f64, micro: u32) -> [u32; 8] {
        let t = (step + 1) as f64;
        let correction = |beta: f64| (1.0 / (1.0 - beta.powf(t))) as f32;
        [
            step as u32,
            (lr as f32).to_bits(),
            correction(self.settings.betas[0]).to_bits(),
            correction(self.settings.betas[1]).to_bits(),
            micro,
            0,
            0,
            0,
        ]
    }
}

/// 1 where weight decay acts, 0 where `no_decay` names the tensor, for each block of the flat buffer.
fn mask(settings: &OptimizerSettings, network: &Network) -> Result<Vec<f32>> {
    let mut used = vec![false; settings.no_decay.len()];
    let mut mask = Vec::new();
    for spec in network.parameter_specs() {
        let mut decays = 1.0;
        for (pattern, used) in settings.no_decay.iter().zip(&mut used) {
            if excluded(spec, pattern) {
                decays = 0.0;
                *used = true;
            }
        }
        mask.extend(std::iter::repeat_n(decays, spec.shape().physical().div_ceil(ALIGN)));
    }
    mask.resize(network.parameters.flat().shape.elements().div_ceil(ALIGN), 0.0);
    match used.iter().position(|u| !u) {
        None => Ok(mask),
        Some(i) => Err(Error::Config(format!(
            "optimizer.no_decay: \"{}\" fits no parameter; give \"bias\", \"norm\", or part of a name such as \"layer1\"",
            settings.no_decay[i]
        ))),
    }
}

/// "norm" is batch-norm's weight and bias (one tensor here, so they go together), "bias" every other bias and
/// batch-norm; anything else is part of a PyTorch name.
fn excluded(spec: &TensorSpec, pattern: &str) -> bool {
    let norm = matches!(spec.layout, Layout::Rows { .. });
    match pattern {
        "norm" | "bn" => norm,
        "bias" => norm || matches!(spec.layout, Layout::Vector { .. }),
        part => spec.torch_parts().iter().any(|(name, _)| name.contains(part)),
    }
}
