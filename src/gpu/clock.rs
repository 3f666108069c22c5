//! What a timing counts: processor time on software adapters, else the clock on the wall.

use std::fs;
use std::time::Instant;

use super::Engine;

/// A moment to count from.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    wall: Instant,
    processor: Option<f64>,
}

impl Moment {
    /// Now. The kernels of a software adapter run on this process' threads: what else the machine does is left out by
    /// counting their time, over all cores, as if none was ever idle.
    pub fn now(engine: &Engine) -> Self {
        let software = engine.info().device_type == wgpu::DeviceType::Cpu;
        Self { wall: Instant::now(), processor: software.then(processor_seconds).flatten() }
    }

    /// Seconds since then.
    pub fn seconds(self, engine: &Engine) -> f64 {
        match (self.processor, Self::now(engine).processor) {
            (Some(before), Some(after)) => {
                (after - before) / std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64)
            }
            _ => self.wall.elapsed().as_secs_f64(),
        }
    }
}

/// Processor time of all threads of this process, where the system tells it this way (Linux).
fn processor_seconds() -> Option<f64> {
    let mut nanoseconds = 0.0;
    for thread in fs::read_dir("/proc/self/task").ok()? {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        nanoseconds += text.split(' ').next()?.parse::<f64>().ok()?;
    }
    Some(1e-9 * nanoseconds)
}
