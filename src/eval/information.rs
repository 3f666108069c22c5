//! Mutual information of classes and clusters, normalised and adjusted for chance, in nats and float64.
//! Sources: Vinh, Epps and Bailey, "Information theoretic measures for clusterings comparison", JMLR 2010; the edge
//! cases are scikit-learn's.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::Contingency;

impl Contingency {
    /// Mutual information; 0 when there is one class or one cluster.
    pub fn mutual_information(&self) -> f64 {
        if self.classes.len() == 1 || self.clusters.len() == 1 {
            return 0.0;
        }
        let n = self.samples as f64;
        let terms = self.pairs.iter().map(|&(y, k, count)| {
            let c = count as f64;
            let outer = self.classes[y] as f64 * self.clusters[k] as f64;
            let term = c / n * (c.ln() - n.ln()) + c / n * (2.0 * n.ln() - outer.ln());
            if term.abs() < f64::EPSILON { 0.0 } else { term }
        });
        terms.sum::<f64>().max(0.0)
    }

    /// Normalised mutual information with the arithmetic mean of both entropies, in [0, 1].
    pub fn nmi(&self) -> f64 {
        if self.classes.len() == 1 && self.clusters.len() == 1 {
            return 1.0;
        }
        let shared = self.mutual_information();
        if shared == 0.0 { 0.0 } else { shared / self.mean_entropy() }
    }

    /// Adjusted mutual information with the arithmetic mean of both entropies, at most 1: 0 on average for labels at
    /// random.
    pub fn ami(&self) -> f64 {
        match (self.classes.len(), self.clusters.len()) {
            (1, 1) => return 1.0,
            (1, _) | (_, 1) => return 0.0,
            _ => {}
        }
        let expected = self.expected_mutual_information();
        // Off zero with its sign, so that 0/0 of a perfect match is 1.
        let off_zero = |v: f64| if v < 0.0 { v.min(-f64::EPSILON) } else { v.max(f64::EPSILON) };
        off_zero(self.mutual_information() - expected) / off_zero(self.mean_entropy() - expected)
    }

    fn mean_entropy(&self) -> f64 {
        let n = self.samples as f64;
        let entropy =
            |sizes: &[u64]| -> f64 { -sizes.iter().map(|&s| s as f64 / n * ((s as f64).ln() - n.ln())).sum::<f64>() };
        0.5 * (entropy(&self.classes) + entropy(&self.clusters))
    }

    /// Expected mutual information of two labellings with these sizes, all permutations being equally likely
    /// (Vinh et al., eq. 24a). Sizes that occur often, as those of equal clusters, are worked out once.
    fn expected_mutual_information(&self) -> f64 {
        let n = self.samples;
        let factorial = log_factorials(n);
        let f = |k: u64| factorial[k as usize];
        let times = |sizes: &[u64]| -> Vec<(u64, f64)> {
            let mut times: BTreeMap<u64, f64> = BTreeMap::new();
            sizes.iter().for_each(|&s| *times.entry(s).or_default() += 1.0);
            times.into_iter().collect()
        };
        let (classes, clusters) = (times(&self.classes), times(&self.clusters));
        let of_class = |&(a, a_times): &(u64, f64)| -> f64 {
            let mut sum = 0.0;
            for &(b, b_times) in &clusters {
                let fixed = f(a) + f(b) + f(n - a) + f(n - b) - f(n);
                let logs = (n as f64).ln() - (a as f64).ln() - (b as f64).ln();
                let first = (a + b).saturating_sub(n).max(1);
                let part = (first..=a.min(b)).map(|both| {
                    let chance = (fixed - f(both) - f(a - both) - f(b - both) - f(n + both - a - b)).exp();
                    both as f64 / n as f64 * (logs + (both as f64).ln()) * chance
                });
                sum += b_times * part.sum::<f64>();
            }
            a_times * sum
        };
        // Collected before the sum, so that its order does not depend on the threads.
        classes.par_iter().map(of_class).collect::<Vec<f64>>().into_iter().sum()
    }
}

/// `ln k!` for k from 0 to n, summed with compensation (Neumaier, 1974): a plain sum loses digits at a million terms.
fn log_factorials(n: u64) -> Vec<f64> {
    let (mut sum, mut lost) = (0.0f64, 0.0f64);
    let mut out = Vec::with_capacity(n as usize + 1);
    out.push(0.0);
    for k in 1..=n {
        let term = (k as f64).ln();
        let next = sum + term;
        lost += if sum >= term { (sum - next) + term } else { (term - next) + sum };
        sum = next;
        out.push(sum + lost);
    }
    out
}
