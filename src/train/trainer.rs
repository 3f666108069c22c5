//! The training loop: one program a step, no read-back but the counters when it logs.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::checkpoint::Rotation;
use super::config::{Config, MOST_STEPS, Resident};
use super::datasets::Datasets;
use super::events::{self, Evaluated, Event, Finished, Metrics, Saved, Sink, Started};
use super::feed::Feed;
use super::inference::Evaluator;
use super::labeller::Labeller;
use super::loss_scale::LossScale;
use super::network::Network;
use super::optimizer::Optimizer;
use super::schedule::Schedule;
use super::{Batch, Context, Measure, Method, place_gradients};
use crate::base::{DType, Error, Result, Shape};
use crate::data::{Draw, Prefetch, Sampler, gather_pixels};
use crate::gpu::{Dispatch, Engine, Program, Recording, Tensor, readback};
use crate::graph::reverse::reverse_from;
use crate::graph::{Executor, NodeId, Precision, place, reverse};
use crate::kernels::{add_into, choose};
use crate::models::Backbone;
use crate::nn::{Builder, Phase};

/// Slots of the metrics tensor: slot 0 flags a loss that is not finite, the others hold sums since the last report.
pub(super) const SLOTS: usize = 32;
/// Batches prepared ahead of the step that uses them.
const AHEAD: usize = 3;

