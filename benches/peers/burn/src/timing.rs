//! Warm-up, repeats, and the rows of the report.

use std::time::Instant;

use burn::prelude::*;
use serde_json::{Value, json};

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Timed repeats, of which the median counts.
    pub repeats: usize,
    /// A repeat runs the work as often as fits in this many seconds, at least once.
    pub seconds: f64,
}

/// One line of the report.
#[derive(Clone, Debug)]
pub struct Row {
    /// What ran, as `relabel bench` names it.
    pub name: &'static str,
    /// Its sizes, as `relabel bench` writes them.
    pub shape: String,
    /// Median over the repeats, of one run of the work.
    pub milliseconds: f64,
    /// Seconds of the first run: compiling and tuning.
    pub warm_up: f64,
    /// Operations of one run.
    pub flops: f64,
    /// Images of one run; none for a kernel.
    pub images: Option<usize>,
    /// Whether the answers were right.
    pub checked: bool,
}

impl Row {
    /// Billions of operations a second.
    pub fn gflops(&self) -> f64 {
        self.flops / self.milliseconds / 1e6
    }

    /// Images a second; none for a kernel.
    pub fn images_per_s(&self) -> Option<f64> {
        self.images.map(|n| n as f64 / self.milliseconds * 1e3)
    }

    /// As it stands in the file.
    pub fn json(&self) -> Value {
        json!({
            "name": self.name,
            "shape": self.shape,
            "milliseconds": self.milliseconds,
            "gflops": self.gflops(),
            "images_per_s": self.images_per_s(),
            "warm_up_s": self.warm_up,
            "checked": self.checked,
        })
    }
}

/// Median time of one run of `work`, in milliseconds, the seconds of its first run, and whether the timed runs were
/// over when the clock stopped.
///
/// `work` returns a small tensor that depends on all that it did. One repeat queues several runs and stops the clock
/// when the device is idle and the last run's tensor has been read: burn queues lazily, and a sync alone was once seen
/// to return before the work had run.
pub fn time<const D: usize>(plan: Plan, device: &Device, mut work: impl FnMut() -> Tensor<D>) -> (f64, f64, bool) {
    let settle = |device: &Device| device.sync().expect("the device answers");
    let start = Instant::now();
    let _ = work().into_data();
    settle(device);
    let warm_up = start.elapsed().as_secs_f64();
    // Tuning may go on in the second run; the third shows how many fit.
    let _ = work().into_data();
    settle(device);
    let start = Instant::now();
    let _ = work().into_data();
    let once = start.elapsed().as_secs_f64();
    let runs = ((plan.seconds / once) as usize).clamp(1, 50);

    let mut over = true;
    let mut times: Vec<f64> = (0..plan.repeats)
        .map(|_| {
            let start = Instant::now();
            let mut results: Vec<_> = (0..runs).map(|_| work()).collect();
            settle(device);
            let _ = results.pop().map(Tensor::into_data);
            let timed = start.elapsed().as_secs_f64();
            let start = Instant::now();
            for result in results {
                let _ = result.into_data();
            }
            settle(device);
            // Reading the small results of runs that are over is nothing beside running them.
            over &= start.elapsed().as_secs_f64() < 0.2 * timed + 0.01 * runs as f64;
            timed / runs as f64 * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], warm_up, over)
}
