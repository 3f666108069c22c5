//! Labels with exact cluster sizes at the lowest cost: the last step after Sinkhorn-Knopp, whose largest entries alone
//! give only about equal clusters.
//!
//! The problem is a transport problem with whole numbers: choose labels `l` that maximise `Σ_i S[i, l_i]` where cluster
//! k gets `⌊N·b_k⌋` or `⌈N·b_k⌉` samples, whichever pattern is best. The method is successive shortest augmenting paths
//! (Ahuja, Magnanti, Orlin, "Network flows", 1993, section 9.7) on a graph with one node a cluster and one sink:
//!
//! - It starts from `l_i = argmax_k (S[i, k] + v_k)` with Sinkhorn's prices `v`. That is optimal for its own cluster
//!   sizes (complementary slackness), so only the surplus has to move, a few per cent of the samples.
//! - An edge a → b costs the least loss `S[i, a] − S[i, b]` of a sample in a. Each surplus sample goes to the nearest
//!   cluster that lacks one, along a shortest path by reduced costs; then the prices of the visited clusters move by
//!   their distances. That keeps the labels optimal for the sizes reached so far, hence optimal at the end.
//!
//! With every score given, the result is the optimum. Given the L best clusters of each sample alone, a missing score
//! counts as the most that it can be (the price-adjusted score of the worst candidate); a result that uses none of
//! these is the optimum as well. In any case the bound of weak duality, computed afresh from the final prices, says how
//! far the result can be from the optimum.
//!
//! Cost: each augmentation visits as many clusters as are nearer than the nearest lack, K steps for each. Memory: 16
//! bytes for each score of the clusters visited, at most `16·N·L + 32·K²`.

mod paths;

use crate::base::{Error, Result};
use paths::Search;

/// Scores of samples for clusters; larger is better. For SeLa: log-probabilities (or logits; a constant a row is
/// without effect).
#[derive(Clone, Copy, Debug)]
pub enum Scores<'a> {
    /// All of them, `(N, K)` row-major.
    All(&'a [f32]),
    /// `(N, L)` row-major: the L clusters of each sample with the largest `score + price`, in any order.
    Best {
        /// L.
        count: usize,
        /// Which clusters.
        clusters: &'a [u32],
        /// Their scores, without prices.
        scores: &'a [f32],
    },
}

/// What is to be balanced.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// N.
    pub samples: usize,
    /// Scores.
    pub scores: Scores<'a>,
    /// Mass of each cluster (K), above 0, with sum 1.
    pub masses: &'a [f64],
    /// Price of each cluster (K): the label before balancing is the cluster with the largest `score + price`. After
    /// Sinkhorn-Knopp on `P^λ` with row scalings `r`: `ln(r_k) / λ`. Zero is allowed.
    pub prices: &'a [f64],
}

/// Balanced labels, and what they cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Balanced {
    /// Cluster of each sample (N).
    pub labels: Vec<u32>,
    /// Samples of each cluster (K): `⌊N·b_k⌋` or `⌈N·b_k⌉`.
    pub counts: Vec<usize>,
    /// Samples whose label is not the one before balancing.
    pub moved: usize,
    /// `−Σ_i S[i, l_i] / N` before balancing.
    pub cost_before: f64,
    /// The same after it.
    pub cost: f64,
    /// The mean over the samples of how much `score + price`, at the prices given, the balancing gave up: 0 and above.
    pub added: f64,
    /// No balanced labels at all cost less than `cost − gap`: 0 up to rounding for an optimum.
    pub gap: f64,
    /// Samples whose label was not among their candidates. `cost`, `added` and `gap` count their scores as the most
    /// that they can be; [`Balanced::settle`] takes the true ones.
    pub unsure: Vec<u32>,
    assumed: Vec<f64>,
    /// Prices at the end (K).
    pub prices: Vec<f64>,
}

impl Balanced {
    /// Replaces the assumed scores of the unsure samples by true ones, in the order of [`Balanced::unsure`].
    ///
    /// # Errors
    /// [`Error::Shape`] when there are not as many.
    pub fn settle(mut self, scores: &[f32]) -> Result<Self> {
        if scores.len() != self.unsure.len() {
            return Err(Error::Shape(format!("{} scores for {} unsure samples", scores.len(), self.unsure.len())));
        }
        let lost: f64 = self.assumed.iter().zip(scores).map(|(a, s)| a - f64::from(*s)).sum();
        let mean = lost / self.labels.len() as f64;
        self.cost += mean;
        self.added += mean;
        self.gap += mean;
        (self.unsure, self.assumed) = (Vec::new(), Vec::new());
        Ok(self)
    }
}

