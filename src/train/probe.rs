//! Linear probe: a linear classifier trained on cached features of a frozen network, a small training run of its own.
//!
//! Features are standardised by the training rows' mean and variance and scaled by `1/√D`: an affine map, so it takes
//! nothing from what a linear classifier can tell apart, and it gives rows a mean square norm of 1 whatever network
//! they come from. The loss's curvature is then at most 1 (½ of the largest eigenvalue of the features' second moments,
//! bias included), and SGD with momentum m is stable on it for rates below 2·(1 + m): the default rate of 1 needs no
//! search. With `standardize = false` the features are taken as they are; SeLa's official probe of a ResNet-50 is then
//! `lr = 0.1, batch = 1024, epochs = 146, schedule = "step"` (eval_resnet.py of yukimasano/self-label).

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::config::{self, Fault, MOST_STEPS, Section, need};
use super::losses::{mean_cross_entropy, sum_correct, sum_cross_entropy};
use super::network::Network;
use super::optimizer::Optimizer;
use super::place_gradients;
use super::schedule::Schedule;
use crate::base::labels::IGNORED;
use crate::base::{DType, Error, LabelRule, Result, Shape};
use crate::data::{Sampler, SamplerKind};
use crate::eval::knn::check_labels;
use crate::gpu::{Engine, Program, Recording, Tensor, Variants, readback};
use crate::graph::{Executor, NodeId, reverse};
use crate::kernels::{batch_norm_stats, choose};
use crate::nn::{Builder, Phase};

/// The `[probe]` section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Passes over the training features, at least 1.
    pub epochs: u64,
    /// Rows of one step, at least 1; all of them where there are fewer.
    pub batch: usize,
    /// Learning rate before the schedule, above 0.
    pub lr: f64,
    /// SGD's momentum, from 0 to below 1.
    pub momentum: f64,
    /// Weight decay of weights and bias, at least 0.
    pub weight_decay: f64,
    /// `cosine` down to 0, `step` (a tenth after 85/146 and again after 128/146 of the run, as published), `constant`.
    pub schedule: config::ScheduleKind,
    /// Whether features are standardised first.
    pub standardize: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            epochs: 100,
            batch: 256,
            lr: 1.0,
            momentum: 0.9,
            weight_decay: 0.0,
            schedule: config::ScheduleKind::Cosine,
            standardize: true,
        }
    }
}

impl Section for Settings {
    fn check(&self) -> std::result::Result<(), Fault> {
        let allowed = format!("from 1 to {MOST_STEPS}");
        need((1..=MOST_STEPS).contains(&self.epochs), "epochs", self.epochs, allowed)?;
        need((1..=1 << 20).contains(&self.batch), "batch", self.batch, "from 1 to 1048576 rows")?;
        // As the device has them, in 32 bits.
        let (lr, momentum, decay) = (self.lr as f32, self.momentum as f32, self.weight_decay as f32);
        need(lr > 0.0 && lr.is_finite(), "lr", self.lr, "a number above 0 that 32 bits can hold")?;
        need((0.0..1.0).contains(&momentum), "momentum", self.momentum, "from 0 to below 1")?;
        let allowed = "a number of at least 0 that 32 bits can hold";
        need(decay >= 0.0 && decay.is_finite(), "weight_decay", self.weight_decay, allowed)
    }
}

/// Cached features and their labels.
#[derive(Clone, Copy, Debug)]
pub struct Features<'a> {
    /// Windows `(W, D)`, one after the other; rows past the labels do not count.
    pub windows: &'a [Tensor],
    /// A class for each row.
    pub labels: &'a [u32],
}

/// What a probe found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// Mean cross-entropy over the training rows, with the final weights.
    pub train_loss: f64,
    /// Part of the training rows that are right, with the final weights.
    pub train_accuracy: f64,
    /// Mean cross-entropy over the test rows.
    pub test_loss: f64,
    /// Part of the test rows that are right.
    pub test_accuracy: f64,
    /// Optimizer steps.
    pub steps: u64,
}

/// Called with the steps done and those of the run after each epoch; an error ends the probe.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> Result<()>;

