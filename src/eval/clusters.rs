//! Clusters against true classes: contingency table, purity, Hungarian accuracy, adjusted Rand index, sizes.
//! Definitions are scikit-learn's (`sklearn.metrics.cluster`), their edge cases included; all sums are in float64.

use std::collections::BTreeMap;

use pathfinding::kuhn_munkres::kuhn_munkres;
use pathfinding::matrix::Matrix;

use crate::base::{Error, Result};

/// Most entries of the dense table that [`Contingency::hungarian_accuracy`] solves: 3,000 clusters by 1,000 classes ten
/// times over.
const MOST_PAIRS: usize = 30_000_000;

/// How many samples of each class lie in each cluster. Classes and clusters without a sample do not appear, as in
/// scikit-learn; labels are numbered anew in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contingency {
    /// Samples of each class.
    pub classes: Vec<u64>,
    /// Samples of each cluster.
    pub clusters: Vec<u64>,
    /// `(class, cluster, samples)` of every pair that occurs, ascending.
    pub pairs: Vec<(usize, usize, u64)>,
    /// N.
    pub samples: u64,
}

impl Contingency {
    /// Counts the pairs of a true class and a found cluster.
    ///
    /// # Errors
    /// When there is no sample, or the two lists differ in length.
    pub fn new(truth: &[u32], found: &[u32]) -> Result<Self> {
        if truth.len() != found.len() || truth.is_empty() {
            return Err(Error::Data(format!(
                "clusters are judged by one true label for each found one: {} true and {} found labels",
                truth.len(),
                found.len()
            )));
        }
        let (class_of, cluster_of) = (numbering(truth), numbering(found));
        let mut counts: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        let (mut classes, mut clusters) = (vec![0; class_of.len()], vec![0; cluster_of.len()]);
        for (y, k) in truth.iter().zip(found) {
            let (y, k) = (class_of[y], cluster_of[k]);
            classes[y] += 1;
            clusters[k] += 1;
            *counts.entry((y, k)).or_default() += 1;
        }
        let pairs = counts.into_iter().map(|((y, k), n)| (y, k, n)).collect();
        Ok(Self { classes, clusters, pairs, samples: truth.len() as u64 })
    }

    /// Part of the samples that belong to the commonest class of their cluster, in (0, 1]. Several clusters may stand
    /// for one class.
    pub fn purity(&self) -> f64 {
        let mut most = vec![0; self.clusters.len()];
        for &(_, k, n) in &self.pairs {
            most[k] = n.max(most[k]);
        }
        most.iter().sum::<u64>() as f64 / self.samples as f64
    }

    /// Part of the samples that are right when each class is given at most one cluster and each cluster at most one
    /// class, as favourably as possible, in (0, 1]: the linear sum assignment (Kuhn, 1955). Samples of clusters that
    /// are left without a class count as wrong.
    ///
    /// # Errors
    /// When the table of all classes by all clusters is too large to solve.
    pub fn hungarian_accuracy(&self) -> Result<f64> {
        let (classes, clusters) = (self.classes.len(), self.clusters.len());
        if classes.checked_mul(clusters).is_none_or(|n| n > MOST_PAIRS) {
            return Err(Error::Data(format!(
                "the best match of {classes} classes and {clusters} clusters has {} entries, at most {MOST_PAIRS} are \
                 solved; purity, NMI, AMI and ARI have no such bound",
                classes as u128 * clusters as u128
            )));
        }
        // The solver wants at least as many columns as rows.
        let wide = clusters >= classes;
        let (rows, columns) = if wide { (classes, clusters) } else { (clusters, classes) };
        let mut table = Matrix::new(rows, columns, 0i64);
        for &(y, k, n) in &self.pairs {
            table[if wide { (y, k) } else { (k, y) }] = n as i64;
        }
        Ok(kuhn_munkres(&table).0 as f64 / self.samples as f64)
    }

    /// Adjusted Rand index (Hubert and Arabie, 1985), in [−0.5, 1]: 0 on average for labels at random.
    pub fn adjusted_rand_index(&self) -> f64 {
        let squares = |counts: &mut dyn Iterator<Item = u64>| counts.map(|n| u128::from(n) * u128::from(n)).sum();
        let both: u128 = squares(&mut self.pairs.iter().map(|p| p.2));
        let (by_class, by_cluster): (u128, u128) =
            (squares(&mut self.classes.iter().copied()), squares(&mut self.clusters.iter().copied()));
        let n = u128::from(self.samples);
        // Ordered pairs of samples: together in both, in the class alone, in the cluster alone, in neither.
        let (tp, only_class, only_cluster) = (both - n, by_class - both, by_cluster - both);
        if only_class == 0 && only_cluster == 0 {
            return 1.0;
        }
        let tn = n * n + both - by_class - by_cluster;
        let [tp, tn, a, b] = [tp, tn, only_class, only_cluster].map(|v| v as f64);
        2.0 * (tp * tn - a * b) / ((tp + a) * (a + tn) + (tp + b) * (b + tn))
    }
}

/// The place of each label among the distinct ones, ascending.
fn numbering(labels: &[u32]) -> BTreeMap<u32, usize> {
    let mut places: BTreeMap<u32, usize> = labels.iter().map(|&l| (l, 0)).collect();
    places.values_mut().enumerate().for_each(|(i, place)| *place = i);
    places
}

/// How evenly clusters are filled.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Sizes {
    /// Number of clusters, the empty ones included.
    pub clusters: usize,
    /// Samples of the smallest.
    pub min: u64,
    /// Samples of the largest.
    pub max: u64,
    /// Clusters without a sample.
    pub empty: usize,
    /// Entropy of the cluster of a random sample, in nats.
    pub entropy: f64,
    /// `exp(entropy)`: the number of equally filled clusters with that entropy, from 1 to the number of clusters.
    pub perplexity: f64,
}

impl Sizes {
    /// The sizes of `clusters` clusters from each sample's cluster.
    ///
    /// # Errors
    /// When there is no sample, or a label is no cluster.
    pub fn new(found: &[u32], clusters: usize) -> Result<Self> {
        let mut counts = vec![0u64; clusters];
        for (i, &k) in found.iter().enumerate() {
            *counts.get_mut(k as usize).ok_or_else(|| {
                Error::Data(format!("sample {i} is in cluster {k}, and there are {clusters} (numbered from 0)"))
            })? += 1;
        }
        let (Some(&min), Some(&max), false) = (counts.iter().min(), counts.iter().max(), found.is_empty()) else {
            return Err(Error::Data(format!("sizes of {clusters} clusters of {} samples", found.len())));
        };
        let total = found.len() as f64;
        let entropy = counts.iter().filter(|&&n| n > 0).map(|&n| -(n as f64 / total) * (n as f64 / total).ln());
        // Not below 0, where −1·ln 1 would give a negative zero.
        let entropy = entropy.sum::<f64>().max(0.0);
        let empty = counts.iter().filter(|&&n| n == 0).count();
        Ok(Self { clusters, min, max, empty, entropy, perplexity: entropy.exp() })
    }
}
