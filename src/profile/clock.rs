//! Which clock to trust: a device may offer timestamps that say nothing, so they are tried on work whose times are known.

use crate::base::{DType, Result, Shape};
use crate::gpu::trace::Clock;
use crate::gpu::{Engine, Program, Recording, readback};
use crate::kernels::fma_loop;

/// Rounds of the dispatches that the clock is tried on: one is 16 times as long as the others.
const ROUNDS: [u32; 5] = [32, 32, 512, 32, 32];
/// The long one.
const LONG: usize = 2;
/// Tries, of which more than half must be right: other work on the machine may spoil one.
const TRIES: usize = 5;

/// The finest clock that this device offers and that passes a trial, with a sentence on what was taken and why.
///
/// # Errors
/// When the device fails.
pub fn choose(engine: &Engine) -> Result<(Clock, String)> {
    let mut failed = Vec::new();
    for clock in [Clock::InsidePasses, Clock::PassBoundaries] {
        if !clock.is_offered(engine.features()) {
            continue;
        }
        if is_right(engine, clock)? {
            return Ok((clock, format!("{}{}", failed.concat(), describe(clock))));
        }
        failed.push(format!("{} put known work into the wrong place; ", describe(clock)));
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

fn is_right(engine: &Engine, clock: Clock) -> Result<bool> {
    let out = engine.tensor("lanes", Shape::new(&[65_536]), DType::F32)?;
    let mut recording = Recording::new();
    recording.label("clock trial");
    for rounds in ROUNDS {
        fma_loop::record(&mut recording, rounds, 0.5, 0.25, &out)?;
    }
    let program = Program::named(engine, &recording, "clock trial")?;
    program.run(engine, 1)?;
    readback::wait(engine)?;
    let mut right = 0;
    for _ in 0..TRIES {
        engine.start_trace(clock)?;
        program.run(engine, 1)?;
        readback::wait(engine)?;
        let trace = engine.finish_trace()?;
        let seconds: Vec<f64> = trace.plays[0].spans.iter().map(|[start, end]| end - start).collect();
        right += usize::from(is_plausible(&seconds, LONG, trace.seconds));
    }
    Ok(2 * right > TRIES)
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
