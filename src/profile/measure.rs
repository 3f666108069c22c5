//! Some training steps with and without a trace, in turns, and what each dispatch took.

use std::time::Instant;

use serde::Serialize;

use super::clock;
use super::roofline::Roofline;
use crate::base::{Error, Result};
use crate::gpu::timing::{self, Sampling, median_spread};
use crate::gpu::trace::{Clock, HostSpan, Trace};
use crate::gpu::{Cost, Dispatch, Engine, Program};
use crate::graph::{Place, Way};
use crate::kernels::ceilings;
use crate::train::Trainer;

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Steps that count, each once with a trace and once without; medians count.
    pub steps: usize,
    /// Steps before, which compile pipelines and fill caches; one more where meta steps come before all steps but the first.
    pub warm_up: usize,
    /// The clock; `None` tries the device's ([`clock::choose`]).
    pub clock: Option<Clock>,
    /// How the ceilings, and without timestamps the dispatches, are timed.
    pub sampling: Sampling,
}

impl Default for Options {
    fn default() -> Self {
        Self { steps: 5, warm_up: 2, clock: None, sampling: Sampling { repeats: 5, seconds: 0.02 } }
    }
}

/// One dispatch of a program.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// The program that it belongs to.
    pub program: String,
    /// Its place there.
    pub index: usize,
    /// The graph's node, or what else recorded it.
    pub node: String,
    /// The layer of the node.
    pub layer: String,
    /// On which way through the graph the node stands.
    #[serde(serialize_with = "in_words")]
    pub way: Way,
    /// The kernel.
    pub kernel: String,
    /// Its variant.
    pub variant: String,
    /// Tensors by the names of their bindings.
    pub shape: String,
    /// Workgroups.
    pub grid: [u32; 3],
    /// Floating-point operations of one run.
    pub operations: u64,
    /// Bytes that one run must move.
    pub bytes: u64,
    /// Runs in a training step, on average.
    pub runs: f64,
    /// Median seconds of one run.
    pub seconds: f64,
    /// (slowest − fastest) / median of the runs.
    pub spread: f64,
}

impl Measured {
    /// What is known of a dispatch before it is timed.
    pub fn new(program: &str, index: usize, dispatch: &Dispatch) -> Self {
        let Place { way, layer } = Place::of(&dispatch.label);
        let tensors = dispatch.shader.bindings.iter().zip(&dispatch.tensors);
        let shape: Vec<String> = tensors.map(|(b, t)| format!("{} {}", b.name, t.shape)).collect();
        Self {
            program: program.to_owned(),
            index,
            node: dispatch.label.clone(),
            layer: layer.to_owned(),
            way,
            kernel: dispatch.shader.name.to_owned(),
            variant: dispatch.shader.variants[dispatch.variant].name.to_owned(),
            shape: shape.join(", "),
            grid: dispatch.groups,
            operations: dispatch.cost.operations,
            bytes: dispatch.cost.bytes,
            runs: 1.0,
            seconds: 0.0,
            spread: 0.0,
        }
    }

    /// Its least work.
    pub fn cost(&self) -> Cost {
        Cost { operations: self.operations, bytes: self.bytes }
    }

    /// Seconds of a training step that it takes.
    pub fn in_step(&self) -> f64 {
        self.seconds * self.runs
    }
}

fn in_words<S: serde::Serializer>(way: &Way, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(way)
}

/// Seconds of one activity of the host in a step.
#[derive(Clone, Debug, Serialize)]
pub struct Host {
    /// `sample`, `feed`, `record`, `submit`, `wait`.
    pub what: &'static str,
    /// Median of the traced steps.
    pub seconds: f64,
}