/// Fewest and most samples of each cluster: floor and ceiling of its mass times N. A product within 1e-6 of a whole
/// number is that number (masses carry rounding errors).
///
/// # Errors
/// [`Error::Data`] when the masses are not finite numbers from 0, or no sizes between the two sum to N.
pub fn sizes(masses: &[f64], samples: usize) -> Result<Vec<(usize, usize)>> {
    if let Some(k) = masses.iter().position(|m| !m.is_finite() || *m < 0.0) {
        return Err(Error::Data(format!("the mass of cluster {k} is {}", masses[k])));
    }
    let size = |mass: &f64| {
        let exact = mass * samples as f64;
        let near = exact.round();
        if (exact - near).abs() <= 1e-6 {
            (near as usize, near as usize)
        } else {
            (exact.floor() as usize, exact.ceil() as usize)
        }
    };
    let sizes: Vec<(usize, usize)> = masses.iter().map(size).collect();
    let (least, most) = sizes.iter().fold((0usize, 0usize), |(l, m), s| (l.saturating_add(s.0), m.saturating_add(s.1)));
    if !(least..=most).contains(&samples) {
        return Err(Error::Data(format!(
            "masses with the sum {} share out between {least} and {most} samples, and there are {samples}",
            masses.iter().sum::<f64>()
        )));
    }
    Ok(sizes)
}

/// Balances the labels.
///
/// # Errors
/// [`Error::Shape`] when lengths do not fit or a candidate is no cluster or stands twice, [`Error::Diverged`] for a
/// score or price that is not finite (naming it), [`Error::Data`] as [`sizes`].
pub fn balance(problem: &Problem<'_>) -> Result<Balanced> {
    let table = Table::new(problem)?;
    let sizes = sizes(problem.masses, problem.samples)?;
    let n = problem.samples as f64;
    let first: Vec<u32> = (0..problem.samples).map(|i| table.best(i, problem.prices, 0.0).0).collect();
    let mut search = Search::new(&table, &sizes, first.clone(), problem.prices.to_vec());
    search.run();
    let (labels, prices) = (search.labels, search.prices);

    let mut counts = vec![0; table.clusters];
    let (mut before, mut after, mut at_prices) = (0.0, 0.0, 0.0);
    let (mut unsure, mut assumed) = (Vec::new(), Vec::new());
    for (i, (&old, &new)) in first.iter().zip(&labels).enumerate() {
        counts[new as usize] += 1;
        let (s, t) = (table.score(i, old), table.score(i, new));
        before += s;
        after += t;
        at_prices += s + problem.prices[old as usize] - t - problem.prices[new as usize];
        if table.candidate(i, new).is_none() {
            unsure.push(i as u32);
            assumed.push(t);
        }
    }
    if let Some(k) = (0..counts.len()).find(|&k| !(sizes[k].0..=sizes[k].1).contains(&counts[k])) {
        return Err(Error::Shape(format!("balance: cluster {k} has {} samples, not {:?}", counts[k], sizes[k])));
    }
    let moved = first.iter().zip(&labels).filter(|(a, b)| a != b).count();
    let gap = bound(&table, &sizes, &prices) - after;
    Ok(Balanced {
        labels,
        counts,
        moved,
        cost_before: -before / n,
        cost: -after / n,
        added: at_prices / n,
        gap: gap / n,
        unsure,
        assumed,
        prices,
    })
}

/// No balanced labels have a larger sum of scores: `Σ_i max_k (S[i, k] + v_k) − min_n Σ_k n_k v_k` over the sizes
/// `least_k ≤ n_k ≤ most_k` with sum N, for any prices v (weak duality).
fn bound(table: &Table<'_>, sizes: &[(usize, usize)], prices: &[f64]) -> f64 {
    let samples = table.samples;
    let rise = prices.iter().zip(table.given).map(|(v, g)| v - g).fold(f64::NEG_INFINITY, f64::max);
    let best: f64 = (0..samples).map(|i| table.best(i, prices, rise).1).sum();
    let mut left = samples - sizes.iter().map(|s| s.0).sum::<usize>();
    let mut least: f64 = sizes.iter().zip(prices).map(|(s, v)| s.0 as f64 * v).sum();
    let mut spare: Vec<usize> = (0..sizes.len()).filter(|&k| sizes[k].1 > sizes[k].0).collect();
    spare.sort_by(|&a, &b| prices[a].total_cmp(&prices[b]));
    for k in spare {
        let taken = left.min(sizes[k].1 - sizes[k].0);
        least += taken as f64 * prices[k];
        left -= taken;
    }
    best - least
}

