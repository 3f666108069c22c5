//! Samples of what is timed: medians, spread, and the best one.

use std::time::Instant;

use super::Options;
use crate::base::Result;
use crate::gpu::Engine;
use crate::gpu::clock::{Elapsed, Moment};
use crate::gpu::timing::{awake, median_spread};

/// What the samples of one thing say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sampled {
    /// Medians.
    pub median: Elapsed,
    /// (slowest − fastest) / median of the wall's times.
    pub spread: f64,
    /// The least processor time, where that is known, else the fastest sample: other work on the machine only adds to it.
    pub best: f64,
}

impl Sampled {
    /// Of at least one sample.
    pub fn of(samples: &[Elapsed]) -> Self {
        let mut walls: Vec<f64> = samples.iter().map(|s| s.wall).collect();
        let (wall, spread) = median_spread(&mut walls);
        let processor: Option<Vec<f64>> = samples.iter().map(|s| s.processor.filter(|t| *t > 0.0)).collect();
        let least = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
        let best = least(processor.as_deref().unwrap_or(&walls));
        let processor = processor.map(|mut times| median_spread(&mut times).0);
        Self { median: Elapsed { wall, processor }, spread, best }
    }
}

/// Samples of `run`, which is told how often to do it: a first time that does not count, because pipelines are compiled,
/// then `options.repeats` samples of at least `options.sample` seconds.
pub(super) fn sampled(engine: &Engine, options: &Options, mut run: impl FnMut(usize) -> Result<()>) -> Result<Sampled> {
    let since = Instant::now();
    run(1)?;
    awake(engine, since, || run(1))?;
    let mut sample = |times: usize| -> Result<Elapsed> {
        let start = Moment::now(engine);
        run(times)?;
        Ok(start.elapsed(engine, times))
    };
    let times = replays(options, sample(1)?.wall);
    let samples = (0..options.repeats).map(|_| sample(times)).collect::<Result<Vec<_>>>()?;
    Ok(Sampled::of(&samples))
}

/// How often what takes `once` seconds is done for one sample.
pub(super) fn replays(options: &Options, once: f64) -> usize {
    (options.sample / once.max(1e-6)).ceil().clamp(1.0, 1000.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_sample_is_of_processor_time_where_it_is_known() {
        let of = |wall, processor| Elapsed { wall, processor };
        let known = Sampled::of(&[of(3.0, Some(2.5)), of(1.0, Some(2.0)), of(2.0, Some(3.0))]);
        assert_eq!(known, Sampled { median: of(2.0, Some(2.5)), spread: 1.0, best: 2.0 });
        let unknown = Sampled::of(&[of(3.0, None), of(1.0, Some(2.0)), of(2.0, None)]);
        assert_eq!(unknown, Sampled { median: of(2.0, None), spread: 1.0, best: 1.0 });
    }
}
