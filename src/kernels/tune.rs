//! Which form of a product suits a class of shapes: compared with the plain form's answer, then timed, on the adapter
//! itself, within a budget of time.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::cooperative;
use super::product::{FORMS, Product, keeps_sums, offered, worth};
use crate::base::compare::{Tolerance, compare};
use crate::base::{Array, DType, Error, Result, Shape};
use crate::gpu::clock::Moment;
use crate::gpu::timing::awake;
use crate::gpu::variants::{Asked, Chooser, Form};
use crate::gpu::{Engine, Factors, Program, Recording, Tensor, Variants, readback};

/// How long a training run may measure before it begins.
pub const BUDGET: Duration = Duration::from_secs(20);
/// Samples of each form; the least counts, since whatever else runs on the machine only adds to them.
const TURNS: usize = 5;
/// Shortest sample in seconds.
const SAMPLE: f64 = 0.005;
/// Runs of each form before it is timed, of which the least counts: one alone may hold what another thread did.
const FIRST: usize = 3;
/// A form that is so many times slower than the fastest in its first runs is not timed again.
const BEHIND: f64 = 2.0;
/// Share of its time that a form must save to replace the one that is taken without measuring: less is noise.
const GAIN: f64 = 0.03;
/// Classes with a smaller share of the work than this keep their form.
const SHARE: f64 = 0.02;
/// Operations of a recording from which on it is worth it: below, a step takes milliseconds whatever the forms are.
const WORTH: u64 = 1 << 26;

/// What came of a form: its seconds, or why it is struck out.
pub type Outcome = std::result::Result<f64, String>;

/// A class that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The form to take.
    pub taken: Form,
    /// The forms that were tried, the plain one first; none where there is only one.
    pub trials: Vec<(Form, Outcome)>,
}

/// What a tuner did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Classes and what was measured, this time.
    pub measured: BTreeMap<String, Measured>,
    /// Classes that keep their form, and why.
    pub left_out: BTreeMap<String, String>,
    /// How long it took.
    pub seconds: f64,
}

/// Who hears of what a tuner does while it does it.
pub trait Listener: Debug + Send + Sync {
    /// It begins, and takes at most so long.
    fn begins(&self, budget: Duration);

    /// A class was measured.
    fn measured(&self, engine: &Engine, class: &str, measured: &Measured);
}

/// Measures the forms of classes of shapes when recordings ask for them, those with the most work first.
#[derive(Debug)]
pub struct Tuner {
    budget: Duration,
    listener: Option<Box<dyn Listener>>,
    report: Mutex<Report>,
}

impl Tuner {
    /// One that takes `budget` in all. A class that was begun within it is not broken off while a pipeline compiles.
    pub fn new(budget: Duration, listener: Option<Box<dyn Listener>>) -> Self {
        Self { budget, listener, report: Mutex::default() }
    }

    /// Whether a kernel gave the plain form's answer wherever it was measured, and was.
    pub fn agrees(&self, kernel: &str) -> bool {
        let report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let trials = report.measured.values().flat_map(|measured| &measured.trials);
        let mut outcomes = trials.filter(|(form, _)| form.0 == kernel).map(|(_, outcome)| outcome.is_ok()).peekable();
        outcomes.peek().is_some() && outcomes.all(|agrees| agrees)
    }

