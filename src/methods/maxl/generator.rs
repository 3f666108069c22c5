//! The label generator of a run: its weights, its optimizer, its order of the images, and the meta steps that it learns
//! by.

use std::collections::HashMap;
use std::sync::Arc;

use super::settings::{MaxlSettings, MetaData, Order};
use super::{GENERATOR, HIERARCHY, Maxl};
use crate::base::philox::Stream;
use crate::base::{DType, Error, Result, Shape};
use crate::data::Sampler;
use crate::gpu::{Engine, Program, Recording, Tensor, readback};
use crate::graph::{Executor, Graph, NodeId};
use crate::nn::{Builder, Phase, TorchTensor};
use crate::train::checkpoint::{Checkpoint, NamedTensor, TensorData};
use crate::train::config::{Optimizer as OptimizerSettings, OptimizerKind, Schedule as ScheduleSettings};
use crate::train::events::Relabelled;
use crate::train::feed::Feed;
use crate::train::meta::{Networks, meta_step};
use crate::train::network::{slot_from_torch, slot_to_torch};
use crate::train::optimizer::Optimizer;
use crate::train::schedule::Schedule;
use crate::train::{Context, Labeller, Network, place_gradients};

/// Where the generator's tensors stand in a checkpoint.
const WEIGHTS: &str = "labels.";
/// Where those of its optimizer do.
const OPTIMIZER: &str = "labels.optimizer.";
/// Meta steps done, and those since the last report.
const DONE: &str = "labels.meta_steps";
/// Bits of the sums since the last report.
const SUMS: &str = "labels.meta_sums";

/// Sums of a meta step, after a flag for a value that is not finite.
const METRICS: [&str; 5] =
    ["meta_primary_loss", "meta_auxiliary_loss", "meta_lookahead_loss", "meta_label_entropy", "gradient_cosine"];
/// Slots of the tensor of sums.
const SLOTS: usize = 8;
/// Crops of meta steps are numbered apart from those of training.
const FIRST_EPOCH: u32 = 1 << 31;
/// Their dropout masks too.
const MICRO_BATCH: u32 = 1 << 30;
/// Meta steps of one update: so many are not interrupted.
const AT_ONCE: u64 = 8;

/// When meta steps come.
#[derive(Clone, Copy, Debug)]
struct Pace {
    order: Order,
    /// Images of a step, and of a pass.
    batch: u64,
    samples: u64,
    /// Training steps of the run.
    steps: u64,
}

impl Pace {
    /// Meta steps that come before training step `step`: as many as training steps, in passes or one by one.
    fn target(&self, step: u64) -> u64 {
        match self.order {
            Order::Epochs if step < self.steps => {
                let epochs = step * self.batch / self.samples;
                (epochs * self.samples).div_ceil(self.batch)
            }
            _ => step,
        }
    }
}

/// The generator, and the program of a meta step.
#[derive(Debug)]
pub struct Generator {
    engine: Arc<Engine>,
    /// Names of the sums after the flag.
    metrics: &'static [&'static str],
    hierarchy: Vec<usize>,
    lr: f64,
    network: Network,
    optimizer: Optimizer,
    program: Program,
    recording: Recording,
    feed: Feed,
    sampler: Sampler,
    /// Factors of the generator's rate, and the look-ahead's rate.
    schedules: [Schedule; 2],
    /// Steps that the look-ahead's rate is ahead of the schedule.
    early: u64,
    pace: Pace,
    rate: Tensor,
    step: Tensor,
    sums: Tensor,
    done: u64,
    since: u64,
}

fn optimizer(settings: &MaxlSettings) -> OptimizerSettings {
    OptimizerSettings {
        kind: OptimizerKind::Sgd,
        lr: settings.generator_lr,
        momentum: settings.generator_momentum,
        weight_decay: settings.generator_weight_decay,
        ..OptimizerSettings::default()
    }
}

