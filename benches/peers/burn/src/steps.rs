//! Training steps on what relabel exported: first three steps whose losses must be relabel's, then the timing.

use std::time::Instant;

use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::prelude::*;

use crate::check::tensor;
use crate::exported::{Batch, Exported};
use crate::methods::{DeviceBatch, Method};
use crate::models::Network;
use crate::timing::{Plan, Row, time};
use crate::weights::{Loader, Start};

// The first loss comes before any update: both sides round to 24 bits and add in other orders. Each later one goes on from
// weights that differ, and what an update makes of a difference depends on the network: by FACTOR times what a last bit of the
// weights makes, the sides may be apart. Above MOST that could pass wrong gradients, and only the first loss is compared.
const EXACT: f64 = 2e-5;
const AFTER: f64 = 2e-3;
const FACTOR: f64 = 10.0;
const MOST: f64 = 2e-2;

/// A network in training.
struct Training {
    method: Method,
    network: Option<Network>,
    optimizer: ModuleOptimizer,
    rate: f64,
    start: Start,
}

impl Training {
    fn new(step: &Exported, method: Method, nudged: bool, device: &Device) -> Result<Self, String> {
        let setting = |key| step.number("optimizer", key);
        let momentum = MomentumConfig::new().with_momentum(setting("momentum")?).with_dampening(0.0);
        let decay = WeightDecayConfig::new(setting("weight_decay")? as f32);
        let mut loader = Loader::new(step, nudged, device);
        Ok(Self {
            method,
            network: Some(Network::new(step, &method.heads(), &mut loader)?),
            optimizer: SgdConfig::new().with_momentum(Some(momentum)).with_weight_decay(Some(decay)).init(),
            rate: setting("lr")?,
            start: loader.finish()?,
        })
    }

    fn network(&self) -> &Network {
        self.network.as_ref().expect("put back after each step")
    }

    /// One step; the loss before it.
    fn step(&mut self, batch: &DeviceBatch) -> Tensor<1> {
        let network = self.network.take().expect("put back after each step");
        let loss = self.method.loss(&network, batch);
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        self.network = Some(self.optimizer.step(self.rate, network, gradients));
        loss.inner()
    }

    /// The losses of the exported steps, and how far the weights went.
    fn trace(&mut self, step: &Exported, device: &Device) -> Vec<f64> {
        let mut loss = |batch| f64::from(self.step(&on_device(batch, device)).into_scalar::<f32>());
        let mut trace: Vec<f64> = step.batches.iter().map(&mut loss).collect();
        trace.push(self.start.distance(self.network()));
        trace
    }
}

fn on_device(batch: &Batch, device: &Device) -> DeviceBatch {
    let images = batch.shape[0];
    let integers = |values: &[i32]| Tensor::from_data(TensorData::new(values.to_vec(), [images]), device);
    DeviceBatch {
        images: tensor(&batch.images, batch.shape, device),
        labels: integers(&batch.labels),
        assigned: batch.assigned.chunks_exact(images).map(integers).collect(),
    }
}

/// Of each number by which part of it the other differs.
fn off(got: &[f64], want: &[f64]) -> Vec<f64> {
    got.iter().zip(want).map(|(a, b)| (a - b).abs() / b.abs()).collect()
}

/// Whether burn's losses of the exported steps, and the way of its weights, are relabel's; says by how much they differ.
fn agrees(step: &Exported, got: &[f64], nudged: &[f64]) -> bool {
    let mut want = step.losses.clone();
    want.push(step.moved);
    let largest = |parts: &[f64]| parts.iter().copied().fold(0.0, f64::max);
    let after = AFTER.max(FACTOR * largest(&off(nudged, got)));
    let found = off(got, &want);
    let comparable = after <= MOST;
    let most = |i: usize| if i == 0 { EXACT } else { after };
    let compared = if comparable { found.len() } else { 1 };
    // A NaN is wrong too: it is not within the tolerance.
    let wrong = (0..compared).find(|&i| !matches!(found[i].partial_cmp(&most(i)), Some(o) if o.is_le()));
    let name = &step.name;
    if let Some(i) = wrong {
        let what = if i < step.losses.len() { format!("loss {i}") } else { "the way of the weights".into() };
        let (value, right) = (got[i], want[i]);
        eprintln!(
            "{name}: WRONG: {what} is {value:.6}, relabel's {right:.6}: off by {:.1e}, not {:.1e}",
            found[i],
            most(i)
        );
        return false;
    }
    let rest = largest(&found[1..]);
    if comparable {
        eprintln!(
            "{name}: the first loss is off by {:.1e}, the rest by up to {rest:.1e} (at most {after:.1e})",
            found[0]
        );
    } else {
        eprintln!(
            "{name}: not comparable after the first step ({rest:.1e}); the first loss is off by {:.1e}",
            found[0]
        );
    }
    true
}

/// The row of a step.
///
/// # Errors
/// When its weights are not those of its network, or the config lacks a setting.
pub fn row(step: &Exported, method: Method, plan: Plan, device: &Device) -> Result<Row, String> {
    let device = device.clone().autodiff();
    let (mut checked, mut tuning) = (true, 0.0);
    if plan.check {
        let start = Instant::now();
        let got = Training::new(step, method, false, &device)?.trace(step, &device);
        tuning = start.elapsed().as_secs_f64();
        checked = agrees(step, &got, &Training::new(step, method, true, &device)?.trace(step, &device));
    }
    let mut training = Training::new(step, method, false, &device)?;
    let first = step.batches.first().ok_or("there is no batch")?;
    let batch = on_device(first, &device);
    let (milliseconds, warm_up, over) = time(plan, &device, || {
        let loss = training.step(&batch);
        // Known only when the whole backward pass and the update have run.
        let weight = training.network().first_weight().inner();
        Tensor::cat(vec![loss, weight.slice([0..1, 0..1, 0..1, 0..1]).reshape([1])], 0)
    });
    let [images, channels, height, width] = first.shape;
    Ok(Row {
        name: step.name.clone(),
        shape: format!("{images} x {} rows of {height}x{width}x{channels}", method.views()),
        milliseconds,
        warm_up: warm_up + tuning,
        flops: None,
        images: Some(images),
        checked: checked && over,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_losses_are_wrong() {
        let step = Exported {
            name: "step".into(),
            method: "sla".into(),
            settings: toml::Table::new(),
            weights: std::collections::BTreeMap::new(),
            batches: Vec::new(),
            losses: vec![2.0, 1.0],
            moved: 0.5,
        };
        let right = [2.0, 1.0, 0.5];
        let with = |i: usize, factor: f64| {
            let mut trace = right;
            trace[i] *= factor;
            trace
        };
        assert!(agrees(&step, &right, &right));
        assert!(agrees(&step, &with(0, 1.0 + 1e-5), &right) && !agrees(&step, &with(0, 1.0 + 3e-5), &right));
        for i in [1, 2] {
            assert!(
                agrees(&step, &with(i, 0.999), &with(i, 0.999)) && !agrees(&step, &with(i, 0.997), &with(i, 0.997))
            );
        }
        assert!(!agrees(&step, &with(1, f64::NAN), &right) && !agrees(&step, &with(2, f64::NAN), &right));
        // A last bit makes 0.1 %: 1 % is let pass. It makes 1 %: only the first loss counts.
        assert!(agrees(&step, &with(1, 0.991), &with(1, 0.991 * 0.999)));
        assert!(agrees(&step, &with(1, 0.5), &with(1, 0.5 * 0.99)) && !agrees(&step, &with(0, 0.999), &with(0, 0.9)));
    }
}