/// Trains a linear classifier on `train` and judges it on both. Weights start at 0 (the problem is convex); the order of
/// the rows follows from `seed`. Test rows take part in nothing but the final judgement.
///
/// # Errors
/// When a setting is out of range, windows hold fewer rows than there are labels or differ in D, a label is no class, a
/// training feature is not finite, the loss becomes so, or memory does not suffice.
pub fn run(
    engine: &Engine,
    train: Features<'_>,
    test: Features<'_>,
    classes: usize,
    settings: &Settings,
    seed: u64,
    progress: Progress<'_>,
) -> Result<Outcome> {
    settings.check().map_err(|f| Error::Config(format!("probe.{} is {} and must be {}", f.key, f.seen, f.allowed)))?;
    let columns = check(train, "training", classes)?;
    let test_columns = check(test, "test", classes)?;
    if columns != test_columns {
        return Err(Error::Data(format!("{columns} features in training rows, {test_columns} in test rows")));
    }
    let count = train.labels.len();
    let batch = settings.batch.min(count);
    let steps = (settings.epochs.saturating_mul(count as u64)).div_ceil(batch as u64);
    if steps > MOST_STEPS {
        let text = format!("probe.epochs = {} makes {steps} steps; a probe has at most {MOST_STEPS}", settings.epochs);
        return Err(Error::Config(text));
    }
    let scaling = if settings.standardize { Some(Scaling::measure(engine, train, columns)?) } else { None };
    let probe = Probe { engine, classes, batch, scaling, variants: choose::preferred(engine) };
    let network = probe.train(train, settings, seed, steps, progress)?;
    let (train_loss, train_accuracy) = probe.judge(&network, train)?;
    if !train_loss.is_finite() {
        return Err(Error::Diverged(format!(
            "the probe's loss is {train_loss} after {steps} steps; lower probe.lr (it is {})",
            settings.lr
        )));
    }
    let (test_loss, test_accuracy) = probe.judge(&network, test)?;
    Ok(Outcome { train_loss, train_accuracy, test_loss, test_accuracy, steps })
}

/// D of features that fit their labels.
fn check(features: Features<'_>, what: &str, classes: usize) -> Result<usize> {
    let rows = features.labels.len();
    let columns = features.windows.first().map_or(0, |w| w.shape.last());
    let mut held = 0;
    for window in features.windows {
        let [rows, other] = window.matrix("features")?;
        if other != columns {
            return Err(Error::Shape(format!("windows of {what} rows with {columns} and {other} features")));
        }
        held += rows;
    }
    if rows == 0 || held < rows {
        return Err(Error::Data(format!(
            "{rows} {what} labels for windows of {held} rows; there must be at least one"
        )));
    }
    check_labels(features.labels, classes).map_err(|e| Error::Data(format!("{what} rows: {e}")))?;
    Ok(columns)
}

/// Added to variances, far below any that counts.
const EPS: f32 = 1e-30;

/// How features are standardised: `(mean, variance)` and `(0, weight)`, both `(2, D)`, as batch normalisation takes them.
struct Scaling {
    running: Vec<f32>,
    affine: Vec<f32>,
}