pub(super) fn is_generators(name: &str) -> bool {
    name.strip_prefix(GENERATOR).is_some_and(|rest| rest.starts_with('.'))
}

impl Generator {
    /// Plans the meta step of `method` and starts the generator's weights.
    ///
    /// # Errors
    /// When there are no images for it, settings contradict each other, or memory does not suffice.
    pub fn new(method: &Maxl, context: Context<'_>) -> Result<Self> {
        let Context { engine, config, data, network: first, backbone, feed: trained, variants, steps } = context;
        let settings = &method.settings;
        if config.train.accumulate > 1 {
            return Err(Error::Config(format!(
                "train.accumulate = {}: a meta step needs the gradient of a whole batch at once; set it to 1, and \
                 maxl.recompute = true to save memory",
                config.train.accumulate
            )));
        }
        let batch = config.train.batch;
        let feed = match (settings.data, &data.validation) {
            (MetaData::Train, _) => trained.with_rows(engine, batch)?,
            (MetaData::Validation, Some(set)) => Feed::new(engine, Arc::clone(set), batch, config.data.resident)?,
            (MetaData::Validation, None) => {
                return Err(Error::Config(
                    "maxl.data = \"validation\": there is none; set data.validation, such as 0.1".into(),
                ));
            }
        };
        let count = feed.set().count();
        let sampler = Sampler::new(config.train.sampler, config.seed, count, batch).map_err(|e| match e {
            Error::Config(text) => Error::Config(format!("maxl.data: {text}")),
            other => other,
        })?;
        let sampler = sampler.on(Stream::MetaShuffle);

        let mut b = Builder::new(Phase::Train { update: false });
        b.seed = config.seed;
        let leaves = feed.leaves(&mut b.graph, data.decode(config, true)?)?;
        let rate_leaf = b.graph.input("look-ahead rate", &[1], DType::F32);
        let classes = data.train.classes.len();
        let multitask = |b: &mut Builder| method.multitask(b, backbone, leaves.images, classes);
        let generator = |b: &mut Builder| method.generated(b, leaves.images, classes);
        let networks = Networks { multitask: &multitask, generator: &generator };
        let meta = settings.meta(classes)?;
        let made = meta_step(&mut b, networks, leaves.labels, rate_leaf, &meta)?;
        let (step_leaf, sums_leaf) = (b.step(), b.graph.state(SUMS, &[SLOTS]));
        let ahead = b.graph.weighted_sum(made.ahead_loss, 1.0, made.negative_entropy, 1.0)?;
        b.graph.flag_nonfinite(ahead, step_leaf, sums_leaf, 0)?;
        let entropy = b.graph.scale(made.negative_entropy, -1.0)?;
        let means = [made.primary_loss, made.auxiliary_loss, made.ahead_loss, entropy];
        let means: Vec<NodeId> = means.into_iter().chain(made.cosine).collect();
        b.graph.accumulate(&means, sums_leaf, 1)?;

        let network = Network::part(engine, &b, is_generators)?;
        network.initialise(engine, config.seed)?;
        let own = optimizer(settings);
        let optimizer = Optimizer::new(engine, &own, &network)?;
        let gradients = network.parameters.same_layout(engine, "meta-gradients")?;
        let tensor = |name: &str, size: usize, dtype| engine.tensor(name, Shape::new(&[size]), dtype);
        let rate = tensor("look-ahead rate", 1, DType::F32)?;
        let step = tensor("meta step", 8, DType::U32)?;
        let sums = tensor(SUMS, SLOTS, DType::F32)?;
        let mut placed =
            HashMap::from([(rate_leaf, rate.clone()), (step_leaf, step.clone()), (sums_leaf, sums.clone())]);
        first.place_own(&b.graph, &mut placed);
        network.place_own(&b.graph, &mut placed);
        feed.place(&leaves, &mut placed);
        let (parameters, nodes): (Vec<NodeId>, Vec<NodeId>) = made.meta.into_iter().unzip();
        let outputs = place_gradients(&mut b, &parameters, &nodes, &gradients, &mut placed)?;
        let executor = Executor::new(engine, &b.graph, &outputs, &placed, variants)?;
        let mut recording = executor.recording().clone();
        optimizer.record(engine, &mut recording, &network, gradients.flat(), 1.0, &step)?;
        let samples = data.train.count() as u64;
        let schedule = |settings: &ScheduleSettings, rate| Schedule::new(settings, rate, steps);
        Ok(Self {
            engine: Arc::clone(engine),
            program: Program::named(engine, &recording, "meta step")?,
            recording,
            metrics: &METRICS[..means.len()],
            hierarchy: meta.hierarchy,
            lr: settings.generator_lr,
            network,
            optimizer,
            feed,
            sampler,
            schedules: [settings.generator_lr, settings.lookahead_lr].map(|rate| schedule(&config.schedule, rate)),
            early: if settings.lookahead_early { samples.div_ceil(batch as u64) } else { 0 },
            pace: Pace { order: settings.order, batch: batch as u64, samples, steps },
            rate,
            step,
            sums,
            done: 0,
            since: 0,
        })
    }