/// Everything of a run that lives between steps.
pub struct Trainer {
    pub(super) engine: Arc<Engine>,
    pub(super) config: Config,
    method: Arc<dyn Method>,
    pub(super) network: Network,
    pub(super) optimizer: Optimizer,
    schedule: Schedule,
    feed: Feed,
    pub(super) sampler: Sampler,
    pass: Program,
    update: Option<Program>,
    pub(super) recording: Recording,
    /// Bytes of the training graph's plan.
    pub(super) planned: u64,
    step_settings: Tensor,
    pub(super) metrics: Tensor,
    metric_names: Vec<String>,
    evaluator: Option<(&'static str, Box<dyn Measure>)>,
    pub(super) labeller: Option<Box<dyn Labeller>>,
    warned: bool,
    pub(super) data: Datasets,
    pub(super) fingerprint: u64,
    pub(super) step: u64,
    pub(super) steps: u64,
    pub(super) since_report: u64,
    pub(super) best: Option<(u64, f64)>,
    pub(super) seconds: f64,
}

/// One prepared batch.
pub(super) struct Prepared {
    pub draws: Vec<Draw>,
    pub pixels: Option<Vec<u8>>,
}

/// What the speed in a report is measured by: the steps of this session since the last report or evaluation.
pub(super) struct Clock {
    started: Instant,
    steps: u64,
}

impl Clock {
    pub fn start() -> Self {
        Self { started: Instant::now(), steps: 0 }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Steps done.
    pub step: u64,
    /// Whether all steps of the run are done.
    pub complete: bool,
    /// The last evaluation's metrics, in order.
    pub metrics: Vec<(String, f64)>,
}

impl Trainer {
    /// Plans the run, allocates everything and initialises the weights. Nothing is written to disk.
    ///
    /// # Errors
    /// When data and method do not fit together, or the plan does not fit the device.
    pub fn new(
        engine: Arc<Engine>,
        config: Config,
        method: Arc<dyn Method>,
        backbone: &dyn Backbone,
        data: Datasets,
    ) -> Result<Self> {
        let set = Arc::clone(&data.train);
        let decode = data.decode(&config, true)?;
        method.check(&Shape::new(&decode.output()), set.classes.len())?;
        let sampler = Sampler::new(config.train.sampler, config.seed, set.count(), config.train.batch)?;
        let steps = config.train.total_steps(set.count());
        if steps > MOST_STEPS {
            return Err(Error::Config(format!(
                "train.epochs = {} makes {steps} steps; a run has at most {MOST_STEPS}",
                config.train.epochs
            )));
        }
        let schedule = Schedule::new(&config.schedule, config.optimizer.lr, steps);
        let rows = config.train.micro_batch();
        let feed = Feed::new(&engine, Arc::clone(&set), rows, config.data.resident)?;
        let variants = choose::preferred(&engine);

        let mut b = Builder::new(Phase::Train { update: true });
        b.seed = config.seed;
        let leaves = feed.leaves(&mut b.graph, decode)?;
        let step_leaf = b.step();
        let batch = Batch {
            images: leaves.images,
            labels: leaves.labels,
            classes: set.classes.len(),
            draws: leaves.draws,
            samples: set.count(),
        };
        let objective = method.train(&mut b, backbone, batch)?;
        let metrics_leaf = b.graph.state("trainer.metrics", &[SLOTS]);
        let mut metric_names = vec!["loss".to_owned()];
        b.scope("metrics", |b| {
            b.graph.flag_nonfinite(objective.loss, step_leaf, metrics_leaf, 0)?;
            let mut values = vec![objective.loss];
            for metric in &objective.metrics {
                metric_names.push(metric.name.clone());
                values.push(metric.value);
            }
            b.graph.accumulate(&values, metrics_leaf, 1)
        })?;
        if metric_names.len() >= SLOTS {
            return Err(Error::Shape(format!("{} metrics, at most {} fit", metric_names.len(), SLOTS - 1)));
        }
        let own = |name: &str| !method.is_labellers(name);
        let mut parameters = b.graph.parameters();
        parameters.retain(|&id| own(&b.graph.node(id).name));
        let scaled = config.precision == Precision::F16;
        let gradients = if scaled {
            let scale = LossScale::leaf(&mut b.graph);
            reverse_from(&mut b.graph, &[(objective.loss, scale)], &parameters)?
        } else {
            reverse(&mut b.graph, objective.loss, &parameters)?
        };

        let network = Network::part(&engine, &b, own)?;
        network.initialise(&engine, config.seed)?;
        let parts = network.parameters.same_layout(&engine, "gradients")?;
        let mut optimizer = Optimizer::new(&engine, &config.optimizer, &network)?;
        if scaled {
            optimizer = optimizer.with_loss_scale(LossScale::new(&engine)?);
        }
        let step_settings = engine.tensor("step", Shape::new(&[8]), DType::U32)?;
        let metrics = engine.tensor("trainer.metrics", Shape::new(&[SLOTS]), DType::F32)?;

        let mut placed: HashMap<NodeId, Tensor> = HashMap::new();
        network.place_own(&b.graph, &mut placed);
        let context = Context {
            engine: &engine,
            config: &config,
            data: &data,
            network: &network,
            backbone,
            feed: &feed,
            variants: &variants,
            steps,
        };
        let labeller = method.labeller(context)?;
        if let Some(labeller) = &labeller {
            labeller.place(&b.graph, &mut placed)?;
        }
        feed.place(&leaves, &mut placed);
        placed.insert(step_leaf, step_settings.clone());
        placed.insert(metrics_leaf, metrics.clone());
        if let Some(loss_scale) = optimizer.loss_scale() {
            placed.insert(LossScale::leaf(&mut b.graph), loss_scale.tensor().clone());
        }
        let gradients = place_gradients(&mut b, &parameters, &gradients, &parts, &mut placed)?;
        let precision = config.precision;
        let executor = Executor::in_precision(&engine, &b.graph, &gradients, &placed, &variants, precision)?;
        let mut recording = executor.recording().clone();
        let accumulate = config.train.accumulate;
        let update = if accumulate == 1 {
            optimizer.record(&engine, &mut recording, &network, parts.flat(), 1.0, &step_settings)?;
            None
        } else {
            let total = network.parameters.same_layout(&engine, "summed gradients")?;
            recording.label(&place::update("accumulate"));
            add_into::record(&mut recording, &step_settings, parts.flat(), total.flat())?;
            let mut update = Recording::new();
            update.variants.clone_from(&variants);
            let share = 1.0 / accumulate as f32;
            optimizer.record(&engine, &mut update, &network, total.flat(), share, &step_settings)?;
            Some(Program::named(&engine, &update, "update")?)
        };
        let own = method.makes_labels();
        // Neighbours of one class agree whatever the features are: that must not choose a checkpoint.
        let evaluator = match data.evaluation(config.evaluate.split, own)? {
            Some((_, set)) if own && set.classes.len() < 2 => None,
            Some((split, set)) => {
                let own = method.measure(context, &set)?;
                let rows = if config.evaluate.batch == 0 { rows } else { config.evaluate.batch };
                let rows = rows.min(set.count());
                let feed = Feed::new(&engine, set, rows, config.data.resident)?;
                let decode = data.decode(&config, false)?;
                let measure: Box<dyn Measure> = match own {
                    Some(measure) => measure,
                    None => Box::new(Evaluator::new(&engine, feed, decode, &*method, backbone, &network, &variants)?),
                };
                let wanted = config.checkpoint.best(method.selects_by());
                if !measure.names().iter().any(|name| name == wanted) {
                    return Err(unknown_metric(wanted, &*method, measure.names()));
                }
                Some((split, measure))
            }
            None => None,
        };
        // Its pipelines and textures after all plans: what does not fit is refused before anything compiles for long.
        let pass = Program::named(&engine, &recording, "training step")?;
        Ok(Self {
            fingerprint: set.fingerprint(),
            engine,
            config,
            method,
            network,
            optimizer,
            schedule,
            feed,
            sampler,
            pass,
            update,
            recording,
            planned: executor.bytes(),
            step_settings,
            metrics,
            metric_names,
            evaluator,
            labeller,
            warned: false,
            data,
            step: 0,
            steps,
            since_report: 0,
            best: None,
            seconds: 0.0,
        })
    }

