//! The labels of a run: made by transport between steps, kept on the device for the training graph and in the
//! checkpoint.

use std::collections::HashMap;
use std::time::Instant;

use super::frozen;
use super::{BANK, Balance, Features, Heads, SelaSettings, TABLE, TOP, Updates, columns_of};
use crate::base::philox::{Sequence, Stream};
use crate::base::{DType, Error, Result, Shape};
use crate::eval::clusters::{Contingency, Sizes};
use crate::gpu::{Engine, Program, Recording, Tensor, readback};
use crate::graph::{Graph, NodeId};
use crate::kernels::channel_window;
use crate::nn::{Builder, Phase};
use crate::train::checkpoint::{Checkpoint, NamedTensor, TensorData};
use crate::train::config::MemorySize;
use crate::train::events::Relabelled;
use crate::train::extract::{self, Extractor, Trunk};
use crate::train::snapshot::keys;
use crate::train::{Context, Labeller};
use crate::transport::balance::{Problem, Scores};
use crate::transport::marginals::Request;
use crate::transport::{self, Marginals, Outcome, Plan, Report, Room, RowStore, Sizes as Extent, Solver, Source};

/// The checkpoint's tensor of all labels, `(T, N)`.
pub const ASSIGNED: &str = "labels.assigned";

/// Orders of the images when labels are made: sequences after those of the heads' initial labels.
const ORDERS: u64 = 1 << 32;
/// Crops for making labels are numbered apart from those of the training epochs.
const FIRST_EPOCH: u32 = 1 << 31;

/// The checkpoint's tensor of the feature bank, `(N, D)`.
const BANKED: &str = "labels.bank";

/// What makes new labels; frozen labels lack it.
#[derive(Debug)]
struct Machine {
    extractor: Extractor,
    /// Features `(N, D)`, or logits `(N, K)` where there is one head.
    store: RowStore,
    solver: Solver,
    top: Top,
}

/// Labels of all heads.
#[derive(Debug)]
pub struct Labels {
    engine: std::sync::Arc<Engine>,
    settings: SelaSettings,
    seed: u64,
    batch: u64,
    steps: u64,
    samples: usize,
    /// Classes of the training images, for the report.
    classes: Option<Vec<u32>>,
    table: Tensor,
    assigned: Vec<Vec<u32>>,
    marginals: Marginals,
    machine: Option<Machine>,
    updates: Updates,
    done: u64,
    history: Vec<Relabelled>,
}

impl Labels {
    /// Balanced random labels, and (unless they are frozen) all that new ones need.
    ///
    /// # Errors
    /// When there are fewer images than clusters, frozen labels do not fit, or memory does not suffice; the numbers are
    /// named.
    pub fn new(settings: &SelaSettings, frozen: bool, context: Context<'_>) -> Result<Self> {
        let Context { engine, config, data, steps, .. } = context;
        let (samples, clusters) = (data.train.count(), settings.clusters);
        if samples < clusters {
            return Err(Error::Data(format!(
                "{}: {samples} training images are fewer than sela.clusters = {clusters}; every cluster needs at least \
                 one image",
                data.train.name
            )));
        }
        let table = engine.tensor(TABLE, Shape::new(&[settings.heads, samples]), DType::U32)?;
        let assigned = match frozen {
            true => frozen::read(settings, config, data)?,
            false => (0..settings.heads).map(|head| random(config.seed, head, samples, clusters)).collect(),
        };
        let machine = if frozen { None } else { Some(Machine::new(settings, context)?) };
        let batch = config.train.batch as u64;
        let labels = Self {
            engine: std::sync::Arc::clone(engine),
            settings: settings.clone(),
            seed: config.seed,
            batch,
            steps,
            samples,
            classes: (data.train.classes.len() > 1).then(|| data.train.labels.clone()),
            marginals: settings.marginals()?,
            table,
            assigned,
            machine,
            updates: Updates::new(settings.updates, settings.update_power, steps * batch, samples),
            done: 0,
            history: Vec::new(),
        };
        labels.send();
        Ok(labels)
    }

    fn send(&self) {
        self.engine.write(&self.table, &self.assigned.concat());
    }
}

/// The official start: as many images in each cluster, in random order.
fn random(seed: u64, head: usize, samples: usize, clusters: usize) -> Vec<u32> {
    let mut labels: Vec<u32> = (0..samples).map(|i| (i % clusters) as u32).collect();
    Sequence::new(seed, Stream::Labels, head as u64).shuffle(&mut labels);
    labels
}

