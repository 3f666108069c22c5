//! Sinkhorn-Knopp in float64 on the host, in the log domain, and logits to try it on.

use relabel::base::Array;

/// What float64 says.
pub struct Answer {
    pub labels: Vec<u32>,
    /// Scaled score of the label above the next best.
    pub margin: Vec<f64>,
    pub transport_cost: f64,
    /// Log softmax of the logits.
    pub log_p: Array,
}

fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let m = values.clone().fold(f64::MIN, f64::max);
    m + values.map(|v| (v - m).exp()).sum::<f64>().ln()
}

/// Plain alternating updates (no momentum) until the clusters' masses are within `tolerance` of their shares.
pub fn solve(logits: &Array, power: f64, shares: &[f64], tolerance: f64) -> Answer {
    let [n, k] = [logits.sizes()[0], logits.sizes()[1]];
    let mut log_p = logits.clone();
    for row in log_p.data.chunks_exact_mut(k) {
        let total = log_sum_exp(row.iter().copied());
        row.iter_mut().for_each(|v| *v -= total);
    }
    let mut v = vec![0.0; k];
    let mut shares_of_rows = vec![0.0; n * k];
    let mut error = f64::INFINITY;
    for _ in 0..100_000 {
        let mut mass = vec![0.0; k];
        for (i, row) in log_p.data.chunks_exact(k).enumerate() {
            let total = log_sum_exp(row.iter().zip(&v).map(|(s, v)| power * s + v));
            for j in 0..k {
                shares_of_rows[i * k + j] = (power * row[j] + v[j] - total).exp();
                mass[j] += shares_of_rows[i * k + j] / n as f64;
            }
        }
        error = (0..k).map(|j| (mass[j] / shares[j] - 1.0).abs()).fold(0.0, f64::max);
        if error <= tolerance {
            break;
        }
        for j in 0..k {
            v[j] += (shares[j] / mass[j].max(1e-300)).ln();
        }
    }
    assert!(error <= tolerance, "float64 did not converge: {error}");
    let mut answer = Answer { labels: Vec::new(), margin: Vec::new(), transport_cost: 0.0, log_p };
    for (i, row) in answer.log_p.data.chunks_exact(k).enumerate() {
        let t: Vec<f64> = row.iter().zip(&v).map(|(s, v)| power * s + v).collect();
        let label = (1..k).fold(0, |best, j| if t[j] > t[best] { j } else { best });
        let next = (0..k).filter(|j| *j != label).map(|j| t[j]).fold(f64::MIN, f64::max);
        answer.labels.push(label as u32);
        answer.margin.push(t[label] - next);
        answer.transport_cost -= (0..k).map(|j| shares_of_rows[i * k + j] * row[j]).sum::<f64>() / n as f64;
    }
    answer
}

/// Logits as a half-trained network gives them: normal, and most samples drawn to a few clusters.
pub fn clustered(n: usize, k: usize, sigma: f64, seed: u64) -> Array {
    let mut logits = Array::normal(&[n, k], sigma, seed);
    for i in 0..n {
        // Cluster c of the first half is wanted 1 / (1 + c) as often as the first.
        let at = (0..k.div_ceil(2)).find(|c| (i * 7 + c) % (c + 2) == 0).unwrap_or(0);
        logits.data[i * k + at] += 4.0 * sigma;
    }
    logits.map(|v| f64::from(v as f32))
}

/// Uneven shares: the last cluster is wanted about three times as often as the first.
pub fn uneven(k: usize) -> Vec<f64> {
    let weights: Vec<f64> = (0..k).map(|j| 1.0 + 2.0 * j as f64 / k as f64).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}