/// Where the time of a training step goes.
#[derive(Clone, Debug, Serialize)]
pub struct Profile {
    /// The adapter in words.
    pub adapter: String,
    /// What told the time.
    pub clock: String,
    /// Whether dispatches have timestamps; if not, each was replayed alone.
    pub timestamps: bool,
    /// The adapter's ceilings.
    pub roofline: Roofline,
    /// Traced steps.
    pub steps: usize,
    /// Median seconds of a step that is not traced, until the device has done it.
    pub step_seconds: f64,
    /// The same with a trace.
    pub traced_seconds: f64,
    /// How much longer a step takes because it is traced, as a share of its time: median of pairs of steps one after the other.
    pub overhead: f64,
    /// The least and the largest of the pairs.
    pub overheads: [f64; 2],
    /// Seconds of all dispatches of a step.
    pub device_seconds: f64,
    /// `device_seconds` over `traced_seconds`; without timestamps, over `step_seconds`.
    pub coverage: f64,
    /// Seconds of a step whose dispatches all reach the ceiling that binds them.
    pub floor_seconds: f64,
    /// Bytes of all tensors on the device.
    pub memory: u64,
    /// What the host did.
    pub host: Vec<Host>,
    /// In the order of the programs.
    pub dispatches: Vec<Measured>,
}

impl Profile {
    /// Whether the overhead stands out of what changes from one pair of steps to the next.
    pub fn overhead_is_clear(&self) -> bool {
        self.steps > 1 && self.overheads[1] - self.overheads[0] <= self.overhead.abs()
    }
}

/// How much longer traced steps take than the plain ones beside them: the median, the least and the largest share.
fn overhead(plain: &[f64], traced: &[f64]) -> (f64, [f64; 2]) {
    let mut pairs: Vec<f64> = plain.iter().zip(traced).map(|(plain, traced)| traced / plain - 1.0).collect();
    pairs.sort_by(f64::total_cmp);
    let (middle, last) = (pairs.len() / 2, pairs.len() - 1);
    let median = if pairs.len() % 2 == 1 { pairs[middle] } else { (pairs[middle - 1] + pairs[middle]) / 2.0 };
    (median, [pairs[0], pairs[last]])
}

/// A program that ran, and the seconds of its dispatches' runs.
struct Seen {
    program: Program,
    plays: usize,
    samples: Vec<Vec<f64>>,
}

/// Profiles training steps; also gives the last trace.
///
/// # Errors
/// When there is nothing to measure, a clock is asked for that the device lacks, or the device fails.
pub fn profile(engine: &Engine, trainer: &mut Trainer, options: &Options) -> Result<(Profile, Trace)> {
    if options.steps == 0 {
        return Err(Error::Config("profile: at least one step must be measured".into()));
    }
    let (clock, sentence) = match options.clock {
        Some(clock) => (clock, format!("{} (asked for)", clock::describe(clock))),
        None => clock::choose(engine)?,
    };
    let before = ceilings::ceilings(engine, options.sampling)?;
    // The first step has no meta step before it.
    let meta = usize::from(trainer.recordings().len() > 1);
    trainer.run_unreported((options.warm_up + meta) as u64)?;
    let (mut plain, mut traced) = (Vec::new(), Vec::new());
    let mut seen: Vec<Seen> = Vec::new();
    let mut activities = Activities::default();
    let mut last = Trace::default();
    for i in 0..options.steps {
        // Each comes first in turn, so that a machine that grows slower slows both.
        for is_traced in [i % 2 == 1, i % 2 == 0] {
            if !is_traced {
                let start = Instant::now();
                trainer.run_unreported(1)?;
                plain.push(start.elapsed().as_secs_f64());
                continue;
            }
            engine.start_trace(clock)?;
            trainer.run_unreported(1)?;
            last = engine.finish_trace()?;
            traced.push(last.seconds);
            collect(&last, &mut seen);
            activities.push(&last.host);
        }
    }
    let (overhead, overheads) = overhead(&plain, &traced);
    if clock == Clock::Host {
        for seen in &mut seen {
            seen.samples = alone(engine, options.sampling, &seen.program)?;
        }
    }
    let after = ceilings::ceilings(engine, options.sampling)?;
    let roofline = Roofline::of(&before.or_faster(after));
    let dispatches = medians(&mut seen, options.steps);
    let sum = |of: &dyn Fn(&Measured) -> f64| dispatches.iter().map(of).sum::<f64>();
    let (step_seconds, device_seconds) = (median_spread(&mut plain).0, sum(&Measured::in_step));
    let traced_seconds = median_spread(&mut traced).0;
    let coverage = device_seconds / if clock == Clock::Host { step_seconds } else { traced_seconds };
    let profile = Profile {
        adapter: engine.describe(),
        clock: sentence,
        timestamps: clock != Clock::Host,
        roofline,
        steps: options.steps,
        step_seconds,
        traced_seconds,
        overhead,
        overheads,
        device_seconds,
        coverage,
        floor_seconds: sum(&|d| roofline.floor(d.cost()) * d.runs),
        memory: engine.allocated(),
        host: activities.medians(),
        dispatches,
    };
    Ok((profile, last))
}