    fn meta_step(&mut self) -> Result<()> {
        let sampling = self.engine.span("sample");
        let mut draws = self.sampler.batch(self.done);
        draws.iter_mut().for_each(|draw| draw.epoch = draw.epoch.wrapping_add(FIRST_EPOCH));
        drop(sampling);
        let feeding = self.engine.span("feed");
        self.feed.write(&self.engine, &draws, None);
        let [own, ahead] = &self.schedules;
        let words = self.optimizer.step_words(self.done, own.rate(self.done), MICRO_BATCH);
        self.engine.write_words(&self.step, &words);
        self.engine.write(&self.rate, &[ahead.rate(self.done + self.early) as f32]);
        drop(feeding);
        self.program.run(&self.engine, 1)?;
        self.done += 1;
        self.since += 1;
        Ok(())
    }

    fn counters(&self) -> Result<Vec<f32>> {
        let sums: Vec<f32> = readback::read(&self.engine, &self.sums)?;
        if sums[0] != 0.0 {
            return Err(Error::Diverged(format!(
                "the meta loss became NaN or infinite at meta step {}; the last good checkpoint is kept. Try a lower \
                 maxl.generator_lr (now {}) or optimizer.lr",
                sums[0], self.lr
            )));
        }
        Ok(sums)
    }
}

impl Labeller for Generator {
    fn place(&self, graph: &Graph, placed: &mut HashMap<NodeId, Tensor>) -> Result<()> {
        self.network.place_own(graph, placed);
        Ok(())
    }

    fn notes(&self) -> Vec<String> {
        vec![format!("the label generator has {} parameters", self.network.parameter_count())]
    }

    fn due(&self, step: u64) -> bool {
        self.done < self.pace.target(step)
    }

    fn update(&mut self, step: u64, _: f64) -> Result<Vec<Relabelled>> {
        for _ in 0..self.pace.target(step).saturating_sub(self.done).min(AT_ONCE) {
            self.meta_step()?;
        }
        Ok(Vec::new())
    }

    fn trains(&self) -> bool {
        true
    }

    fn recording(&self) -> Option<&Recording> {
        Some(&self.recording)
    }

    fn report(&mut self) -> Result<Vec<(String, f64)>> {
        let sums = self.counters()?;
        let since = std::mem::take(&mut self.since) as f64;
        if since == 0.0 {
            return Ok(Vec::new());
        }
        self.engine.write_words(&self.sums, &[0.0f32; SLOTS]);
        Ok(self
            .metrics
            .iter()
            .zip(&sums[1..])
            .map(|(name, sum)| ((*name).to_owned(), f64::from(*sum) / since))
            .collect())
    }

