//! Floor 4: k-means on the host: Lloyd's iteration (1982) from starts by k-means++ (Arthur and Vassilvitskii, 2007).

use rayon::prelude::*;

use crate::base::philox::{Sequence, Stream};
use crate::base::{Error, Result};

/// How long the search goes on.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Starts, of which the best end counts; at least 1.
    pub restarts: usize,
    /// Most iterations of one start, at least 1; it ends before when no label changes.
    pub iterations: usize,
}

impl Default for Settings {
    /// As scikit-learn's `KMeans`.
    fn default() -> Self {
        Self { restarts: 10, iterations: 300 }
    }
}

/// Rows in clusters.
#[derive(Clone, Debug, PartialEq)]
pub struct Clustering {
    /// Cluster of each row.
    pub labels: Vec<u32>,
    /// Sum of the squared distances of the rows to the mean of their cluster.
    pub inertia: f64,
}

/// Sorts `rows`, of `columns` values each, into `clusters`. Ties go to the lower number, and random numbers follow from
/// `seed` and `problem` alone: the same input gives the same labels, on any number of cores. A cluster that runs empty
/// is begun anew at the row farthest from its own; only where there are fewer different rows than clusters do some stay
/// empty.
///
/// # Errors
/// When there are fewer rows than clusters, nothing to sort, or a value is not finite.
pub fn kmeans(
    rows: &[f32],
    columns: usize,
    clusters: usize,
    settings: Settings,
    seed: u64,
    problem: u32,
) -> Result<Clustering> {
    if columns == 0 || !rows.len().is_multiple_of(columns) || clusters == 0 {
        return Err(Error::Shape(format!("{} values in rows of {columns} for {clusters} clusters", rows.len())));
    }
    let count = rows.len() / columns;
    if count < clusters {
        return Err(Error::Data(format!("{clusters} clusters for {count} rows; there must be a row for each")));
    }
    if let Some(place) = rows.iter().position(|v| !v.is_finite()) {
        let (row, column) = (place / columns, place % columns);
        return Err(Error::Data(format!("value {column} of row {row} is {}, and cannot be clustered", rows[place])));
    }
    let rows = Rows { values: rows, columns };
    let run = |restart: usize| {
        let mut draw = Sequence::new(seed, Stream::Clusters, u64::from(problem) << 32 | restart as u64);
        rows.lloyd(rows.start(clusters, &mut draw), settings.iterations.max(1))
    };
    let ends: Vec<Clustering> = (0..settings.restarts.max(1)).into_par_iter().map(run).collect();
    let best = ends.into_iter().reduce(|best, end| if end.inertia < best.inertia { end } else { best });
    best.ok_or_else(|| Error::Shape("no start".into()))
}

#[derive(Clone, Copy)]
struct Rows<'a> {
    values: &'a [f32],
    columns: usize,
}

/// Values summed side by side.
const LANES: usize = 8;

/// The squared distance. Its order of summation is fixed.
fn distance(row: &[f32], centre: &[f64]) -> f64 {
    let square = |x: f32, c: f64| (f64::from(x) - c) * (f64::from(x) - c);
    let (rows, centres) = (row.chunks_exact(LANES), centre.chunks_exact(LANES));
    let rest: f64 = rows.remainder().iter().zip(centres.remainder()).map(|(&x, &c)| square(x, c)).sum();
    let mut sums = [0.0; LANES];
    for (x, c) in rows.zip(centres) {
        for lane in 0..LANES {
            sums[lane] += square(x[lane], c[lane]);
        }
    }
    sums.iter().sum::<f64>() + rest
}

