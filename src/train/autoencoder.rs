//! A small convolutional autoencoder, trained by a short run of its own: features of images without any label. Three
//! convolutions with stride 2 and a linear layer onto the latent values; two linear layers from there to all pixels.

use std::collections::HashMap;

use super::config::{Optimizer as OptimizerSettings, OptimizerKind, Schedule as ScheduleSettings, ScheduleKind};
use super::network::Network;
use super::optimizer::Optimizer;
use super::place_gradients;
use super::schedule::Schedule;
use crate::base::{DType, Error, Result, Shape};
use crate::data::{ImageSet, Sampler, SamplerKind};
use crate::gpu::{Engine, Program, Tensor, readback};
use crate::graph::ops::conv2d::Convolution;
use crate::graph::{Executor, NodeId, reverse};
use crate::kernels::choose;
use crate::nn::{Builder, Initialiser, Phase};

/// Channels of the convolutions.
const WIDTHS: [usize; 3] = [8, 16, 32];
/// Width of the decoder's hidden layer. Without one the best decoder is that of principal components.
const HIDDEN: usize = 128;
/// Images of a step, or all where there are fewer.
const BATCH: usize = 64;
/// Adam's rate, which falls to 0 as a cosine.
const RATE: f64 = 2e-3;

/// What is trained, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// D: latent values of an image.
    pub latent: usize,
    /// Passes over the images.
    pub epochs: u64,
}

/// A trained encoder's features.
#[derive(Clone, Debug)]
pub struct Latents {
    /// `(N, D)`.
    pub values: Vec<f32>,
    /// Mean squared error of a normalised pixel over the last pass.
    pub loss: f64,
}

/// Trains an autoencoder on the images of `set` as they are stored, normalised by `mean` and `std` of each channel, and
/// returns their latent values (in evaluation mode).
///
/// # Errors
/// When the loss becomes not finite, memory does not suffice or the device fails.
pub fn latents(
    engine: &Engine,
    set: &ImageSet,
    mean: &[f32],
    std: &[f32],
    settings: Settings,
    seed: u64,
) -> Result<Latents> {
    let batch = BATCH.min(set.count());
    let run = Run { engine, set, mean, std, settings, batch };
    let (network, loss) = run.train(seed)?;
    Ok(Latents { values: run.encode(&network)?, loss })
}

struct Run<'a> {
    engine: &'a Engine,
    set: &'a ImageSet,
    mean: &'a [f32],
    std: &'a [f32],
    settings: Settings,
    batch: usize,
}

/// A graph from a batch of images to their latent values.
struct Pass {
    b: Builder,
    placed: HashMap<NodeId, Tensor>,
    images: Tensor,
    latent: NodeId,
}

