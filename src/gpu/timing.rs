//! Timing of whole recordings by the host's clock: replayed until a sample is long enough, the median counts.

use std::time::{Duration, Instant};

use super::{Engine, Program, Recording, readback};
use crate::base::Result;

/// How often and how long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    /// Timed samples; the median counts. At least 1.
    pub repeats: usize,
    /// Shortest sample in seconds: what is timed is replayed until it takes that long.
    pub seconds: f64,
}

/// After so long without work a GPU leaves its clock (an H200 after 1 to 2 s, for a fifth of it).
const IDLE: Duration = Duration::from_millis(300);
/// Work that brings it back (an H200: 0.2 s).
const AWAKE: Duration = Duration::from_millis(400);

/// Where the host has done something else since `since`, such as compiling, a GPU is kept busy by `run` until its clock is what it
/// is at work: what is timed before says nothing.
///
/// # Errors
/// What `run` says.
pub fn awake(engine: &Engine, since: Instant, mut run: impl FnMut() -> Result<()>) -> Result<()> {
    if engine.is_software() || since.elapsed() < IDLE {
        return Ok(());
    }
    let start = Instant::now();
    while start.elapsed() < AWAKE {
        run()?;
    }
    Ok(())
}

/// Median seconds of one run of a recording, and their spread.
///
/// # Errors
/// When the adapter fails.
pub fn timed(engine: &Engine, sampling: Sampling, recording: &Recording) -> Result<(f64, f64)> {
    let since = Instant::now();
    let program = Program::new(engine, recording)?;
    let all = 0..program.len();
    awake(engine, since, || run(engine, &program, all.clone(), 1).map(drop))?;
    let times = warmed(engine, sampling, &program, all.clone())?;
    let mut samples = Vec::with_capacity(sampling.repeats);
    for _ in 0..sampling.repeats {
        samples.push(run(engine, &program, all.clone(), times)? / times as f64);
    }
    Ok(median_spread(&mut samples))
}

/// How often a part of a program has to be replayed for one sample; its pipelines are warm afterwards.
///
/// # Errors
/// When the adapter fails.
pub fn warmed(engine: &Engine, sampling: Sampling, program: &Program, part: std::ops::Range<usize>) -> Result<usize> {
    // The first run compiles the pipeline; the second tells how often to replay.
    run(engine, program, part.clone(), 1)?;
    let once = run(engine, program, part, 1)?.max(1e-6);
    Ok((sampling.seconds / once).ceil().clamp(1.0, 1000.0) as usize)
}

/// Seconds of `times` replays of a part of a program, its submission and the wait for it included.
///
/// # Errors
/// When the adapter fails.
pub fn run(engine: &Engine, program: &Program, part: std::ops::Range<usize>, times: usize) -> Result<f64> {
    let start = Instant::now();
    program.run_part(engine, part, times)?;
    readback::wait(engine)?;
    Ok(start.elapsed().as_secs_f64())
}

/// The median (of an even number the mean of the two in the middle), and (slowest − fastest) / median. There must be a sample.
pub fn median_spread(samples: &mut [f64]) -> (f64, f64) {
    samples.sort_by(f64::total_cmp);
    let middle = [(samples.len() - 1) / 2, samples.len() / 2].map(|i| samples[i]);
    let median = 0.5 * (middle[0] + middle[1]);
    (median, (samples[samples.len() - 1] - samples[0]) / median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_number_of_samples_has_two_in_the_middle() {
        assert_eq!(median_spread(&mut [3.0, 1.0, 2.0]), (2.0, 1.0));
        assert_eq!(median_spread(&mut [4.0, 1.0, 3.0, 2.0]), (2.5, 1.2));
        assert_eq!(median_spread(&mut [5.0]), (5.0, 0.0));
    }
}