impl Machine {
    fn new(settings: &SelaSettings, context: Context<'_>) -> Result<Self> {
        let Context { engine, config, data, network, backbone, feed, variants, .. } = context;
        let &SelaSettings { heads, clusters, .. } = settings;
        let trained = settings.features != Features::Evaluate;
        let banked = settings.features == Features::Bank;
        let pixels = data.decode(config, trained)?;
        let samples = data.train.count();
        let width = extract::width(feed, pixels, backbone)?;
        let plan = plan(settings, engine, samples, width)?;
        if banked && (plan.window < samples || plan.half) {
            return Err(Error::Memory(format!(
                "sela.features = \"bank\": {samples} rows of {width} features are kept in one binding as float32, and the \
                 plan is {plan}; use \"train\" or \"evaluate\""
            )));
        }
        // With one head its logits are the scores themselves.
        let one = plan.sizes.features.is_none();
        let (name, columns) = if one { ("logits", clusters) } else { ("features", width) };
        // Where nobody knows the device's memory, the plan takes the fastest way and the device may refuse.
        let full = |e: Error| match e {
            Error::Memory(text) => Error::Memory(format!(
                "{text}. The label assignment planned {plan}: name what it may take, such as --set sela.memory=\"4 GiB\""
            )),
            other => other,
        };
        let store = RowStore::new(engine, name, samples, columns, plan.half, Some(plan.window)).map_err(full)?;
        let build = |b: &mut Builder, images: NodeId| {
            let features = backbone.features(b, images)?;
            if one { b.linear(TOP, features, clusters) } else { Ok(features) }
        };
        let trunk = Trunk { engine, backbone, network, variants };
        let phase = if trained { Phase::Train { update: true } } else { Phase::Evaluate };
        let feed = feed.with_rows(engine, feed.rows())?;
        let extractor = Extractor::new(trunk, feed, pixels, phase, config.seed, &build, &store)?;
        let [weight, bias] = ["weight", "bias"].map(|part| network.parameters.get(&format!("{TOP}.{part}")));
        let top = Top::new(engine, [weight?, bias?], [heads, clusters]).map_err(full)?;
        Ok(Self { extractor, store, solver: Solver::new(engine, &plan).map_err(full)?, top })
    }
}

/// A head's layer: the network's own where there is one head, else a copy of its columns.
#[derive(Debug)]
struct Top {
    /// `(pad4(D), K)`.
    weight: Tensor,
    /// `(K)`.
    bias: Tensor,
    /// Fetches each head's.
    copies: Vec<Program>,
}

impl Top {
    fn new(engine: &Engine, all: [&Tensor; 2], [heads, clusters]: [usize; 2]) -> Result<Self> {
        let [weight, bias] = all;
        if heads == 1 {
            return Ok(Self { weight: weight.clone(), bias: bias.clone(), copies: Vec::new() });
        }
        let row = Tensor { shape: Shape::new(&[1, bias.shape.elements()]), ..bias.clone() };
        let features = weight.shape.rows();
        let own = engine.tensor("head's weight", Shape::new(&[features, clusters]), DType::F32)?;
        let own_row = engine.tensor("head's bias", Shape::new(&[1, clusters]), DType::F32)?;
        let copy = |head| {
            let mut recording = Recording::new();
            channel_window::record(&mut recording, columns_of(head, clusters), weight, &own)?;
            channel_window::record(&mut recording, columns_of(head, clusters), &row, &own_row)?;
            Program::named(engine, &recording, "head")
        };
        let copies = (0..heads).map(copy).collect::<Result<_>>()?;
        let bias = Tensor { shape: Shape::new(&[clusters]), ..own_row };
        Ok(Self { weight: own, bias, copies })
    }

    /// Makes weight and bias those that the head has now.
    fn take(&self, engine: &Engine, head: usize) -> Result<()> {
        self.copies.get(head).map_or(Ok(()), |copy| copy.run(engine, 1))
    }
}

/// One head's new labels.
struct Assigned {
    report: Report,
    labels: Vec<u32>,
    /// Exact sizes: how much less −log P, in the mean, any other such labels could have.
    gap: Option<f64>,
}

/// Up to so many clusters an image may move to any of them when sizes are made exact, else to the best few.
const ALL_CANDIDATES: usize = 128;
const CANDIDATES: usize = 16;