impl Run<'_> {
    /// Normalised pixels of the images at `places`, `(B, H, W, C)`.
    fn pixels(&self, places: &[u32]) -> Vec<f32> {
        let channels = self.set.channels;
        let mut out = Vec::with_capacity(places.len() * self.set.image_bytes());
        for &place in places {
            let image = self.set.image(place as usize);
            let normal =
                |(i, &p): (usize, &u8)| (f32::from(p) / 255.0 - self.mean[i % channels]) / self.std[i % channels];
            out.extend(image.iter().enumerate().map(normal));
        }
        out
    }

    fn pass(&self, phase: Phase) -> Result<Pass> {
        let mut b = Builder::new(phase);
        let sizes = [self.batch, self.set.height, self.set.width, self.set.channels];
        let leaf = b.graph.input("images", &sizes, DType::F32);
        let images = self.engine.tensor("autoencoder images", Shape::new(&sizes), DType::F32)?;
        let latent = b.within("encoder", |b| {
            let mut x = leaf;
            for (i, width) in WIDTHS.into_iter().enumerate() {
                let halved = Convolution { stride: 2, padding: 1 };
                x = b.conv2d(&format!("conv{}", i + 1), x, width, 3, halved, Initialiser::KaimingNormalFanOut)?;
                x = b.batch_norm(&format!("bn{}", i + 1), x)?;
                x = b.graph.relu(x)?;
            }
            b.flattened_linear("latent", x, self.settings.latent, [Initialiser::KaimingUniform; 2])
        })?;
        Ok(Pass { b, placed: HashMap::from([(leaf, images.clone())]), images, latent })
    }

    /// The network, and the mean loss of the last pass over the images.
    fn train(&self, seed: u64) -> Result<(Network, f64)> {
        let (engine, set) = (self.engine, self.set);
        let Pass { mut b, mut placed, images, latent } = self.pass(Phase::Train { update: true })?;
        let sizes = [self.batch, set.image_bytes()];
        // The images once more, as rows: channels that are padded cannot be flattened.
        let target = b.graph.input("targets", &sizes, DType::F32);
        let targets = engine.tensor("autoencoder targets", Shape::new(&sizes), DType::F32)?;
        placed.insert(target, targets.clone());
        let decoded = b.within("decoder", |b| {
            let hidden = b.linear("0", latent, HIDDEN)?;
            let hidden = b.graph.relu(hidden)?;
            b.linear("2", hidden, set.image_bytes())
        })?;
        let off = b.graph.weighted_sum(decoded, 1.0, target, -1.0)?;
        let squares = b.graph.mul(off, off)?;
        let loss = b.graph.mean_all(squares)?;
        let state = b.graph.state("autoencoder.loss", &[1]);
        b.graph.accumulate(&[loss], state, 0)?;
        let sum = engine.tensor("autoencoder.loss", Shape::scalar(), DType::F32)?;
        placed.insert(state, sum.clone());

        let parameters = b.graph.parameters();
        let gradients = reverse(&mut b.graph, loss, &parameters)?;
        let network = Network::new(engine, &b)?;
        network.initialise(engine, seed)?;
        network.place(&b.graph, &mut placed)?;
        let parts = network.parameters.same_layout(engine, "autoencoder gradients")?;
        let gradients = place_gradients(&mut b, &parameters, &gradients, &parts, &mut placed)?;
        let executor = Executor::new(engine, &b.graph, &gradients, &placed, &choose::preferred(engine))?;
        let adam = OptimizerSettings {
            kind: OptimizerKind::Adam,
            lr: RATE,
            weight_decay: 0.0,
            ..OptimizerSettings::default()
        };
        let optimizer = Optimizer::new(engine, &adam, &network)?;
        let words = engine.tensor("step", Shape::new(&[8]), DType::U32)?;
        let mut recording = executor.recording().clone();
        optimizer.record(engine, &mut recording, &network, parts.flat(), 1.0, &words)?;
        let program = Program::new(engine, &recording)?;

        let pass = (set.count() as u64).div_ceil(self.batch as u64);
        let steps = self.settings.epochs.saturating_mul(pass);
        let schedule = ScheduleSettings { kind: ScheduleKind::Cosine, warmup: 0, ..ScheduleSettings::default() };
        let schedule = Schedule::new(&schedule, RATE, steps);
        let mut sampler = Sampler::new(SamplerKind::Epochs, seed, set.count(), self.batch)?;
        let mut mean = f64::NAN;
        for step in 0..steps {
            let places: Vec<u32> = sampler.batch(step).iter().map(|d| d.index).collect();
            let pixels = self.pixels(&places);
            engine.write(&images, &pixels);
            engine.write(&targets, &pixels);
            engine.write(&words, &optimizer.step_words(step, schedule.rate(step), 0));
            program.run(engine, 1)?;
            if (step + 1).is_multiple_of(pass) {
                let sum_of_pass = readback::read::<f32>(engine, &sum)?[0];
                engine.write(&sum, &[0.0f32]);
                mean = f64::from(sum_of_pass) / pass as f64;
            }
        }
        if !mean.is_finite() {
            return Err(Error::Diverged(format!(
                "the autoencoder's loss is {mean} after {steps} steps; look at data.mean and data.std"
            )));
        }
        Ok((network, mean))
    }

    fn encode(&self, network: &Network) -> Result<Vec<f32>> {
        let engine = self.engine;
        let Pass { b, mut placed, images, latent } = self.pass(Phase::Evaluate)?;
        network.place(&b.graph, &mut placed)?;
        let executor = Executor::new(engine, &b.graph, &[latent], &placed, &choose::preferred(engine))?;
        let program = Program::new(engine, executor.recording())?;
        let count = self.set.count();
        let mut out = Vec::with_capacity(count * self.settings.latent);
        for first in (0..count).step_by(self.batch) {
            // The last batch is filled up with the last image.
            let places: Vec<u32> = (first..first + self.batch).map(|i| i.min(count - 1) as u32).collect();
            engine.write(&images, &self.pixels(&places));
            program.run(engine, 1)?;
            out.extend(readback::read::<f32>(engine, executor.tensor(latent)?)?);
        }
        out.truncate(count * self.settings.latent);
        Ok(out)
    }
}
