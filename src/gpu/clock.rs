//! What a timing counts: the clock on the wall, and on software adapters the processor time of this process.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::time::Instant;

use super::Engine;

/// A moment to count from.
#[derive(Clone, Debug)]
pub struct Moment {
    wall: Instant,
    threads: Option<Threads>,
}

/// Nanoseconds of processor time by thread.
type Threads = HashMap<OsString, u64>;

/// Seconds of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Elapsed {
    /// By the clock on the wall.
    pub wall: f64,
    /// Processor time of all threads, added up: on software adapters, whose kernels run on this process's threads.
    pub processor: Option<f64>,
}

impl Moment {
    /// Now.
    pub fn now(engine: &Engine) -> Self {
        let software = engine.is_software();
        Self { threads: software.then(threads).flatten(), wall: Instant::now() }
    }

    /// Since then, for each of `runs` runs.
    pub fn elapsed(self, engine: &Engine, runs: usize) -> Elapsed {
        let now = Self::now(engine);
        let share = 1.0 / runs.max(1) as f64;
        let processor = self.threads.zip(now.threads).map(|(before, after)| share * seconds_between(&before, &after));
        Elapsed { wall: share * (now.wall - self.wall).as_secs_f64(), processor }
    }

    /// Seconds of one run since then, by what counts on this device: a software adapter's processor time, over all cores as if
    /// none was ever idle, else the clock on the wall.
    pub fn seconds(self, engine: &Engine) -> f64 {
        let elapsed = self.elapsed(engine, 1);
        let cores = || std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
        elapsed.processor.map_or(elapsed.wall, |time| time / cores())
    }
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