impl Scaling {
    /// Statistics of the training rows: float32 within a window, merged in float64 (Chan, Golub and LeVeque, 1979).
    fn measure(engine: &Engine, train: Features<'_>, columns: usize) -> Result<Self> {
        let (mut mean, mut squares, mut seen) = (vec![0.0f64; columns], vec![0.0f64; columns], 0.0);
        let mut left = train.labels.len();
        for window in train.windows {
            let rows = window.shape.rows().min(left);
            if rows == 0 {
                break;
            }
            left -= rows;
            let part = window.window(0, Shape::new(&[rows, columns]));
            let scratch =
                engine.tensor("feature statistics (scratch)", batch_norm_stats::scratch(&part.shape), DType::F32)?;
            let stats = engine.tensor("feature statistics", Shape::new(&[2, columns]), DType::F32)?;
            let mut recording = Recording::new();
            recording.label("feature statistics");
            batch_norm_stats::record(&mut recording, &part, &scratch, &stats)?;
            Program::new(engine, &recording)?.run(engine, 1)?;
            let stats = readback::read::<f32>(engine, &stats)?;
            let new = rows as f64;
            for d in 0..columns {
                let (m, v) = (f64::from(stats[d]), f64::from(stats[columns + d]));
                let apart = m - mean[d];
                squares[d] += v * new + apart * apart * seen * new / (seen + new);
                mean[d] += apart * new / (seen + new);
            }
            seen += new;
        }
        let (mut running, mut affine) = (Vec::new(), vec![0.0; columns]);
        running.extend(mean.iter().map(|&m| m as f32));
        for d in 0..columns {
            let variance = squares[d] / seen;
            if !(mean[d].is_finite() && variance.is_finite()) {
                return Err(Error::Data(format!(
                    "feature {d} of the {} training rows is not finite or too large: mean {}, variance {variance}",
                    train.labels.len(),
                    mean[d]
                )));
            }
            // What varies by less than float32's rounding of its mean is constant, and its rounding no feature.
            let constant = variance <= (1e-12 * mean[d] * mean[d]).max(1e-24);
            running.push(if constant { 1.0 } else { variance as f32 });
            affine.push(if constant { 0.0 } else { (1.0 / (columns as f64).sqrt()) as f32 });
        }
        Ok(Self { running, affine })
    }
}

/// What training and judging share.
struct Probe<'a> {
    engine: &'a Engine,
    classes: usize,
    batch: usize,
    scaling: Option<Scaling>,
    variants: Variants,
}

/// The inputs of a graph that are written before each run.
struct Inputs {
    indices: Tensor,
    labels: Tensor,
}

/// A graph from row numbers to logits.
struct Pass {
    b: Builder,
    placed: HashMap<NodeId, Tensor>,
    logits: NodeId,
    labels: NodeId,
    inputs: Inputs,
}

