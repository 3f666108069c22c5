//! When labels are made: `t_j = L·(j / (n − 1))^power` images after the start, with L a little more than the whole run
//! (main.py and cifar.py of the official code: powers 2 and 1, n = `nopts`).

/// Places of the label updates over a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Updates {
    count: u64,
    power: f64,
    /// Images until the last update.
    length: f64,
}

impl Updates {
    /// `count` updates over a run that sees `images` images in all, `samples` an epoch. As published, the last lies
    /// after the end, so that a run's last labels are learned from.
    pub fn new(count: u64, power: f64, images: u64, samples: usize) -> Self {
        // Told E epochs, cifar.py stretches the places over E + 1.0001 and trains E; main.py over E + 1.01 and trains E + 1.
        let past = if power == 1.0 { 1.0001 } else { 0.01 };
        Self { count, power, length: images as f64 + past * samples as f64 }
    }

    /// Images seen before update `number` (from 0) is due; `None` when there is no such update.
    pub fn after(&self, number: u64) -> Option<f64> {
        let share = if self.count == 1 { 0.0 } else { number as f64 / (self.count - 1) as f64 };
        (number < self.count).then(|| self.length * share.powf(self.power))
    }

    /// Whether update `number` is due once `seen` images were seen.
    pub fn due(&self, number: u64, seen: u64) -> bool {
        self.after(number).is_some_and(|after| seen as f64 >= after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Epochs of main.py with E = 400 and 100 updates, and of cifar.py with 400.
    #[test]
    fn places_are_the_published_ones() {
        let n = 1_281_167;
        let updates = Updates::new(100, 2.0, 401 * n as u64, n);
        let epoch = |j| updates.after(j).expect("an update") / n as f64;
        for (j, expected) in [
            (0, 0.0),
            (1, 0.041),
            (2, 0.164),
            (3, 0.368),
            (4, 0.655),
            (9, 3.314),
            (96, 377.1),
            (97, 385.0),
            (98, 393.0),
        ] {
            assert!((epoch(j) - expected).abs() < 0.06, "{j}: {}", epoch(j));
        }
        assert!((epoch(99) - 401.01).abs() < 1e-9);
        assert_eq!(updates.after(100), None);
        let even = Updates::new(400, 1.0, 400 * 50_000, 50_000);
        assert!((even.after(1).expect("an update") / 50_000.0 - 1.005).abs() < 1e-3);
        assert!(even.due(1, 50_300) && !even.due(1, 50_200));
        assert!(Updates::new(1, 2.0, 10, 5).due(0, 0));
    }
}