    /// Steps done so far.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Steps of the whole run.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The network being trained.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The method.
    pub fn method(&self) -> &dyn Method {
        &*self.method
    }

    /// Seconds spent in [`Trainer::run`], those before a resumption included.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// What one micro-batch dispatches, the update included unless gradients are accumulated.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// What a user should know before the run begins.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let skipped = self.data.train.skipped.len();
        if skipped > 0 {
            let first = &self.data.train.skipped[0];
            notes.push(format!("{skipped} images were skipped, such as {}: {}", first.file, first.reason));
        }
        let own_labels = self.method.makes_labels();
        if self.data.train.classes.len() == 1 && !own_labels {
            notes.push("the images have one class only: there is nothing to tell apart".into());
        }
        let rounds = |d: &Dispatch| d.shader.variants[d.variant].rounds();
        if self.config.precision == Precision::Tf32 && !self.recording.dispatches.iter().any(rounds) {
            notes.push(format!(
                "precision = \"tf32\" computes as \"f32\" does: no form on matrix units is taken on {} (`relabel adapters` tells \
                 which adapters have such units)",
                self.engine.describe()
            ));
        }
        if let Some(path) = self.config.data.labels_file() {
            notes.push(format!(
                "labels come from {}; the test images are left out, because their labels are of other classes",
                path.display()
            ));
        }
        if !self.feed.resident() && self.config.data.resident == Resident::Auto {
            notes.push("the images do not fit into one binding of the device: batches are streamed".into());
        }
        if self.evaluator.is_none() && !own_labels {
            notes.push("there are no validation and no test images: nothing will be evaluated".into());
        }
        if self.evaluator.is_none() && own_labels && self.data.test.is_some() {
            notes.push(
                "the test images stay unseen: evaluate.split = \"test\" or data.validation measures on the way, `relabel \
                 eval` afterwards"
                    .into(),
            );
        }
        if self.evaluator.is_none() && own_labels && self.data.validation.is_some() {
            notes.push("the validation images have one class only: nothing is measured on the way".into());
        }
        notes.extend(self.labeller.iter().flat_map(|labeller| labeller.notes()));
        notes
    }

    /// The images of the run.
    pub fn datasets(&self) -> &Datasets {
        &self.data
    }

    /// The split that is evaluated during the run, if any.
    pub fn evaluation_split(&self) -> Option<&'static str> {
        self.evaluator.as_ref().map(|(split, _)| *split)
    }