/// The dispatches of `steps` training steps, timed by timestamps: those of [`profile()`] without ceilings and without what the
/// host does.
///
/// # Errors
/// When the device does not offer the clock, or fails.
pub fn dispatches(engine: &Engine, trainer: &mut Trainer, clock: Clock, steps: usize) -> Result<Vec<Measured>> {
    let mut seen = Vec::new();
    for _ in 0..steps {
        engine.start_trace(clock)?;
        trainer.run_unreported(1)?;
        collect(&engine.finish_trace()?, &mut seen);
    }
    Ok(medians(&mut seen, steps))
}

/// Seconds of each activity of the host in each step.
#[derive(Default)]
struct Activities {
    steps: usize,
    seconds: Vec<(&'static str, Vec<f64>)>,
}

impl Activities {
    /// A step's spans.
    fn push(&mut self, spans: &[HostSpan]) {
        for span in spans {
            let place = self.seconds.iter().position(|(what, _)| *what == span.what).unwrap_or_else(|| {
                self.seconds.push((span.what, Vec::new()));
                self.seconds.len() - 1
            });
            let samples = &mut self.seconds[place].1;
            samples.resize(self.steps + 1, 0.0);
            samples[self.steps] += span.seconds;
        }
        self.steps += 1;
    }

    /// Of all steps; one that lacks an activity counts as 0.
    fn medians(self) -> Vec<Host> {
        let median = |(what, mut samples): (&'static str, Vec<f64>)| {
            samples.resize(self.steps, 0.0);
            Host { what, seconds: median_spread(&mut samples).0 }
        };
        self.seconds.into_iter().map(median).collect()
    }
}

fn collect(trace: &Trace, seen: &mut Vec<Seen>) {
    for play in &trace.plays {
        let place = seen.iter().position(|s| s.program.is(&play.program)).unwrap_or_else(|| {
            let samples = vec![Vec::new(); play.program.len()];
            seen.push(Seen { program: play.program.clone(), plays: 0, samples });
            seen.len() - 1
        });
        seen[place].plays += 1;
        let count = play.program.len();
        for (i, [start, end]) in play.spans.iter().enumerate() {
            seen[place].samples[i % count].push(end - start);
        }
    }
}

/// Each dispatch replayed alone: sums are a little above a whole program's time.
fn alone(engine: &Engine, sampling: Sampling, program: &Program) -> Result<Vec<Vec<f64>>> {
    let mut all = Vec::with_capacity(program.len());
    for i in 0..program.len() {
        let part = i..i + 1;
        let times = timing::warmed(engine, sampling, program, part.clone())?;
        let run = |_| Ok(timing::run(engine, program, part.clone(), times)? / times as f64);
        all.push((0..sampling.repeats).map(run).collect::<Result<_>>()?);
    }
    Ok(all)
}

fn medians(seen: &mut [Seen], steps: usize) -> Vec<Measured> {
    let mut measured = Vec::new();
    for Seen { program, plays, samples } in seen {
        for (i, (dispatch, samples)) in program.dispatches().iter().zip(samples).enumerate() {
            let (seconds, spread) = if samples.is_empty() { (0.0, 0.0) } else { median_spread(samples) };
            let runs = *plays as f64 / steps as f64;
            measured.push(Measured { runs, seconds, spread, ..Measured::new(program.name(), i, dispatch) });
        }
    }
    measured
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_compared_with_their_neighbours() {
        // A machine that slows down halfway: each pair still tells a quarter.
        assert_eq!(overhead(&[4.0, 4.0, 8.0], &[5.0, 5.0, 10.0]), (0.25, [0.25, 0.25]));
        assert_eq!(overhead(&[4.0, 4.0], &[3.0, 6.0]), (0.125, [-0.25, 0.5]));
        assert_eq!(overhead(&[4.0, 4.0, 4.0], &[6.0, 3.0, 4.0]), (0.0, [-0.25, 0.5]));
    }
}
