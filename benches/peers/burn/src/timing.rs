//! Warm-up, repeats, and the rows of the report.

use std::time::Instant;

use burn::prelude::*;
use serde_json::{Value, json};

use crate::check::values;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Timed repeats, of which the median counts.
    pub repeats: usize,
    /// A repeat runs the work as often as fits in this many seconds, at least once.
    pub seconds: f64,
    /// Compare the answers too, which takes longer than the timing.
    pub check: bool,
}

/// One line of the report.
#[derive(Clone, Debug)]
pub struct Row {
    /// What ran, as `relabel bench` names it.
    pub name: String,
    /// Its sizes, as `relabel bench` writes them.
    pub shape: String,
    /// Median over the repeats, of one run of the work.
    pub milliseconds: f64,
    /// Seconds of the first run: compiling and tuning.
    pub warm_up: f64,
    /// Operations of one run; none for a step.
    pub flops: Option<f64>,
    /// Images of one run; none for a kernel.
    pub images: Option<usize>,
    /// Whether the timed runs had run when the clock stopped and, where looked at, the answers were right.
    pub checked: bool,
}

impl Row {
    /// Billions of operations a second; none for a step.
    pub fn gflops(&self) -> Option<f64> {
        self.flops.map(|flops| flops / self.milliseconds / 1e6)
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
/// `work` returns a small tensor that depends on all that it did. One repeat queues as many runs as fit in the plan's
/// time and stops the clock when the values of the last run's tensor are here and the device says it is idle.
pub fn time<const D: usize>(plan: Plan, device: &Device, mut work: impl FnMut() -> Tensor<D>) -> (f64, f64, bool) {
    let mut seconds = |runs: usize| {
        let start = Instant::now();
        let mut results: Vec<_> = (0..runs).map(|_| work()).collect();
        // The read must be of the values: `into_data` alone returns at once, whatever is still to be run.
        let last = results.pop().map(values);
        device.sync().expect("the device answers");
        let timed = start.elapsed().as_secs_f64();

        let start = Instant::now();
        let finite = results.into_iter().map(values).chain(last).flatten().all(f32::is_finite);
        device.sync().expect("the device answers");
        // Reading the small results of runs that are over is nothing beside running them.
        (timed, finite && start.elapsed().as_secs_f64() < 0.2 * timed + 0.002 * runs as f64)
    };
    let (warm_up, _) = seconds(1);
    // Tuning may go on in the second run; the third shows how many fit, unless one is too long already.
    let second = seconds(1).0;
    let runs = if second > plan.seconds { 1 } else { ((plan.seconds / seconds(1).0) as usize).clamp(1, 100) };
    let samples: Vec<_> = (0..plan.repeats).map(|_| seconds(runs)).collect();
    let mut times: Vec<f64> = samples.iter().map(|(timed, _)| timed / runs as f64 * 1e3).collect();
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], warm_up, samples.iter().all(|(_, over)| *over))
}