impl Machine {
    /// Of the head that was taken last.
    fn source(&self) -> Source<'_> {
        match self.solver.plan().sizes.features {
            None => Source::Logits(&self.store),
            Some(_) => Source::Features { store: &self.store, weight: &self.top.weight, bias: &self.top.bias },
        }
    }

    /// Masses of one head's clusters. Those that follow the network's own preference need its masses first: one
    /// iteration from nothing has them.
    fn shares(
        &self,
        engine: &Engine,
        settings: &SelaSettings,
        marginals: &Marginals,
        seed: u64,
        table: &Tensor,
        head: usize,
    ) -> Result<Vec<f64>> {
        let &SelaSettings { clusters, lambda, .. } = settings;
        let own = match marginals {
            Marginals::Gaussian { .. } => {
                let once = transport::Settings { power: lambda, tolerance: 0.0, iterations: 1 };
                let equal = transport::marginals::uniform(clusters);
                Some(self.solver.solve(engine, self.source(), &equal, &once, table, head)?.mass)
            }
            _ => None,
        };
        let samples = self.store.rows();
        marginals.masses(&Request { samples, clusters, seed, head, column_mass: own.as_deref() })
    }

    fn assign(
        &self,
        engine: &Engine,
        settings: &SelaSettings,
        shares: &[f64],
        table: &Tensor,
        head: usize,
    ) -> Result<Assigned> {
        let &SelaSettings { clusters, lambda, tolerance, iterations, .. } = settings;
        let source = self.source();
        let how = transport::Settings { power: lambda, tolerance, iterations: iterations as usize };
        let solution = self.solver.solve(engine, source, shares, &how, table, head)?;
        let samples = self.store.rows();
        if settings.balance == Balance::Argmax {
            let shape = Shape::new(&[1, samples]);
            // It is copied, not bound, so it may begin anywhere.
            let offset = table.offset + head as u64 * shape.bytes_of(table.dtype);
            let labels = readback::read(engine, &Tensor { offset, shape, ..table.clone() })?;
            return Ok(Assigned { report: solution.report, labels, gap: None });
        }
        let count = if clusters <= ALL_CANDIDATES { clusters } else { CANDIDATES };
        let found = self.solver.candidates(engine, source, lambda, count)?;
        let scores = Scores::Best { count: found.count, clusters: &found.clusters, scores: &found.scores };
        let prices: Vec<f64> = solution.scaling.iter().map(|&v| f64::from(v)).collect();
        let balanced = transport::balance(&Problem { samples, scores, masses: shares, prices: &prices })?;
        // Scores are λ times log-probabilities, up to a constant of each image.
        let label_cost = solution.report.label_cost + (balanced.cost - balanced.cost_before) / lambda;
        let report = Report { label_cost, ..solution.report };
        // What an image costs outside its candidates is only bounded, and then the gap is not known.
        let gap = balanced.unsure.is_empty().then_some(balanced.gap / lambda);
        Ok(Assigned { report, labels: balanced.labels, gap })
    }
}

/// Logits where one head's fit, else features: within half of what the device has left, or `sela.memory`.
fn plan(settings: &SelaSettings, engine: &Engine, samples: usize, width: usize) -> Result<Plan> {
    let &SelaSettings { heads, clusters, .. } = settings;
    let mut room = Room::of(engine);
    room.budget = match settings.memory {
        MemorySize::Bytes(bytes) => Some(bytes),
        // The other half is for training itself.
        MemorySize::Auto => room.budget.map(|left| left / 2),
    };
    let sizes = Extent { samples, clusters, heads, features: Some(width) };
    if heads == 1
        && settings.features != Features::Bank
        && let Ok(plan) = Plan::choose(Extent { features: None, ..sizes }, room)
    {
        return Ok(plan);
    }
    Plan::choose(sizes, room).map_err(|e| match e {
        Error::Memory(text) => Error::Memory(format!("sela.memory: {text}")),
        other => other,
    })
}

impl Labeller for Labels {
    fn place(&self, graph: &Graph, placed: &mut HashMap<NodeId, Tensor>) -> Result<()> {
        let leaf = graph.nodes().iter().position(|node| node.name == TABLE);
        let leaf = leaf.ok_or_else(|| Error::Shape(format!("the graph has no `{TABLE}`")))?;
        placed.insert(NodeId(leaf as u32), self.table.clone());
        let bank = graph.nodes().iter().position(|node| node.name == BANK);
        if let (Some(bank), Some(machine)) = (bank, &self.machine) {
            placed.insert(NodeId(bank as u32), machine.store.windows()[0].clone());
        }
        Ok(())
    }

    fn notes(&self) -> Vec<String> {
        self.machine.iter().map(|machine| format!("label assignment: {}", machine.solver.plan())).collect()
    }

    fn due(&self, step: u64) -> bool {
        let once = self.history.last().is_none_or(|last| last.step < step);
        self.machine.is_some() && once && step < self.steps && self.updates.due(self.done, step * self.batch)
    }