impl Probe<'_> {
    fn pass(&self, phase: Phase, windows: &[Tensor]) -> Result<Pass> {
        let engine = self.engine;
        let mut b = Builder::new(phase);
        let mut placed = HashMap::new();
        let mut leaf = |b: &mut Builder, name: &str, tensor: Tensor| {
            let node = b.graph.input(name, tensor.shape.sizes(), tensor.dtype);
            placed.insert(node, tensor);
            node
        };
        let words = |name: &str| engine.tensor(name, Shape::new(&[self.batch]), DType::U32);
        let inputs = Inputs { indices: words("probe.indices")?, labels: words("probe.labels")? };
        let indices = leaf(&mut b, "indices", inputs.indices.clone());
        let labels = leaf(&mut b, "labels", inputs.labels.clone());
        let store: Vec<NodeId> =
            windows.iter().enumerate().map(|(i, w)| leaf(&mut b, &format!("features.{i}"), w.clone())).collect();
        let mut x = b.graph.gather_rows(&store, indices)?;
        if let Some(scaling) = &self.scaling {
            let mut table = |b: &mut Builder, name: &str, values: &[f32]| -> Result<NodeId> {
                let tensor = engine.tensor(name, Shape::new(&[2, values.len() / 2]), DType::F32)?;
                engine.write(&tensor, values);
                Ok(leaf(b, name, tensor))
            };
            let running = table(&mut b, "probe.running", &scaling.running)?;
            let affine = table(&mut b, "probe.affine", &scaling.affine)?;
            x = b.graph.batch_norm_eval(x, running, affine, EPS)?;
        }
        let logits = b.linear("probe", x, self.classes)?;
        Ok(Pass { b, placed, logits, labels, inputs })
    }

    fn train(
        &self,
        train: Features<'_>,
        settings: &Settings,
        seed: u64,
        steps: u64,
        progress: Progress<'_>,
    ) -> Result<Network> {
        let engine = self.engine;
        let Pass { mut b, mut placed, logits, labels, inputs } =
            self.pass(Phase::Train { update: false }, train.windows)?;
        let loss = mean_cross_entropy(&mut b, logits, labels, LabelRule::Class, 1)?;
        let parameters = b.graph.parameters();
        let gradients = reverse(&mut b.graph, loss, &parameters)?;
        // Its tensors are zero until they are trained.
        let network = Network::new(engine, &b)?;
        let parts = network.parameters.same_layout(engine, "probe gradients")?;
        network.place(&b.graph, &mut placed)?;
        let gradients = place_gradients(&mut b, &parameters, &gradients, &parts, &mut placed)?;
        let executor = Executor::new(engine, &b.graph, &gradients, &placed, &self.variants)?;
        let optimizer = config::Optimizer {
            lr: settings.lr,
            momentum: settings.momentum,
            weight_decay: settings.weight_decay,
            ..config::Optimizer::default()
        };
        let optimizer = Optimizer::new(engine, &optimizer, &network)?;
        let step_words = engine.tensor("step", Shape::new(&[8]), DType::U32)?;
        let mut recording = executor.recording().clone();
        optimizer.record(engine, &mut recording, &network, parts.flat(), 1.0, &step_words)?;
        let program = Program::new(engine, &recording)?;
        let schedule = config::Schedule {
            kind: settings.schedule,
            milestones: vec![85.0 / 146.0, 128.0 / 146.0],
            factor: 0.1,
            warmup: 0,
        };
        let schedule = Schedule::new(&schedule, settings.lr, steps);
        let count = train.labels.len();
        let mut sampler = Sampler::new(SamplerKind::Epochs, seed, count, self.batch)?;
        let per_epoch = count.div_ceil(self.batch) as u64;
        for step in 0..steps {
            let rows: Vec<u32> = sampler.batch(step).iter().map(|d| d.index).collect();
            let y: Vec<u32> = rows.iter().map(|&r| train.labels[r as usize]).collect();
            engine.write(&inputs.indices, &rows);
            engine.write(&inputs.labels, &y);
            engine.write(&step_words, &optimizer.step_words(step, schedule.rate(step), 0));
            program.run(engine, 1)?;
            if (step + 1).is_multiple_of(per_epoch) || step + 1 == steps {
                progress(step + 1, steps)?;
            }
        }
        Ok(network)
    }

    /// Mean cross-entropy and part of the rows that are right.
    fn judge(&self, network: &Network, features: Features<'_>) -> Result<(f64, f64)> {
        let engine = self.engine;
        let Pass { mut b, mut placed, logits, labels, inputs } = self.pass(Phase::Evaluate, features.windows)?;
        let loss = sum_cross_entropy(&mut b, logits, labels, LabelRule::Class, 1)?;
        let correct = sum_correct(&mut b, logits, labels, LabelRule::Class, 1)?;
        let state = b.graph.state("probe.sums", &[2]);
        let outputs = [b.graph.accumulate(&[loss, correct], state, 0)?];
        let sums = engine.tensor("probe.sums", Shape::new(&[2]), DType::F32)?;
        network.place(&b.graph, &mut placed)?;
        placed.insert(state, sums.clone());
        let executor = Executor::new(engine, &b.graph, &outputs, &placed, &self.variants)?;
        let program = Program::new(engine, executor.recording())?;
        let count = features.labels.len();
        // Read back now and then: a float32 count is exact below 2^24, and a sum's digits are not lost in a long one.
        let (mut totals, every) = ([0.0f64; 2], (1usize << 16).div_ceil(self.batch));
        let batches = count.div_ceil(self.batch);
        for n in 0..batches {
            let rows = n * self.batch..(n + 1) * self.batch;
            let y: Vec<u32> = rows.clone().map(|r| features.labels.get(r).copied().unwrap_or(IGNORED)).collect();
            let rows: Vec<u32> = rows.map(|r| r.min(count - 1) as u32).collect();
            engine.write(&inputs.indices, &rows);
            engine.write(&inputs.labels, &y);
            program.run(engine, 1)?;
            if (n + 1) % every == 0 || n + 1 == batches {
                let part = readback::read::<f32>(engine, &sums)?;
                totals.iter_mut().zip(part).for_each(|(total, part)| *total += f64::from(part));
                engine.write(&sums, &[0.0f32; 2]);
            }
        }
        Ok((totals[0] / count as f64, totals[1] / count as f64))
    }
}