/// The scores, checked, with what a missing one can be at most.
struct Table<'a> {
    samples: usize,
    clusters: usize,
    /// L, or K with all scores.
    count: usize,
    chosen: Option<&'a [u32]>,
    scores: &'a [f32],
    /// A missing score of sample i and cluster k is at most `ceiling[i] − given[k]`.
    ceiling: Vec<f64>,
    given: &'a [f64],
}

impl<'a> Table<'a> {
    fn new(problem: &Problem<'a>) -> Result<Self> {
        let (samples, clusters, given) = (problem.samples, problem.masses.len(), problem.prices);
        if samples == 0 || clusters == 0 || given.len() != clusters {
            return Err(Error::Shape(format!(
                "balance: {samples} samples, {clusters} masses and {} prices; at least one sample and cluster, and a \
                 price for each cluster",
                given.len()
            )));
        }
        let (count, chosen, scores) = match problem.scores {
            Scores::All(scores) => (clusters, None, scores),
            Scores::Best { count, clusters: chosen, scores } => {
                if count == 0 || count > clusters || chosen.len() != samples * count {
                    return Err(Error::Shape(format!(
                        "balance: {} candidates for {samples} samples with {count} each of {clusters} clusters",
                        chosen.len()
                    )));
                }
                (count, Some(chosen), scores)
            }
        };
        if scores.len() != samples * count {
            return Err(Error::Shape(format!("balance: {} scores for {samples} x {count}", scores.len())));
        }
        if let Some(at) = scores.iter().position(|s| !s.is_finite()) {
            return Err(Error::Diverged(format!(
                "balance: score {} of sample {} is {}",
                at % count,
                at / count,
                scores[at]
            )));
        }
        if let Some(k) = given.iter().position(|v| !v.is_finite()) {
            return Err(Error::Diverged(format!("balance: the price of cluster {k} is {}", given[k])));
        }
        let mut ceiling = Vec::new();
        // With all clusters among the candidates nothing is missing.
        if let Some(chosen) = chosen {
            let mut seen = vec![u32::MAX; clusters];
            for (i, (row, scores)) in chosen.chunks_exact(count).zip(scores.chunks_exact(count)).enumerate() {
                let mut least = f64::INFINITY;
                for (&k, &s) in row.iter().zip(scores) {
                    match seen.get_mut(k as usize) {
                        Some(last) if *last != i as u32 => *last = i as u32,
                        _ => {
                            return Err(Error::Shape(format!(
                                "balance: candidate {k} of sample {i} stands twice or is none of {clusters} clusters"
                            )));
                        }
                    }
                    least = least.min(f64::from(s) + given[k as usize]);
                }
                ceiling.push(least);
            }
            if count == clusters {
                ceiling.clear();
            }
        }
        Ok(Self { samples, clusters, count, chosen, scores, ceiling, given })
    }

    /// The candidates of sample i with their scores.
    fn row(&self, i: usize) -> impl Iterator<Item = (u32, f64)> {
        let range = i * self.count..(i + 1) * self.count;
        let chosen = self.chosen.map(|c| &c[range.clone()]);
        self.scores[range].iter().enumerate().map(move |(j, &s)| (chosen.map_or(j as u32, |c| c[j]), f64::from(s)))
    }

    /// The score of cluster k, when it is a candidate of sample i.
    fn candidate(&self, i: usize, k: u32) -> Option<f64> {
        match self.chosen {
            None => Some(f64::from(self.scores[i * self.count + k as usize])),
            Some(_) => self.row(i).find(|(c, _)| *c == k).map(|(_, s)| s),
        }
    }

    /// The score, or the most that it can be.
    fn score(&self, i: usize, k: u32) -> f64 {
        self.candidate(i, k).unwrap_or_else(|| self.ceiling[i] - self.given[k as usize])
    }

    /// Whether some scores are missing.
    fn is_partial(&self) -> bool {
        !self.ceiling.is_empty()
    }

    /// The largest `score + price` of a sample and its cluster; the lowest number among equals. `rise` is the most that
    /// a price stands above the one given: a missing score is then worth at most `ceiling + rise` (of a candidate that
    /// is no more than it is worth itself). At the prices given it never wins.
    fn best(&self, i: usize, prices: &[f64], rise: f64) -> (u32, f64) {
        let mut best = (0, f64::NEG_INFINITY);
        for (k, s) in self.row(i) {
            let value = s + prices[k as usize];
            if value > best.1 || (value == best.1 && k < best.0) {
                best = (k, value);
            }
        }
        let missing = self.ceiling.get(i).map_or(f64::NEG_INFINITY, |c| c + rise);
        (best.0, best.1.max(missing))
    }
}
