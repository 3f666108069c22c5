//! The Sinkhorn-Knopp iteration on the device, in the log domain.
//!
//! Labels are `argmax_k (S_ik + v_k)` with `S_ik = λ · (z_ik − max_k z_ik)` and `v` such that the shares
//! `p_ik = exp(S_ik + v_k) / Σ_k exp(S_ik + v_k)` give each cluster its mass: `Σ_i p_ik / N = b_k`. Rows are scaled on
//! the fly with their maximum taken out, so no finite logits can give NaN. One iteration is one pass over the scores
//! and a small update of `v` with momentum (`kernels::sinkhorn_update`); the host reads 8 numbers between batches of
//! iterations. Batches have fixed sizes: the same input gives the same labels.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::plan::{Block, Plan};
use super::programs::Programs;
use super::report::{Outcome, Report, Solution, finite};
use super::{RowStore, marginals};
use crate::base::{DType, Error, Result, Shape};
use crate::gpu::{Cost, Engine, Program, Recording, Tensor, readback};
use crate::kernels::assign_labels::{self, Place, info};
use crate::kernels::shares::Window;
use crate::kernels::sinkhorn_pass::{MOST_CLUSTERS, Slabs};
use crate::kernels::sinkhorn_update::{Stop, place, row};
use crate::kernels::{
    choose, matmul, max_rows, score_rows, sinkhorn_pass, sinkhorn_update, sinkhorn_wide, sum_all, sum_rows,
    top_candidates, unpack_rows,
};

/// Where logits come from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// `(N, K)` logits in float32.
    Logits(&'a RowStore),
    /// Features and one head's linear layer.
    Features {
        /// `(N, D)`.
        store: &'a RowStore,
        /// `[pad4(D), K]`.
        weight: &'a Tensor,
        /// `(K)`.
        bias: &'a Tensor,
    },
}

/// How to solve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// λ: scores are λ · log softmax of the logits.
    pub power: f64,
    /// Largest |q/b − 1| of a cluster's mass q at which the iteration ends; 0 goes on until float32 allows no better.
    pub tolerance: f64,
    /// Cap on iterations.
    pub iterations: usize,
}

/// The best clusters of each sample.
#[derive(Clone, Debug)]
pub struct Candidates {
    /// L.
    pub count: usize,
    /// `(N, L)`, best first by score plus scaling.
    pub clusters: Vec<u32>,
    /// Their scores λ · (logit − the row's largest), `(N, L)`.
    pub scores: Vec<f32>,
}

/// Iterations at the start that may jump.
const FIRST: usize = 2;
/// Iterations in one submission where the scores are kept.
const BATCH: usize = 10;
/// Iterations without a gain of 2 % that end the solve.
const PATIENCE: usize = 200;

/// Programs beside those of labels, which are one a head, and of candidates, which are one a block: scores, iterations
/// that may jump and that may not, the first two for a single iteration too, with other settings or logits now and then.
const PROGRAMS: usize = 8;

/// Buffers and programs for one plan, used again for every head and every update.
#[derive(Debug)]
pub struct Solver {
    plan: Plan,
    blocks: Vec<Held>,
    scratch: Option<Tensor>,
    unpacked: Option<Tensor>,
    no_bias: Tensor,
    changed: Tensor,
    changes: [Tensor; 2],
    sums: Tensor,
    tops: Tensor,
    top: Tensor,
    folds: Tensor,
    mass: Tensor,
    targets: Tensor,
    clusters: Tensor,
    state: Tensor,
    programs: Mutex<Programs>,
    /// Candidates and their scores, of a block.
    lists: Mutex<Option<[Tensor; 2]>>,
}

/// A block of rows with its buffers.
#[derive(Debug)]
struct Held {
    block: Block,
    first_slab: usize,
    scores: Option<Tensor>,
    rows: Tensor,
    info: Tensor,
    costs: [Tensor; 2],
}