    fn update(&mut self, step: u64, epoch: f64) -> Result<Vec<Relabelled>> {
        let Some(machine) = &mut self.machine else { return Ok(Vec::new()) };
        let start = Instant::now();
        // Training has not filled the bank before the first update.
        if self.settings.features != Features::Bank || self.done == 0 {
            let mut order: Vec<u32> = (0..self.samples as u32).collect();
            if self.settings.features != Features::Evaluate {
                // Batches share statistics, so they must not follow the classes of a sorted folder.
                Sequence::new(self.seed, Stream::Labels, ORDERS + self.done).shuffle(&mut order);
            }
            // Crops of their own, apart from those of the training epochs.
            machine.extractor.run(&self.engine, &order, FIRST_EPOCH + self.done as u32, step)?;
        }
        let heads = match self.settings.update {
            Heads::All => 0..self.settings.heads,
            Heads::One => {
                let head = self.done as usize % self.settings.heads;
                head..head + 1
            }
        };
        let mut events = Vec::new();
        for head in heads {
            let began = Instant::now();
            machine.top.take(&self.engine, head)?;
            let shares = machine.shares(&self.engine, &self.settings, &self.marginals, self.seed, &self.table, head)?;
            let Assigned { report, labels, gap } =
                machine.assign(&self.engine, &self.settings, &shares, &self.table, head)?;
            let before = std::mem::replace(&mut self.assigned[head], labels);
            let now = &self.assigned[head];
            let changed = before.iter().zip(now).filter(|(a, b)| a != b).count();
            let sizes = Sizes::new(now, self.settings.clusters)?;
            let nmi = self.classes.as_ref().map(|classes| Contingency::new(classes, now).map(|t| t.nmi()));
            events.push(Relabelled {
                step,
                epoch,
                update: self.done + 1,
                head,
                changed: changed as f64 / self.samples as f64,
                iterations: report.iterations as u32,
                marginal_error: report.error,
                converged: report.outcome == Outcome::Converged,
                cost: report.label_cost,
                gap,
                sizes: [sizes.min, sizes.max],
                nmi: nmi.transpose()?,
                seconds: start.elapsed().as_secs_f64(),
                assignment_seconds: began.elapsed().as_secs_f64(),
            });
        }
        self.done += 1;
        self.history.extend(events.iter().cloned());
        // The device has written the argmax itself.
        if self.settings.balance == Balance::Exact {
            self.send();
        }
        Ok(events)
    }

    fn tensors(&self) -> Result<Vec<NamedTensor>> {
        let values = self.assigned.iter().flatten().map(|&label| label as i32).collect();
        let shape = vec![self.settings.heads, self.samples];
        let mut tensors = vec![NamedTensor { name: ASSIGNED.into(), shape, data: TensorData::I32(values) }];
        if let Some(machine) = self.machine.as_ref().filter(|_| self.settings.features == Features::Bank) {
            let shape = [machine.store.rows(), machine.store.columns()];
            tensors.push(NamedTensor::f32(BANKED, &shape, machine.store.read(&self.engine)?));
        }
        Ok(tensors)
    }

    fn history(&self) -> Result<String> {
        serde_json::to_string(&self.history)
            .map_err(|e| Error::Checkpoint(format!("the history of the labels cannot be written: {e}")))
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let labels = labels_of(checkpoint)?;
        let largest = labels.iter().flatten().max().copied().unwrap_or(0) as usize;
        let (heads, samples) = (labels.len(), labels.first().map_or(0, Vec::len));
        if (heads, samples) != (self.settings.heads, self.samples) || largest >= self.settings.clusters {
            return Err(Error::Checkpoint(format!(
                "its labels are of {heads} heads, {samples} images and clusters up to {largest}; this run has {} heads, \
                 {} images and {} clusters",
                self.settings.heads, self.samples, self.settings.clusters
            )));
        }
        if let Some(machine) = self.machine.as_ref().filter(|_| self.settings.features == Features::Bank) {
            match &checkpoint.get(BANKED)?.data {
                TensorData::F32(values) => machine.store.write(&self.engine, values)?,
                other => return Err(Error::Checkpoint(format!("`{BANKED}` is {}, not F32", other.dtype()))),
            }
        }
        let text = checkpoint.meta.extra.get(keys::UPDATES).map_or("[]", String::as_str);
        self.history = serde_json::from_str(text)
            .map_err(|e| Error::Checkpoint(format!("its `{}` are damaged: {e}", keys::UPDATES)))?;
        self.done = self.history.last().map_or(0, |event| event.update);
        self.assigned = labels;
        self.send();
        Ok(())
    }
}

/// The labels of all heads in a checkpoint of `sela` or `sela-rot`.
///
/// # Errors
/// When it has none, or the tensor is damaged.
pub fn labels_of(checkpoint: &Checkpoint) -> Result<Vec<Vec<u32>>> {
    let tensor = checkpoint.get(ASSIGNED)?;
    match (&tensor.data, tensor.shape.as_slice()) {
        (TensorData::I32(values), &[heads, samples]) if heads > 0 && samples > 0 && values.iter().all(|&v| v >= 0) => {
            Ok(values.chunks(samples).map(|row| row.iter().map(|&v| v as u32).collect()).collect())
        }
        _ => Err(Error::Checkpoint(format!("`{ASSIGNED}` is no (heads, images) tensor of labels"))),
    }
}
