//! What a sample counts: the clock on the wall, and on software adapters the processor time of this process.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::time::Instant;

use super::Options;
use crate::base::Result;
use crate::gpu::Engine;
use crate::gpu::timing::median_spread;

/// A moment to count from.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    wall: Instant,
    threads: Option<Threads>,
}

/// Nanoseconds of processor time by thread.
type Threads = HashMap<OsString, u64>;

/// Seconds of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Elapsed {
    /// By the clock on the wall.
    pub wall: f64,
    /// Processor time of all threads, added up: on software adapters, whose kernels run on this process's threads.
    pub processor: Option<f64>,
}

impl Moment {
    /// Now.
    pub fn now(engine: &Engine) -> Self {
        let software = engine.info().device_type == wgpu::DeviceType::Cpu;
        Self { threads: software.then(threads).flatten(), wall: Instant::now() }
    }

    /// Since then, for each of `runs` runs.
    pub fn elapsed(self, engine: &Engine, runs: usize) -> Elapsed {
        let now = Self::now(engine);
        let share = 1.0 / runs.max(1) as f64;
        let processor = self.threads.zip(now.threads).map(|(before, after)| share * seconds_between(&before, &after));
        Elapsed { wall: share * (now.wall - self.wall).as_secs_f64(), processor }
    }
}

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
    run(1)?;
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

/// Processor time of each thread of this process, where the system tells it this way (Linux).
fn threads() -> Option<Threads> {
    let mut threads = Threads::new();
    for thread in fs::read_dir("/proc/self/task").ok()? {
        let thread = thread.ok()?;
        // A thread may end in between.
        let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
        threads.insert(thread.file_name(), text.split(' ').next()?.parse().ok()?);
    }
    (!threads.is_empty()).then_some(threads)
}

/// What all threads took between two moments; a thread that has ended in between is left out.
fn seconds_between(before: &Threads, after: &Threads) -> f64 {
    let taken = after.iter().map(|(id, now)| now.saturating_sub(before.get(id).copied().unwrap_or(0)));
    1e-9 * taken.sum::<u64>() as f64
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

    #[test]
    fn threads_that_begin_count_and_threads_that_end_do_not() {
        let of =
            |times: &[(&str, u64)]| times.iter().map(|(id, time)| (OsString::from(id), *time)).collect::<Threads>();
        let (before, after) = (of(&[("1", 5), ("2", 90)]), of(&[("1", 8), ("3", 4)]));
        assert!((seconds_between(&before, &after) - 7e-9).abs() < 1e-18);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn processor_time_is_counted() {
        let before = threads().expect("Linux tells it");
        let start = Instant::now();
        let mut x = 1u64;
        // The scheduler counts at its ticks.
        while start.elapsed().as_millis() < 50 {
            x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
        assert!(seconds_between(&before, &threads().expect("Linux tells it")) > 0.0);
    }
}