impl<'a> Rows<'a> {
    fn iter(self) -> impl Iterator<Item = &'a [f32]> {
        self.values.chunks_exact(self.columns)
    }

    fn centre(self, row: usize) -> Vec<f64> {
        self.values[row * self.columns..][..self.columns].iter().map(|&v| f64::from(v)).collect()
    }

    /// k-means++: the first centre at any row, each next one at a row with a chance by its squared distance to the
    /// nearest so far. Shape: `(clusters, columns)`.
    fn start(self, clusters: usize, draw: &mut Sequence) -> Vec<f64> {
        let count = self.values.len() / self.columns;
        let mut chosen = draw.below(count as u32) as usize;
        let mut nearest = vec![f64::INFINITY; count];
        let mut centres = self.centre(chosen);
        while centres.len() < clusters * self.columns {
            let last = &centres[centres.len() - self.columns..];
            for (least, row) in nearest.iter_mut().zip(self.iter()) {
                *least = least.min(distance(row, last));
            }
            let total: f64 = nearest.iter().sum();
            let mut left = f64::from(draw.unit()) * total;
            // Where all rows are at a centre already, any row will do.
            chosen = if total > 0.0 { usize::MAX } else { draw.below(count as u32) as usize };
            for (i, &d) in nearest.iter().enumerate().filter(|_| total > 0.0) {
                if d > 0.0 {
                    chosen = i;
                    left -= d;
                    if left < 0.0 {
                        break;
                    }
                }
            }
            centres.extend(self.centre(chosen));
        }
        centres
    }

    /// The nearest centre of each row, and its squared distance.
    fn assign(self, centres: &[f64]) -> Vec<(u32, f64)> {
        let nearest = |row| {
            let mut best = (0, f64::INFINITY);
            for (k, centre) in centres.chunks_exact(self.columns).enumerate() {
                let d = distance(row, centre);
                if d < best.1 {
                    best = (k as u32, d);
                }
            }
            best
        };
        self.iter().map(nearest).collect()
    }

    /// Means of the clusters, and how many rows each has; those of empty ones are zero.
    fn means(self, labels: &[u32], clusters: usize) -> (Vec<f64>, Vec<usize>) {
        let (mut sums, mut counts) = (vec![0.0; clusters * self.columns], vec![0; clusters]);
        for (row, &k) in self.iter().zip(labels) {
            counts[k as usize] += 1;
            let sum = &mut sums[k as usize * self.columns..][..self.columns];
            sum.iter_mut().zip(row).for_each(|(s, &x)| *s += f64::from(x));
        }
        for (sum, &n) in sums.chunks_exact_mut(self.columns).zip(&counts).filter(|(_, n)| **n > 0) {
            sum.iter_mut().for_each(|s| *s /= n as f64);
        }
        (sums, counts)
    }

    /// Lloyd's iteration from given centres, until no label changes or `most` times.
    fn lloyd(self, mut centres: Vec<f64>, most: usize) -> Clustering {
        let clusters = centres.len() / self.columns;
        let mut labels = Vec::new();
        for _ in 0..most {
            let nearest = self.assign(&centres);
            let now: Vec<u32> = nearest.iter().map(|(k, _)| *k).collect();
            if now == labels {
                break;
            }
            labels = now;
            let (means, counts) = self.means(&labels, clusters);
            centres = means;
            self.fill(&mut centres, &counts, &nearest);
        }
        let (means, _) = self.means(&labels, clusters);
        let own = |(row, &k): (&[f32], &u32)| distance(row, &means[k as usize * self.columns..][..self.columns]);
        let inertia = self.iter().zip(&labels).map(own).sum();
        Clustering { labels, inertia }
    }

    /// Puts the centres of empty clusters at the rows farthest from their own, one each, as long as there are rows that
    /// stand off it.
    fn fill(self, centres: &mut [f64], counts: &[usize], nearest: &[(u32, f64)]) {
        let empty: Vec<usize> = (0..counts.len()).filter(|&k| counts[k] == 0).collect();
        if empty.is_empty() {
            return;
        }
        let mut far: Vec<usize> = (0..nearest.len()).filter(|&row| nearest[row].1 > 0.0).collect();
        far.sort_by(|&a, &b| nearest[b].1.total_cmp(&nearest[a].1).then(a.cmp(&b)));
        for (k, row) in empty.into_iter().zip(far) {
            centres[k * self.columns..][..self.columns].copy_from_slice(&self.centre(row));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONCE: Settings = Settings { restarts: 1, iterations: 300 };

    fn noise(count: usize, seed: u64) -> Vec<f32> {
        let mut draw = Sequence::new(seed, Stream::Test, 0);
        (0..count).map(|_| draw.normal()).collect()
    }

    /// The least inertia over all ways to sort the rows.
    fn least(rows: Rows<'_>, clusters: usize) -> f64 {
        let count = rows.values.len() / rows.columns;
        let ways = (clusters as u32).pow(count as u32);
        let inertia = |way: u32| {
            let labels: Vec<u32> =
                (0..count as u32).map(|i| way / (clusters as u32).pow(i) % clusters as u32).collect();
            let (means, _) = rows.means(&labels, clusters);
            let own = |(row, &k): (&[f32], &u32)| -> f64 {
                let mean = &means[k as usize * rows.columns..][..rows.columns];
                row.iter().zip(mean).map(|(&x, m)| (f64::from(x) - m).powi(2)).sum()
            };
            rows.iter().zip(&labels).map(own).sum::<f64>()
        };
        (0..ways).map(inertia).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn tiny_problems_are_solved_to_the_optimum() {
        for seed in 0..12 {
            let clusters = 2 + seed as usize % 2;
            let columns = 1 + seed as usize % 3;
            let values = noise(8 * columns, seed);
            let expected = least(Rows { values: &values, columns }, clusters);
            let found = kmeans(&values, columns, clusters, Settings::default(), seed, 0).unwrap();
            assert!((found.inertia - expected).abs() < 1e-9 * expected, "{seed}: {} and {expected}", found.inertia);
        }
    }

    #[test]
    fn known_clusters_are_found() {
        let (clusters, each, columns) = (7, 40, 19);
        let centres = noise(clusters * columns, 1);
        let mut values = noise(clusters * each * columns, 2);
        for (i, value) in values.iter_mut().enumerate() {
            let (row, column) = (i / columns, i % columns);
            *value = 0.1 * *value + 5.0 * centres[row % clusters * columns + column];
        }
        let found = kmeans(&values, columns, clusters, Settings::default(), 3, 0).unwrap();
        for i in 0..values.len() / columns {
            assert_eq!(found.labels[i], found.labels[i % clusters], "row {i}");
        }
        let mut used = found.labels[..clusters].to_vec();
        used.sort_unstable();
        assert_eq!(used, (0..clusters as u32).collect::<Vec<_>>());
        // (N − K)·D values with a variance of 0.01, within four deviations.
        let free = (clusters * (each - 1) * columns) as f64;
        assert!((found.inertia / 0.01 - free).abs() < 4.0 * (2.0 * free).sqrt(), "{}", found.inertia);
    }

    #[test]
    fn the_same_again_on_any_number_of_cores() {
        let values = noise(300 * 5, 4);
        let run = |problem| kmeans(&values, 5, 20, Settings::default(), 9, problem).unwrap();
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(alone.install(|| run(0)), run(0));
        assert_ne!(run(0).labels, run(1).labels, "another start");
        let few = kmeans(&values, 5, 20, ONCE, 9, 0).unwrap();
        assert!(few.inertia >= run(0).inertia);
    }

    #[test]
    fn starts_prefer_rows_far_from_each_other() {
        // One row far from a hundred others: by chance alone it would be a centre in one start of fifty.
        let mut values = vec![0.0f32; 101];
        values.iter_mut().enumerate().for_each(|(i, v)| *v = (i % 10) as f32 * 0.01);
        values[57] = 1e3;
        let rows = Rows { values: &values, columns: 1 };
        let found = (0..20).filter(|&i| rows.start(2, &mut Sequence::new(i, Stream::Test, 0)).contains(&1e3)).count();
        assert_eq!(found, 20);
    }

    #[test]
    fn empty_clusters_begin_anew() {
        let values = [0.0f32, 1.0, 10.0, 11.0, 30.0];
        let rows = Rows { values: &values, columns: 1 };
        // No row is nearest to the third and the fourth centre.
        let found = rows.lloyd(vec![0.5, 20.0, 1e6, 2e6], 300);
        let mut used = found.labels.clone();
        used.sort_unstable();
        used.dedup();
        assert_eq!(used, [0, 1, 2, 3], "{found:?}");
        // Two different rows are at most two clusters, and the search ends.
        let twins = [3.0f32, 3.0, 3.0, 5.0, 5.0];
        let found = kmeans(&twins, 1, 4, Settings::default(), 0, 0).unwrap();
        assert_eq!(found.inertia, 0.0);
        assert!(found.labels[0] == found.labels[2] && found.labels[0] != found.labels[3]);
    }

    #[test]
    fn each_iteration_lowers_the_inertia() {
        let values = noise(200 * 3, 5);
        let rows = Rows { values: &values, columns: 3 };
        let start = rows.start(9, &mut Sequence::new(1, Stream::Test, 0));
        let inertia: Vec<f64> = (1..30).map(|most| rows.lloyd(start.clone(), most).inertia).collect();
        assert!(inertia.windows(2).all(|w| w[1] <= w[0] * (1.0 + 1e-12)), "{inertia:?}");
        assert!(inertia[28] < 0.9 * inertia[0] && inertia[27] == inertia[28], "{inertia:?}");
    }

    #[test]
    fn what_cannot_be_sorted_is_refused() {
        let refused = |values: &[f32], columns, clusters| {
            kmeans(values, columns, clusters, Settings::default(), 0, 0).unwrap_err().to_string()
        };
        assert!(refused(&[1.0, 2.0], 1, 3).contains("3 clusters for 2 rows"));
        assert!(refused(&[1.0, f32::NAN], 1, 1).contains("value 0 of row 1 is NaN"));
        assert!(refused(&[1.0, 2.0, 3.0], 2, 1).contains("3 values in rows of 2"));
        refused(&[], 1, 1);
    }
}
