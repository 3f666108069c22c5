//! Which clock to trust: a device may offer timestamps that say nothing, so they are tried on work whose times are known.

use crate::base::{DType, Result, Shape};
use crate::gpu::trace::Clock;
use crate::gpu::{Engine, Program, Recording, readback, timing};
use crate::kernels::fma_loop;

/// Work of the dispatches that the clock is tried on: one is 16 times as long as the others.
const WORK: [u32; 5] = [1, 1, 16, 1, 1];
/// The long one.
const LONG: usize = 2;
/// Rounds of multiply-adds for each unit of work: at first, and at most.
const ROUNDS: [u32; 2] = [32, 1 << 17];
/// Seconds that all of it takes at least: a GPU leaves some microseconds between two dispatches, which must not count.
const ENOUGH: f64 = 2e-3;
/// Tries, of which more than half must be right: other work on the machine may spoil one.
const TRIES: usize = 5;

/// The finest clock that this device offers and that passes a trial, with a sentence on what was taken and why.
///
/// # Errors
/// When the device fails.
pub fn choose(engine: &Engine) -> Result<(Clock, String)> {
    let mut failed = Vec::new();
    let trial = trial(engine)?;
    for clock in [Clock::InsidePasses, Clock::PassBoundaries] {
        if !clock.is_offered(engine.features()) {
            continue;
        }
        let Some(found) = wrong(engine, &trial, clock)? else {
            return Ok((clock, format!("{}{}", failed.concat(), describe(clock))));
        };
        failed.push(format!("{} put known work into the wrong place ({found}); ", describe(clock)));
    }
    if failed.is_empty() {
        failed.push("this device has no timestamps: ".into());
    }
    Ok((Clock::Host, format!("{}{}", failed.concat(), describe(Clock::Host))))
}

/// What a clock measures, in words.
pub fn describe(clock: Clock) -> &'static str {
    match clock {
        Clock::InsidePasses => "timestamps between the dispatches of one pass",
        Clock::PassBoundaries => "timestamps at the boundaries of a pass for each dispatch",
        Clock::Host => "each dispatch replayed alone, timed by the host (submission and waiting included)",
    }
}

/// Work that takes long enough on this device for what it needs to begin a dispatch not to count.
fn trial(engine: &Engine) -> Result<Program> {
    let out = engine.tensor("lanes", Shape::new(&[65_536]), DType::F32)?;
    let mut rounds = ROUNDS[0];
    loop {
        let mut recording = Recording::new();
        recording.label("clock trial");
        for work in WORK {
            fma_loop::record(&mut recording, work * rounds, 0.5, 0.25, &out)?;
        }
        let program = Program::named(engine, &recording, "clock trial")?;
        let whole = 0..program.len();
        // The first run compiles the pipeline.
        timing::run(engine, &program, whole.clone(), 1)?;
        if timing::run(engine, &program, whole, 1)? >= ENOUGH || rounds >= ROUNDS[1] {
            return Ok(program);
        }
        rounds *= 4;
    }
}

/// What a clock made of the work, if most of it was wrong.
fn wrong(engine: &Engine, trial: &Program, clock: Clock) -> Result<Option<String>> {
    let (mut right, mut last) = (0, String::new());
    for _ in 0..TRIES {
        engine.start_trace(clock)?;
        trial.run(engine, 1)?;
        readback::wait(engine)?;
        let trace = engine.finish_trace()?;
        let seconds: Vec<f64> = trace.plays[0].spans.iter().map(|[start, end]| end - start).collect();
        if is_plausible(&seconds, LONG, trace.seconds) {
            right += 1;
        } else {
            let times: Vec<String> = seconds.iter().map(|s| format!("{:.3}", 1e3 * s)).collect();
            last = format!("{} of {:.3} ms for work of {WORK:?}", times.join(" + "), 1e3 * trace.seconds);
        }
    }
    Ok((2 * right <= TRIES).then_some(last))
}

/// Whether the times of dispatches fit what is known: the long one took most of it, and all together no longer than the
/// host waited.
fn is_plausible(seconds: &[f64], long: usize, waited: f64) -> bool {
    let total: f64 = seconds.iter().sum();
    let others = seconds.iter().enumerate().filter(|(i, _)| *i != long).map(|(_, s)| s);
    seconds.iter().all(|s| *s >= 0.0)
        && 2.0 * seconds[long] > total
        && others.sum::<f64>() > 0.0
        && total <= 1.05 * waited
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_that_say_nothing_are_refused() {
        let plausible = |seconds: [f64; 3], waited| is_plausible(&seconds, 1, waited);
        assert!(plausible([0.1, 1.6, 0.1], 1.9));
        assert!(!plausible([0.0; 3], 1.9), "zeros");
        assert!(!plausible([0.0, 1.6, 0.0], 1.9), "short dispatches without time");
        assert!(!plausible([1.6, 0.1, 0.1], 1.9), "off by one dispatch");
        assert!(!plausible([0.6, 0.6, 0.6], 1.9), "shared out evenly");
        assert!(!plausible([1.0, 16.0, 1.0], 1.9), "another unit");
        assert!(!plausible([-0.1, 1.6, 0.1], 1.9));
    }
}