impl Solver {
    /// Allocates all that the plan lists but the row store and the label table.
    ///
    /// # Errors
    /// When memory has run out.
    pub fn new(engine: &Engine, plan: &Plan) -> Result<Self> {
        let k = plan.sizes.clusters;
        let tensor = |name: &str, sizes: &[usize]| engine.tensor(name, Shape::new(sizes), DType::F32);
        let mut blocks = Vec::new();
        let mut slabs = 0;
        for block in plan.blocks() {
            let own_scores = plan.kept && plan.sizes.features.is_some();
            let details = tensor("costs of rows", &[block.rows, 4])?;
            blocks.push(Held {
                block,
                first_slab: slabs,
                scores: own_scores.then(|| tensor("scores", &[block.rows, k])).transpose()?,
                rows: tensor("maxima of rows", &[block.rows, 4])?,
                costs: [tensor("parts of costs", sum_rows::scratch(&details.shape).sizes())?, tensor("costs", &[4])?],
                info: details,
            });
            slabs += block.rows.div_ceil(plan.slab);
        }
        let block = plan.block.min(plan.sizes.samples);
        let sums = tensor("sums of slabs", &[slabs, k])?;
        let changed = tensor("changes", &[plan.sizes.samples])?;
        Ok(Self {
            scratch: (!plan.kept).then(|| tensor("scores of a block", &[block, k])).transpose()?,
            unpacked: match plan.sizes.features {
                Some(d) if plan.half => Some(tensor("features of a block", &[block, d])?),
                _ => None,
            },
            no_bias: tensor("no bias", &[k])?,
            changes: [tensor("parts of changes", sum_all::scratch(&changed.shape).sizes())?, tensor("changes", &[1])?],
            changed,
            folds: tensor("folds of slabs", sum_rows::scratch(&sums.shape).sizes())?,
            tops: tensor("largest shares of slabs", &[slabs, k])?,
            top: tensor("largest shares", &[1, k])?,
            sums,
            mass: tensor("masses", &[k])?,
            targets: tensor("shares of clusters", &[k])?,
            clusters: tensor("scalings", &[4, k])?,
            state: tensor("state of the assignment", &[8])?,
            programs: Mutex::new(Programs::new(PROGRAMS + plan.sizes.heads + blocks.len())),
            lists: Mutex::new(None),
            blocks,
            plan: plan.clone(),
        })
    }

