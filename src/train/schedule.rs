//! The learning rate at a step, in float64.

use super::config::{self, ScheduleKind};

/// The learning rate over a run of a known length.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    kind: ScheduleKind,
    rate: f64,
    /// Ascending numbers of steps.
    milestones: Vec<u64>,
    factor: f64,
    warmup: u64,
    total: u64,
}

impl Schedule {
    /// The schedule of a run of `total` steps with the base rate `rate`. Milestones up to 1 are fractions of `total`,
    /// rounded to a step.
    pub fn new(settings: &config::Schedule, rate: f64, total: u64) -> Self {
        let step = |m: &f64| if *m <= 1.0 { (m * total as f64).round() as u64 } else { m.round() as u64 };
        Self {
            kind: settings.kind,
            rate,
            milestones: settings.milestones.iter().map(step).collect(),
            factor: settings.factor,
            warmup: settings.warmup,
            total,
        }
    }

    /// The rate that step `step` (from 0) is taken with.
    ///
    /// Step: the base rate times `factor` for each milestone ≤ `step`, as PyTorch's `MultiStepLR` stepped after every
    /// iteration. Cosine: `rate · (1 + cos(π·t/T)) / 2` over the steps after the warm-up, as `CosineAnnealingLR` with
    /// `eta_min = 0`. Warm-up: times `(step + 1) / warmup`, so that its last step has the full rate.
    pub fn rate(&self, step: u64) -> f64 {
        let rate = match self.kind {
            ScheduleKind::Constant => self.rate,
            // One product after the other, so that the bits are PyTorch's.
            ScheduleKind::Step => {
                self.milestones.iter().filter(|&&m| m <= step).fold(self.rate, |rate, _| rate * self.factor)
            }
            ScheduleKind::Cosine => {
                let length = self.total.saturating_sub(self.warmup).max(1) as f64;
                let done = step.saturating_sub(self.warmup) as f64 / length;
                self.rate * 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
            }
        };
        if step < self.warmup { rate * (step + 1) as f64 / self.warmup as f64 } else { rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-15 + 1e-13 * b.abs(), "{a} {b}");
    }

    #[test]
    fn steps_drop_at_the_milestones() {
        let schedule = Schedule::new(&config::Schedule::default(), 0.1, 80_000);
        for (step, rate) in [(0, 0.1), (39_999, 0.1), (40_000, 0.01), (59_999, 0.01), (60_000, 0.001), (79_999, 0.001)]
        {
            close(schedule.rate(step), rate);
        }
        let settings = config::Schedule { milestones: vec![3.0, 5.0], factor: 0.5, ..config::Schedule::default() };
        let rates: Vec<f64> = (0..7).map(|s| Schedule::new(&settings, 8.0, 7).rate(s)).collect();
        assert_eq!(rates, [8.0, 8.0, 8.0, 4.0, 4.0, 2.0, 2.0]);
    }

    #[test]
    fn cosine_ends_at_zero() {
        let settings = config::Schedule { kind: ScheduleKind::Cosine, ..config::Schedule::default() };
        let schedule = Schedule::new(&settings, 0.4, 8);
        // (1 + cos(π/4))/2 = 0.8535533905932737
        for (step, rate) in [(0, 0.4), (2, 0.4 * 0.853_553_390_593_273_7), (4, 0.2), (8, 0.0), (9, 0.0)] {
            close(schedule.rate(step), rate);
        }
    }

    #[test]
    fn warmup_rises_in_equal_parts() {
        let settings = config::Schedule { kind: ScheduleKind::Constant, warmup: 4, ..config::Schedule::default() };
        let schedule = Schedule::new(&settings, 1.0, 100);
        let rates: Vec<f64> = (0..6).map(|s| schedule.rate(s)).collect();
        assert_eq!(rates, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
        let settings = config::Schedule { kind: ScheduleKind::Cosine, warmup: 2, ..config::Schedule::default() };
        let schedule = Schedule::new(&settings, 1.0, 6);
        // Steps 2 to 6 are a half cosine of length 4.
        for (step, rate) in [(0, 0.5), (1, 1.0), (2, 1.0), (4, 0.5), (6, 0.0)] {
            close(schedule.rate(step), rate);
        }
    }
}