    fn tensors(&self) -> Result<Vec<NamedTensor>> {
        let named = |t: TorchTensor| NamedTensor::f32(t.name, &t.sizes, t.values);
        let network = self.network.to_torch(&self.engine)?;
        let mut tensors: Vec<NamedTensor> =
            network.into_iter().map(|t| TorchTensor { name: format!("{WEIGHTS}{}", t.name), ..t }).map(named).collect();
        for (slot, store) in self.optimizer.slots() {
            let specs = self.network.parameter_specs();
            tensors.extend(
                slot_to_torch(&self.engine, specs, store, &format!("{OPTIMIZER}{slot}."))?.into_iter().map(named),
            );
        }
        let hierarchy = self.hierarchy.iter().map(|&n| n as i64).collect();
        let whole = |name: &str, values: Vec<i64>| NamedTensor {
            name: name.into(),
            shape: vec![values.len()],
            data: TensorData::I64(values),
        };
        tensors.push(whole(HIERARCHY, hierarchy));
        tensors.push(whole(DONE, vec![self.done as i64, self.since as i64]));
        let sums = self.counters()?;
        tensors.push(NamedTensor::f32(SUMS, &[sums.len()], sums));
        Ok(tensors)
    }

    fn history(&self) -> Result<String> {
        Ok("[]".into())
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let whole = |name: &str| match &checkpoint.get(name)?.data {
            TensorData::I64(values) => Ok(values.clone()),
            other => Err(Error::Checkpoint(format!("`{name}` is {}, not I64", other.dtype()))),
        };
        let hierarchy = whole(HIERARCHY)?;
        if !hierarchy.iter().copied().eq(self.hierarchy.iter().map(|&n| n as i64)) {
            return Err(Error::Checkpoint(format!(
                "its auxiliary labels are those of maxl.hierarchy = {hierarchy:?}, this run has {:?}",
                self.hierarchy
            )));
        }
        let mut tensors = HashMap::new();
        for tensor in checkpoint.tensors.iter().filter(|t| t.name.starts_with(WEIGHTS)) {
            if let TensorData::F32(values) = &tensor.data {
                let (name, sizes, values) = (tensor.name.clone(), tensor.shape.clone(), values.clone());
                tensors.insert(name.clone(), TorchTensor { name, sizes, values });
            }
        }
        for (slot, store) in self.optimizer.slots() {
            let specs = self.network.parameter_specs();
            slot_from_torch(&self.engine, specs, store, &format!("{OPTIMIZER}{slot}."), &mut tensors)?;
        }
        let sums = tensors.remove(SUMS).filter(|t| t.values.len() == SLOTS);
        let sums = sums.ok_or_else(|| Error::Checkpoint(format!("no usable `{SUMS}`")))?;
        let plain = |(name, tensor): (String, TorchTensor)| (name[WEIGHTS.len()..].to_owned(), tensor);
        self.network.from_torch(&self.engine, tensors.into_iter().map(plain).collect())?;
        match whole(DONE)?[..] {
            [done, since] if done >= 0 && (0..=done).contains(&since) => {
                (self.done, self.since) = (done as u64, since as u64);
            }
            _ => return Err(Error::Checkpoint(format!("no usable `{DONE}`"))),
        }
        self.engine.write(&self.sums, &sums.values);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_steps_come_in_passes_or_one_by_one() {
        let pace = |order| Pace { order, batch: 4, samples: 10, steps: 9 };
        let targets = |order| (0..=9).map(|step| pace(order).target(step)).collect::<Vec<_>>();
        // Passes end within steps 3, 5 and 8.
        assert_eq!(targets(Order::Epochs), [0, 0, 0, 3, 3, 5, 5, 5, 8, 9]);
        assert_eq!(targets(Order::Steps), (0..=9).collect::<Vec<_>>());
    }

    #[test]
    fn only_the_generators_tensors_are_its_own() {
        assert!(is_generators("generator.conv1.weight"));
        assert!(!is_generators("generators.weight") && !is_generators("auxiliary.weight"));
    }
}