    /// The plan it was made for.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Programs built so far. A solve or a search for candidates that differs from an earlier one only in what its
    /// buffers hold builds none.
    pub fn built(&self) -> usize {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner).built()
    }

    fn program(&self, engine: &Engine, record: impl Fn(&mut Recording) -> Result<()>) -> Result<Program> {
        let recording = self.recording(engine, record)?;
        self.programs.lock().unwrap_or_else(PoisonError::into_inner).of(engine, &recording)
    }

    /// Assigns a cluster to each sample and writes the labels into row `head` of `table (T, N)`, unsigned.
    ///
    /// # Errors
    /// When source, shares or table do not fit the plan, logits are not finite, or the device fails.
    pub fn solve(
        &self,
        engine: &Engine,
        source: Source<'_>,
        shares: &[f64],
        settings: &Settings,
        table: &Tensor,
        head: usize,
    ) -> Result<Solution> {
        let start = Instant::now();
        let k = self.plan.sizes.clusters;
        self.check(&source, shares, settings)?;
        engine.write(&self.targets, &shares.iter().map(|&b| b as f32).collect::<Vec<_>>());
        engine.write(&self.clusters, &vec![0f32; 4 * k]);
        engine.write(&self.state, &[0f32; 8]);
        self.program(engine, |r| self.prepare(r, &source))?.run(engine, 1)?;
        let careful = self.program(engine, |r| self.iteration(r, &source, settings, true))?;
        careful.run(engine, FIRST)?;
        let mut fast = None;
        let mut state = readback::read::<f32>(engine, &self.state)?;
        let outcome = loop {
            finite(&state)?;
            if let Some(outcome) = Outcome::of(&state) {
                break outcome;
            }
            let jumps = state[place::UNDERFLOW] > 0.0 || k > MOST_CLUSTERS;
            if !jumps && fast.is_none() {
                fast = Some(self.program(engine, |r| self.iteration(r, &source, settings, false))?);
            }
            let program = fast.as_ref().filter(|_| !jumps).unwrap_or(&careful);
            program.run(engine, if self.plan.kept { BATCH } else { 1 })?;
            state = readback::read::<f32>(engine, &self.state)?;
        };
        self.program(engine, |r| self.labels(r, &source, settings, table, head))?.run(engine, 1)?;
        let mut wanted = vec![&self.clusters, &self.changes[1]];
        wanted.extend(self.blocks.iter().map(|b| &b.costs[1]));
        let words = readback::read_words::<f32>(engine, &wanted)?;
        let table = self.clusters.shape.unpad(&words[0]);
        let sum = |column: usize| words[2..].iter().map(|w| f64::from(w[column])).sum::<f64>();
        let samples = self.plan.sizes.samples as f64;
        let (label_cost, transport_cost) = (-sum(info::LOG_P) / samples, sum(info::COST) / samples);
        finite(&table)?;
        finite(&[label_cost as f32, transport_cost as f32])?;
        let part = |place: usize| &table[place * k..(place + 1) * k];
        Ok(Solution {
            report: Report {
                iterations: state[place::ITERATIONS] as usize,
                outcome,
                error: f64::from(state[place::BEST]),
                restarts: state[place::RESTARTS] as usize,
                label_cost,
                transport_cost,
                changed: words[1][0] as usize,
                seconds: start.elapsed().as_secs_f64(),
            },
            scaling: part(row::BEST).to_vec(),
            mass: part(row::MASS).iter().zip(shares).map(|(ratio, b)| f64::from(*ratio) * b).collect(),
        })
    }

    /// The `count` best clusters of each sample at the scaling of the last solve, which must have had the same source
    /// and power.
    ///
    /// # Errors
    /// When there are fewer clusters, memory does not suffice, or the device fails.
    pub fn candidates(&self, engine: &Engine, source: Source<'_>, power: f64, count: usize) -> Result<Candidates> {
        if count == 0 || count > self.plan.sizes.clusters {
            return Err(Error::Config(format!("{count} candidates of {} clusters", self.plan.sizes.clusters)));
        }
        let mut out = Candidates { count, clusters: Vec::new(), scores: Vec::new() };
        let [places, values] = self.lists(engine, count)?;
        for held in &self.blocks {
            let shape = Shape::new(&[held.block.rows, count]);
            let (at, value) = (places.window(0, shape.clone()), values.window(0, shape));
            let best = |r: &mut Recording| {
                let logits = self.logits(r, &source, held, true)?;
                let window = self.window(held, &logits, &source, power);
                top_candidates::record(r, &window, &self.clusters, row::BEST, &at, &value)
            };
            self.program(engine, best)?.run(engine, 1)?;
            out.clusters.extend(readback::read::<u32>(engine, &at)?);
            out.scores.extend(readback::read::<f32>(engine, &value)?);
        }
        Ok(out)
    }

    /// Room for so many candidates of each row of a block.
    fn lists(&self, engine: &Engine, count: usize) -> Result<[Tensor; 2]> {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = lists.as_ref().filter(|[places, _]| places.shape.last() == count) {
            return Ok(found.clone());
        }
        let rows = self.blocks.iter().map(|b| b.block.rows).max().unwrap_or(1);
        let shape = Shape::new(&[rows, count]);
        let places = engine.tensor("candidates", shape.clone(), DType::U32)?;
        let values = engine.tensor("scores of candidates", shape, DType::F32)?;
        Ok(lists.insert([places, values]).clone())
    }

    /// Margin, log P of the label, cost and mass of each sample (`kernels::assign_labels::info`) of the last solve.
    ///
    /// # Errors
    /// When the device fails.
    pub fn details(&self, engine: &Engine) -> Result<Vec<[f32; 4]>> {
        let mut out = Vec::with_capacity(self.plan.sizes.samples);
        for held in &self.blocks {
            let values = readback::read::<f32>(engine, &held.info)?;
            out.extend(values.chunks_exact(4).map(|v| [v[0], v[1], v[2], v[3]]));
        }
        Ok(out)
    }

    /// The least work of one iteration.
    ///
    /// # Errors
    /// When the source does not fit the plan.
    pub fn cost(&self, engine: &Engine, source: Source<'_>, settings: &Settings) -> Result<Cost> {
        Ok(self.recorded(engine, source, settings)?.cost())
    }

    /// One iteration as commands, for the bench.
    ///
    /// # Errors
    /// When the source does not fit the plan.
    pub fn recorded(&self, engine: &Engine, source: Source<'_>, settings: &Settings) -> Result<Recording> {
        self.recording(engine, |r| self.iteration(r, &source, settings, self.plan.sizes.clusters > MOST_CLUSTERS))
    }

    fn check(&self, source: &Source<'_>, shares: &[f64], settings: &Settings) -> Result<()> {
        let plan = &self.plan;
        marginals::check(shares.to_vec(), "the clusters' shares", plan.sizes.clusters)?;
        let Settings { power, tolerance, iterations } = *settings;
        if !(power > 0.0 && power <= 1e6 && tolerance >= 0.0) || iterations == 0 || iterations >= 1 << 24 {
            return Err(Error::Config(format!(
                "power {power} (above 0, at most 1e6), tolerance {tolerance} (at least 0), iterations {iterations} \
                 (1 to 16777215)"
            )));
        }
        let (store, columns) = match source {
            Source::Logits(store) => (store, (plan.sizes.features.is_none()).then_some(plan.sizes.clusters)),
            Source::Features { store, .. } => (store, plan.sizes.features),
        };
        let fits = store.rows() == plan.sizes.samples
            && Some(store.columns()) == columns
            && store.window_rows() == plan.window.min(plan.sizes.samples)
            && store.half() == plan.half;
        if fits {
            return Ok(());
        }
        Err(Error::Shape(format!(
            "the plan is for {:?}, windows of {} rows, float16 {}; the store has {} rows of {} in windows of {}, \
             float16 {}",
            plan.sizes,
            plan.window,
            plan.half,
            store.rows(),
            store.columns(),
            store.window_rows(),
            store.half()
        )))
    }

    fn recording(&self, engine: &Engine, record: impl Fn(&mut Recording) -> Result<()>) -> Result<Recording> {
        engine.settled(&choose::preferred(engine), |variants| {
            let mut recording = Recording::new();
            recording.variants.clone_from(variants);
            recording.label("label assignment");
            record(&mut recording)?;
            Ok(recording)
        })
    }

    /// The block's logits without the bias, worked out where they are not kept, or not yet.
    fn logits(&self, r: &mut Recording, source: &Source<'_>, held: &Held, kept: bool) -> Result<Tensor> {
        let Block { window, offset, rows, .. } = held.block;
        let part = |t: &Tensor, columns: usize| {
            let shape = Shape::new(&[rows, columns]);
            t.window(offset as u64 * 4 * Shape::new(&[1, columns]).physical() as u64, shape)
        };
        match *source {
            Source::Logits(store) => Ok(part(&store.windows()[window], store.columns())),
            Source::Features { store, weight, .. } => {
                let k = self.plan.sizes.clusters;
                let out = match (&held.scores, &self.scratch) {
                    (Some(scores), _) if kept => return Ok(scores.clone()),
                    (Some(scores), _) => scores.clone(),
                    (None, Some(scratch)) => scratch.window(0, Shape::new(&[rows, k])),
                    (None, None) => return Err(Error::Shape("the plan has no room for scores".into())),
                };
                let words = &store.windows()[window];
                let mut features = part(words, words.shape.last());
                if let Some(unpacked) = &self.unpacked {
                    let plain = unpacked.window(0, Shape::new(&[rows, store.columns()]));
                    unpack_rows::record(r, &features, &plain)?;
                    features = plain;
                }
                matmul::record(r, &features, weight, false, false, &out)?;
                Ok(out)
            }
        }
    }

    fn window<'a>(&'a self, held: &'a Held, logits: &'a Tensor, source: &Source<'a>, power: f64) -> Window<'a> {
        let bias = match source {
            Source::Logits(_) => &self.no_bias,
            Source::Features { bias, .. } => bias,
        };
        Window { logits, bias, rows: &held.rows, used: held.block.rows, power: power as f32 }
    }

    /// Scores where they are kept, and what is needed of each row.
    fn prepare(&self, r: &mut Recording, source: &Source<'_>) -> Result<()> {
        for held in &self.blocks {
            let logits = self.logits(r, source, held, false)?;
            let window = self.window(held, &logits, source, 1.0);
            score_rows::record(r, window.logits, window.bias, window.used, &held.rows)?;
        }
        Ok(())
    }

    /// One iteration; `careful` keeps the clusters' largest shares, so that clusters without mass can jump.
    fn iteration(&self, r: &mut Recording, source: &Source<'_>, s: &Settings, careful: bool) -> Result<()> {
        for held in &self.blocks {
            let logits = self.logits(r, source, held, true)?;
            let window = self.window(held, &logits, source, s.power);
            let slabs = Slabs { rows: self.plan.slab, first: held.first_slab };
            if careful {
                sinkhorn_wide::record(r, &window, &self.clusters, slabs, &self.sums, &self.tops)?;
            } else {
                sinkhorn_pass::record(r, &window, &self.clusters, slabs, &self.sums)?;
            }
        }
        sum_rows::record(r, &self.sums, 1.0, &self.folds, &self.mass)?;
        let stop = Stop {
            samples: self.plan.sizes.samples,
            cap: s.iterations,
            patience: PATIENCE,
            tolerance: s.tolerance as f32,
        };
        if careful {
            // Folded first: the update's one group would walk through every slab for each cluster.
            max_rows::record(r, &self.tops, &self.top)?;
        }
        let given = [&self.mass, &self.top, &self.targets];
        sinkhorn_update::record(r, given, usize::from(careful), stop, &self.clusters, &self.state)
    }

    fn labels(
        &self,
        r: &mut Recording,
        source: &Source<'_>,
        settings: &Settings,
        table: &Tensor,
        head: usize,
    ) -> Result<()> {
        for held in &self.blocks {
            let logits = self.logits(r, source, held, true)?;
            let window = self.window(held, &logits, source, settings.power);
            let place = Place { head, first: held.block.first, scaling: row::BEST };
            assign_labels::record(r, &window, &self.clusters, place, [table, &held.info, &self.changed])?;
            sum_rows::record(r, &held.info, 1.0, &held.costs[0], &held.costs[1])?;
        }
        sum_all::record(r, &self.changed, 1.0, &self.changes[0], &self.changes[1])
    }
}
