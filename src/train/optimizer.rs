//! The optimizer of a run: one dispatch over all parameters.

use super::config::{Optimizer as OptimizerSettings, OptimizerKind};
use super::loss_scale::LossScale;
use super::network::Network;
use crate::base::{DType, Result, Shape};
use crate::gpu::{Engine, Recording, Tensor};
use crate::graph::Store;
use crate::graph::place::update;
use crate::graph::store::ALIGN;
use crate::kernels::{adam, clip_scale, gradient_norm, sgd};

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
    loss_scale: Option<LossScale>,
}

impl Optimizer {
    /// Allocates the buffers that `settings.kind` needs.
    ///
    /// # Errors
    /// When memory does not suffice.
    pub fn new(engine: &Engine, settings: &OptimizerSettings, network: &Network) -> Result<Self> {
        let names: &[&'static str] = match settings.kind {
            OptimizerKind::Sgd => &["momentum_buffer"],
            OptimizerKind::Adam | OptimizerKind::AdamW => &["exp_avg", "exp_avg_sq"],
        };
        let mut slots = Vec::new();
        for name in names {
            slots.push((*name, network.parameters.same_layout(engine, name)?));
        }
        let flat = network.parameters.flat();
        let decay =
            engine.tensor("weight decay mask", Shape::new(&[flat.shape.elements().div_ceil(ALIGN)]), DType::F32)?;
        engine.write(&decay, &mask(settings, network));
        let scale = engine.tensor("gradient scale", Shape::scalar(), DType::F32)?;
        let norm = engine.tensor("gradient norm", Shape::scalar(), DType::F32)?;
        let norm_scratch = engine.tensor("gradient norm (scratch)", gradient_norm::scratch(&flat.shape), DType::F32)?;
        Ok(Self { settings: settings.clone(), slots, decay, scale, norm, norm_scratch, loss_scale: None })
    }

    /// The same optimizer for gradients of a scaled loss.
    #[must_use]
    pub fn with_loss_scale(mut self, loss_scale: LossScale) -> Self {
        self.loss_scale = Some(loss_scale);
        self
    }

    /// What the loss is scaled by, if it is.
    pub fn loss_scale(&self) -> Option<&LossScale> {
        self.loss_scale.as_ref()
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
        recording.label(&update("optimizer"));
        let highest = (s.max_grad_norm > 0.0).then_some(s.max_grad_norm as f32);
        if self.loss_scale.is_some() || highest.is_some() {
            gradient_norm::record(recording, gradients, &self.norm_scratch, &self.norm)?;
        }
        match (&self.loss_scale, highest) {
            (Some(loss_scale), _) => loss_scale.record(recording, &self.norm, highest, factor, &self.scale)?,
            (None, Some(_)) => clip_scale::record(recording, &self.norm, highest, factor, &self.scale)?,
            (None, None) => engine.write(&self.scale, &[factor]),
        }
        let (weights, mask, scale) = (network.parameters.flat(), &self.decay, &self.scale);
        match s.kind {
            OptimizerKind::Sgd => {
                let settings = sgd::Settings {
                    momentum: s.momentum as f32,
                    weight_decay: s.weight_decay as f32,
                    nesterov: s.nesterov,
                };
                let velocity = self.slots[0].1.flat();
                sgd::record(
                    recording,
                    settings,
                    sgd::Buffers { step, grads: gradients, mask, scale, weights, velocity },
                )
            }
            OptimizerKind::Adam | OptimizerKind::AdamW => {
                let settings = self.adam();
                let (average, square) = (self.slots[0].1.flat(), self.slots[1].1.flat());
                let buffers = adam::Buffers { step, grads: gradients, mask, scale, weights, average, square };
                adam::record(recording, settings, buffers)
            }
        }
    }

    fn adam(&self) -> adam::Settings {
        adam::Settings {
            betas: self.settings.betas,
            epsilon: self.settings.eps,
            weight_decay: self.settings.weight_decay,
            decoupled: self.settings.kind == OptimizerKind::AdamW,
        }
    }

    /// The step tensor's words: step number, learning rate, Adam's bias corrections, micro-batch.
    pub fn step_words(&self, step: u64, lr: f64, micro: u32) -> [u32; 8] {
        let [first, second] = self.adam().corrections(step as u32).map(f32::to_bits);
        [step as u32, (lr as f32).to_bits(), first, second, micro, 0, 0, 0]
    }
}

/// 1 where weight decay acts, 0 where `no_decay` names the tensor, for each block of the flat buffer. Batch-norm's
/// weight and bias are one tensor here, as are the heads of SeLa, so an entry that holds for one holds for all.
fn mask(settings: &OptimizerSettings, network: &Network) -> Vec<f32> {
    let mut mask = Vec::new();
    for spec in network.parameter_specs() {
        let decays = spec.torch_parts().iter().all(|(name, _)| settings.decays(name));
        mask.extend(std::iter::repeat_n(if decays { 1.0 } else { 0.0 }, spec.shape().physical().div_ceil(ALIGN)));
    }
    mask.resize(network.parameters.flat().shape.elements().div_ceil(ALIGN), 0.0);
    mask
}