    /// The settings of the run.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Runs until the last step, `stop_at`, or until `interrupted` says so; writes into `folder` when there is one.
    ///
    /// # Errors
    /// When the loss is not finite (the last good checkpoint stays), the device fails, or a file cannot be written.
    pub fn run(
        &mut self,
        folder: Option<&Path>,
        stop_at: Option<u64>,
        sink: &mut dyn Sink,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<Outcome> {
        let end = stop_at.unwrap_or(self.steps).min(self.steps);
        let rotation = folder.map(|folder| Rotation::new(folder, self.config.checkpoint.keep)).transpose()?;
        sink.event(&Event::Started(self.started()))?;
        let start = Instant::now();
        let (mut clock, mut lap) = (Clock::start(), Instant::now());
        let mut batches = self.batches(end)?;
        let mut outcome = Outcome { step: self.step, complete: false, metrics: Vec::new() };
        while self.step < end {
            let labelled = self.relabel(&mut clock, sink, interrupted)?;
            if labelled {
                let prepared = batches.next().ok_or_else(|| {
                    Error::Data("the batches ended before the run: this is an error in relabel".into())
                })??;
                self.submit(&prepared)?;
                self.step += 1;
                self.since_report += 1;
                clock.steps += 1;
            }
            if self.step == self.steps {
                self.relabel(&mut clock, sink, &|| false)?;
            }
            let at = self.step;
            let every = |n: u64| labelled && n > 0 && at.is_multiple_of(n);
            if every(self.config.log.every) || at == self.steps {
                self.report(&mut clock, start, sink)?;
            }
            let mut best = false;
            if (every(self.config.evaluate.every) || at == self.steps) && self.evaluator.is_some() {
                (outcome.metrics, best) = self.evaluate(sink)?;
                clock = Clock::start();
            }
            let stopped = !labelled || interrupted();
            self.seconds += lap.elapsed().as_secs_f64();
            lap = Instant::now();
            if let Some(rotation) = &rotation
                && (best || every(self.config.checkpoint.every) || at == end || stopped)
            {
                // A loss that is not finite must not replace the last good checkpoint.
                self.counters()?;
                self.loss_scale()?;
                let checkpoint = self.checkpoint()?;
                self.check_finite(&checkpoint)?;
                let path = rotation.save(&checkpoint, best)?;
                sink.event(&Event::Saved(Saved { step: at, path, best }))?;
            }
            if stopped {
                break;
            }
        }
        self.counters()?;
        self.seconds += lap.elapsed().as_secs_f64();
        outcome.step = self.step;
        outcome.complete = self.step == self.steps;
        let seconds = start.elapsed().as_secs_f64();
        sink.event(&Event::Finished(Finished { step: self.step, seconds, complete: outcome.complete }))?;
        Ok(outcome)
    }

    fn started(&self) -> Started {
        Started {
            method: self.method.name().into(),
            model: self.config.model.name.clone(),
            parameters: self.network.parameter_count() as u64,
            adapter: self.engine.describe(),
            first_step: self.step,
            total_steps: self.steps,
            batch: self.config.train.batch,
            train_images: self.data.train.count(),
            memory: self.engine.allocated(),
        }
    }

    /// Makes the updates of labels that it is time for; false when it was interrupted between two of them.
    pub(super) fn relabel(
        &mut self,
        clock: &mut Clock,
        sink: &mut dyn Sink,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<bool> {
        let (step, epoch) = (self.step, self.epoch());
        let Some(labeller) = self.labeller.as_mut().filter(|l| l.due(step)) else { return Ok(true) };
        if !labeller.trains() {
            // Steps still in the queue are training time.
            readback::wait(&self.engine)?;
        }
        let before = Instant::now();
        let mut done = true;
        while labeller.due(step) {
            if interrupted() {
                done = false;
                break;
            }
            for event in labeller.update(step, epoch)? {
                sink.event(&Event::Relabelled(event))?;
            }
        }
        if !labeller.trains() {
            clock.started += before.elapsed();
        }
        Ok(done)
    }

    /// The metric that chooses the best checkpoint.
    pub(super) fn selects_by(&self) -> &str {
        self.config.checkpoint.best(self.method.selects_by())
    }

    fn batches(&self, end: u64) -> Result<Prefetch<Prepared>> {
        let mut sampler = self.sampler.clone();
        let set = (!self.feed.resident()).then(|| Arc::clone(self.feed.set()));
        Prefetch::new(self.step..end, AHEAD, move |step| {
            let draws = sampler.batch(step);
            let pixels = set.as_ref().map(|set| gather_pixels(set, &draws));
            Ok(Prepared { draws, pixels })
        })
    }

    pub(super) fn submit(&mut self, batch: &Prepared) -> Result<()> {
        let accumulate = self.config.train.accumulate;
        let rows = self.config.train.batch / accumulate;
        let lr = self.schedule.rate(self.step);
        for micro in 0..accumulate {
            let part = &batch.draws[micro * rows..(micro + 1) * rows];
            let bytes = rows * self.feed.set().image_bytes();
            let pixels = batch.pixels.as_ref().map(|p| &p[micro * bytes..(micro + 1) * bytes]);
            let feeding = self.engine.span("feed");
            self.feed.write(&self.engine, part, pixels);
            let words = self.optimizer.step_words(self.step, lr, micro as u32);
            self.engine.write_words(&self.step_settings, &words);
            drop(feeding);
            self.pass.run(&self.engine, 1)?;
        }
        if let Some(update) = &self.update {
            update.run(&self.engine, 1)?;
        }
        Ok(())
    }

    /// Passes over the training images done.
    fn epoch(&self) -> f64 {
        self.step as f64 * self.config.train.batch as f64 / self.sampler.count() as f64
    }

    /// Reads the counters, resets them, and fails when the loss was not finite.
    fn report(&mut self, clock: &mut Clock, start: Instant, sink: &mut dyn Sink) -> Result<()> {
        let sums = self.counters()?;
        let seconds = clock.started.elapsed().as_secs_f64().max(1e-9);
        let images = (clock.steps * self.config.train.batch as u64) as f64;
        *clock = Clock::start();
        let passes = (self.since_report * self.config.train.accumulate as u64) as f64;
        let means = |slot: usize| f64::from(sums[slot]) / passes;
        let named = self.metric_names.iter().enumerate().map(|(i, name)| (name.as_str(), means(i + 1)));
        let all: Metrics = named.collect();
        let mut metrics: Metrics = all.iter().filter(|(name, _)| *name != "loss" && *name != "accuracy").collect();
        if let Some(found) = self.loss_scale()? {
            metrics.set("loss_scale", f64::from(found.scale));
            metrics.set("steps_left_out", f64::from(found.left_out));
        }
        if let Some(labeller) = &mut self.labeller {
            labeller.report()?.iter().for_each(|(name, value)| metrics.set(name, *value));
        }
        if !self.warned
            && let Some(warning) = self.method.warning(&metrics)
        {
            self.warned = true;
            sink.event(&Event::Note(warning))?;
        }
        sink.event(&Event::Step(events::Step {
            step: self.step,
            epoch: self.epoch(),
            loss: all.get("loss").unwrap_or(f64::NAN),
            accuracy: all.get("accuracy").unwrap_or(f64::NAN),
            lr: self.schedule.rate(self.step - 1),
            images_per_second: images / seconds,
            seconds: start.elapsed().as_secs_f64(),
            metrics,
        }))?;
        self.engine.write_words(&self.metrics, &[0.0f32; SLOTS]);
        self.since_report = 0;
        Ok(())
    }

    /// Evaluates, and says whether the result is the best so far.
    fn evaluate(&mut self, sink: &mut dyn Sink) -> Result<(Vec<(String, f64)>, bool)> {
        self.counters()?;
        let epoch = self.epoch();
        let Some((split, evaluator)) = &mut self.evaluator else { return Ok((Vec::new(), false)) };
        let start = Instant::now();
        let metrics = evaluator.run(&self.engine)?;
        let wanted = self.config.checkpoint.best(self.method.selects_by());
        let found = metrics.iter().find(|(name, _)| name == wanted);
        let (_, value) = found.ok_or_else(|| unknown_metric(wanted, &*self.method, evaluator.names()))?;
        // A loss is better when it is lower.
        let sign = if wanted.ends_with("loss") { -1.0 } else { 1.0 };
        let best = self.best.is_none_or(|(_, best)| sign * value > sign * best);
        if best {
            self.best = Some((self.step, *value));
        }
        sink.event(&Event::Evaluated(Evaluated {
            step: self.step,
            epoch,
            split: (*split).to_owned(),
            images: evaluator.images(),
            seconds: start.elapsed().as_secs_f64(),
            metrics: metrics.iter().map(|(n, v)| (n.as_str(), *v)).collect(),
        }))?;
        Ok((metrics, best))
    }
}

fn unknown_metric(wanted: &str, method: &dyn Method, there: &[String]) -> Error {
    Error::Config(format!(
        "checkpoint.best = \"{wanted}\" is no metric of `{}`; there are: {}",
        method.name(),
        there.join(", ")
    ))
}