    /// What it did so far.
    pub fn report(&self) -> Report {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Chooser for Tuner {
    fn choose(&self, engine: &Engine, asked: &Asked, known: &Variants) -> Result<Variants> {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let mut variants = known.clone();
        variants.classes.extend(engine.variants().unwrap_or_default().classes);
        let all: u64 = asked.values().sum();
        let worth = |operations: u64| all >= WORTH && operations as f64 >= SHARE * all as f64;
        let mut open: Vec<(&String, u64)> = asked.iter().map(|(class, &n)| (class, n)).collect();
        open.retain(|&(class, n)| {
            worth(n) && !variants.classes.contains_key(class) && !report.left_out.contains_key(class)
        });
        open.sort_by_key(|&(_, n)| std::cmp::Reverse(n));
        for (class, _) in open {
            let left = self.budget.as_secs_f64() - report.seconds;
            let Some(product) = Product::of_class(class).filter(|_| left > 0.0) else {
                report.left_out.insert(class.clone(), "the time was up".into());
                continue;
            };
            if let Some(listener) = self.listener.as_ref().filter(|_| report.seconds == 0.0) {
                listener.begins(self.budget);
            }
            let start = Instant::now();
            variants.factors = Factors::of_class(class).1;
            let found = engine.passing(|| measure(engine, &product, &variants, left));
            report.seconds += start.elapsed().as_secs_f64();
            match found {
                Ok(Some(measured)) => {
                    variants.classes.insert(class.clone(), measured.taken);
                    self.listener.iter().for_each(|listener| listener.measured(engine, class, &measured));
                    report.measured.insert(class.clone(), measured);
                }
                Ok(None) => drop(report.left_out.insert(class.clone(), "the time was up".into())),
                // Beside the tensors of the run there is no room for another set.
                Err(Error::Memory(text)) => drop(report.left_out.insert(class.clone(), text)),
                Err(e) => return Err(e),
            }
        }
        variants.factors = known.factors;
        Ok(variants)
    }
}

/// A form's work, ready to be recorded into a program.
pub struct Candidate {
    /// Its name.
    pub form: Form,
    /// What it dispatches.
    pub recording: Recording,
}

/// Measures the forms of a product that the adapter offers; `None` when `left` seconds did not suffice.
///
/// # Errors
/// When the adapter has no room, or fails.
pub fn measure(engine: &Engine, product: &Product, known: &Variants, left: f64) -> Result<Option<Measured>> {
    let start = Instant::now();
    let mut seed = 0;
    let factors = known.factors;
    let operands = product.operands(engine, product.maps(factors), &mut |sizes, dtype| {
        seed += 1;
        random(engine, sizes, dtype, seed)
    })?;
    let recorded = |variants: Variants| -> Result<Recording> {
        let mut recording = Recording::new();
        recording.variants = variants;
        recording.label(&product.class());
        (operands.record)(&mut recording)?;
        Ok(recording)
    };
    let Some((_, forms)) = FORMS.iter().find(|(plain, _)| plain.name == product.plain().name) else { return Ok(None) };
    let class = product.class() + factors.suffix();
    let usual = recorded(known.of_class(&class))?.dispatches.remove(0);
    let (mut candidates, mut default) = (Vec::new(), 0);
    for &(shader, variant) in forms.iter().filter(|form| offered(engine, **form) && worth(engine, **form)) {
        // Where factors may be rounded, splitting them only takes longer.
        let split = shader.variants[variant].sets("SPLIT") == Some(1);
        if if factors.rounded() { split } else { shader.variants[variant].rounds() } {
            continue;
        }
        let recording =
            recorded(Variants { kernels: [(shader.name, variant)].into(), factors, ..Variants::default() })?;
        let first = &recording.dispatches[0];
        // A form that does not fit the shape gives way to another.
        if first.shader.name != shader.name {
            continue;
        }
        if (first.shader.name, first.variant) == (usual.shader.name, usual.variant) {
            default = candidates.len();
        }
        candidates.push(Candidate { form: (shader.name, variant), recording });
    }
    // Where a form keeps its sums in an array, those that do not are slower, and seconds to compile (docs/performance.md).
    if candidates.iter().any(|c| keeps_sums(c.form.0)) {
        let (plain, usual) = (candidates[0].form, candidates[default].form);
        candidates.retain(|c| c.form == plain || c.form == usual || keeps_sums(c.form.0));
        default = candidates.iter().position(|c| c.form == usual).unwrap_or(0);
    }
    if let [only] = candidates.as_slice() {
        return Ok(Some(Measured { taken: only.form, trials: Vec::new() }));
    }
    let tolerance = tolerance(product, false);
    compete(engine, &operands.output, &candidates, default, tolerance, left - start.elapsed().as_secs_f64())
}

/// Strikes out the candidates whose answer is not that of the first, times the others in turns, and takes the fastest
/// if it is clearly faster than candidate `default`; `None` when `left` seconds did not suffice.
///
/// # Errors
/// When the first's own answer is not sound, or the adapter fails.
pub fn compete(
    engine: &Engine,
    output: &Tensor,
    candidates: &[Candidate],
    default: usize,
    tolerance: Tolerance,
    left: f64,
) -> Result<Option<Measured>> {
    let start = Instant::now();
    let late = || start.elapsed().as_secs_f64() > left;
    let together = rayon::current_num_threads();
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut ready: Vec<(usize, Program, usize, Vec<f64>)> = Vec::new();
    let (mut expected, mut fastest) = (Vec::new(), f64::INFINITY);
    for (i, candidate) in candidates.iter().enumerate() {
        if late() {
            return Ok(None);
        }
        let since = Instant::now();
        // As many as there are cores, so that the time is looked at between.
        if i % together == 0 {
            Program::prepare(engine, candidates[i..].iter().take(together).map(|c| &c.recording));
        }
        let tried = answer(engine, &candidate.recording, output).map(|(program, words)| {
            if i == 0 {
                expected = words.iter().map(|&v| f64::from(v)).collect();
            }
            let rounds = output.dtype == DType::F16 || {
                let first = &candidate.recording.dispatches[0];
                first.shader.variants[first.variant].rounds()
            };
            (program, compare(&words, &expected, if rounds { cooperative::ROUNDING } else { tolerance }))
        });
        let program = match tried {
            Ok((program, Ok(()))) => program,
            // The plain form is what all are compared with: with no sound answer of its own nothing can be said.
            Ok((_, Err(text))) if i == 0 => {
                return Err(Error::Device(format!("the form {}: {text}", describe(candidate))));
            }
            Ok((_, Err(text))) => {
                outcomes.push(Err(format!("another answer than {}'s: {text}", describe(&candidates[0]))));
                continue;
            }
            Err(e) if i == 0 => return Err(e),
            Err(e) => {
                engine.check()?;
                outcomes.push(Err(e.to_string()));
                continue;
            }
        };
        awake(engine, since, || run(engine, &program, 10).map(drop))?;
        let mut once = f64::INFINITY;
        for _ in 0..FIRST {
            once = once.min(run(engine, &program, 1)?);
        }
        outcomes.push(Ok(once));
        fastest = fastest.min(once);
        ready.push((i, program, (SAMPLE / once).ceil().clamp(1.0, 100.0) as usize, Vec::new()));
    }
    ready.retain(|(i, ..)| *i == default || outcomes[*i].as_ref().is_ok_and(|&once| once <= BEHIND * fastest));
    for turn in 0..TURNS {
        if late() {
            if turn == 0 {
                return Ok(None);
            }
            break;
        }
        for (_, program, times, samples) in &mut ready {
            samples.push(run(engine, program, *times)? / *times as f64);
        }
    }
    let mut taken = None;
    for (i, _, _, samples) in &ready {
        let least = samples.iter().copied().fold(f64::INFINITY, f64::min);
        outcomes[*i] = Ok(least);
        if taken.is_none_or(|(_, best)| least < best) {
            taken = Some((*i, least));
        }
    }
    let Some((mut taken, best)) = taken else { return Ok(None) };
    if outcomes[default].as_ref().is_ok_and(|&usual| best > (1.0 - GAIN) * usual) {
        taken = default;
    }
    let trials = candidates.iter().map(|c| c.form).zip(outcomes).collect();
    Ok(Some(Measured { taken: candidates[taken].form, trials }))
}

/// How far two forms of a product may be apart, where factors or results are `rounded` to half precision or not. Each form
/// errs by about √terms·2⁻²⁴ of the typical sum, as in the kernels' cases (1,800 terms: 3e-6), here both do.
pub(super) fn tolerance(product: &Product, rounded: bool) -> Tolerance {
    match rounded {
        true => cooperative::ROUNDING,
        false => Tolerance::largest(6e-6 * (product.terms() as f64 / 1800.0).sqrt().max(1.0)),
    }
}

fn describe(candidate: &Candidate) -> String {
    let first = &candidate.recording.dispatches[0];
    format!("{} ({})", first.shader.name, first.shader.variants[first.variant].name)
}

/// A recording's program and what it writes, pads included; every element that it leaves out is NaN.
pub(super) fn answer(engine: &Engine, recording: &Recording, output: &Tensor) -> Result<(Program, Vec<f32>)> {
    let program = Program::named(engine, recording, "measure")?;
    engine.fill(output, f32::NAN);
    program.run(engine, 1)?;
    Ok((program, readback::read_floats(engine, output)?))
}

fn run(engine: &Engine, program: &Program, times: usize) -> Result<f64> {
    let start = Moment::now(engine);
    program.run(engine, times)?;
    readback::wait(engine)?;
    // A clock that did not move yet would make it infinitely fast.
    Ok(start.seconds(engine).max(1e-6))
}

/// A tensor of normal values; they recur, which makes them quick to make and costs the comparison nothing.
///
/// # Errors
/// When the adapter has no room.
pub fn random(engine: &Engine, sizes: &[usize], dtype: DType, seed: u64) -> Result<Tensor> {
    let tensor = engine.tensor("measured", Shape::new(sizes), dtype)?;
    // A prime, so that no row is like another.
    let some = Array::normal(&[65_521], 1.0, seed).to_f32();
    engine.write_floats(&tensor, some.iter().copied().cycle().take(tensor.shape.elements()));
    Ok(tensor)
}
