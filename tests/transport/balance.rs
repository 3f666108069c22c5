//! Balanced labels against every assignment of tiny problems and against the Hungarian method.

use std::time::Instant;

use relabel::base::Error;
use relabel::base::philox::{Sequence, Stream};
use relabel::transport::balance::{Problem, Scores, balance, sizes};

fn random(seed: u64) -> Sequence {
    Sequence::new(seed, Stream::Test, 7)
}

/// Scores of one of four kinds: normal, few values with many ties, all equal, peaked.
fn some_scores(kind: u64, count: usize, seed: u64) -> Vec<f32> {
    let mut s = random(seed);
    let value = |s: &mut Sequence| match kind % 4 {
        0 => s.normal(),
        1 => s.below(3) as f32,
        2 => 1.5,
        _ => 30.0 * s.normal(),
    };
    (0..count).map(|_| value(&mut s)).collect()
}

/// Masses of one of three kinds: equal, free, and one that takes almost all.
fn some_masses(kind: u64, clusters: usize, seed: u64) -> Vec<f64> {
    let mut s = random(seed + 1);
    let weight = |k: usize, s: &mut Sequence| match kind % 3 {
        0 => 1.0,
        1 => 0.05 + f64::from(s.unit()),
        _ => {
            if k == 0 {
                1.0
            } else {
                0.01
            }
        }
    };
    let weights: Vec<f64> = (0..clusters).map(|k| weight(k, &mut s)).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|w| w / sum).collect()
}

fn total(scores: &[f32], clusters: usize, labels: &[u32]) -> f64 {
    labels.iter().enumerate().map(|(i, &k)| f64::from(scores[i * clusters + k as usize])).sum()
}

/// The largest sum of scores over all labels whose counts fit.
fn exhaustive(scores: &[f32], clusters: usize, sizes: &[(usize, usize)]) -> f64 {
    let samples = scores.len() / clusters;
    let mut best = f64::NEG_INFINITY;
    for code in 0..clusters.pow(samples as u32) {
        let labels: Vec<u32> = (0..samples).map(|i| (code / clusters.pow(i as u32) % clusters) as u32).collect();
        let count = |k: usize| labels.iter().filter(|&&l| l as usize == k).count();
        if (0..clusters).all(|k| (sizes[k].0..=sizes[k].1).contains(&count(k))) {
            best = best.max(total(scores, clusters, &labels));
        }
    }
    best
}

/// The same by the Hungarian method (Kuhn 1955, in Munkres' O(n³) form): a column for each place in a cluster, with a
/// reward on the places that must be filled.
fn hungarian(scores: &[f32], clusters: usize, sizes: &[(usize, usize)]) -> f64 {
    const REWARD: f64 = 1e6;
    let rows = scores.len() / clusters;
    let places: Vec<(usize, bool)> =
        (0..clusters).flat_map(|k| (0..sizes[k].1).map(move |j| (k, j < sizes[k].0))).collect();
    let columns = places.len();
    let cost = |i: usize, j: usize| {
        let (k, must) = places[j];
        -f64::from(scores[i * clusters + k]) - if must { REWARD } else { 0.0 }
    };
    let (mut u, mut v) = (vec![0.0; rows + 1], vec![0.0; columns + 1]);
    let mut row_of = vec![0; columns + 1];
    for i in 1..=rows {
        row_of[0] = i;
        let (mut j0, mut least, mut way, mut used) =
            (0, vec![f64::INFINITY; columns + 1], vec![0; columns + 1], vec![false; columns + 1]);
        while row_of[j0] != 0 {
            used[j0] = true;
            let (i0, mut delta, mut j1) = (row_of[j0], f64::INFINITY, 0);
            for j in 1..=columns {
                if !used[j] {
                    let reduced = cost(i0 - 1, j - 1) - u[i0] - v[j];
                    if reduced < least[j] {
                        (least[j], way[j]) = (reduced, j0);
                    }
                    if least[j] < delta {
                        (delta, j1) = (least[j], j);
                    }
                }
            }
            for j in 0..=columns {
                if used[j] {
                    u[row_of[j]] += delta;
                    v[j] -= delta;
                } else {
                    least[j] -= delta;
                }
            }
            j0 = j1;
        }
        while j0 != 0 {
            row_of[j0] = row_of[way[j0]];
            j0 = way[j0];
        }
    }
    (1..=columns)
        .filter(|&j| row_of[j] != 0)
        .map(|j| f64::from(scores[(row_of[j] - 1) * clusters + places[j - 1].0]))
        .sum()
}

fn check(scores: &[f32], masses: &[f64], prices: &[f64], optimum: f64, what: &str) {
    let (samples, clusters) = (scores.len() / masses.len(), masses.len());
    let found = balance(&Problem { samples, scores: Scores::All(scores), masses, prices }).expect(what);
    let allowed = sizes(masses, samples).expect(what);
    for (k, &(least, most)) in allowed.iter().enumerate() {
        let count = found.labels.iter().filter(|&&l| l as usize == k).count();
        assert!((least..=most).contains(&count) && found.counts[k] == count, "{what}: cluster {k} has {count}");
    }
    let n = samples as f64;
    let scale = 1.0 + scores.iter().fold(0.0f64, |m, s| m.max(f64::from(s.abs())));
    assert!((-n * found.cost - total(scores, clusters, &found.labels)).abs() < 1e-9 * n * scale, "{what}: cost");
    assert!((-n * found.cost - optimum).abs() < 1e-9 * n * scale, "{what}: {} and {optimum}", -n * found.cost);
    assert!(found.gap.abs() < 1e-9 * scale, "{what}: gap {:e}", found.gap);
    assert!(found.added > -1e-12 * scale && found.unsure.is_empty(), "{what}");
}

#[test]
fn every_assignment_of_tiny_problems_is_no_better() {
    for seed in 0..60 {
        let (samples, clusters) = [(1, 1), (2, 2), (3, 3), (5, 2), (6, 3), (7, 3), (4, 4), (5, 4)][seed as usize % 8];
        let scores = some_scores(seed / 8, samples * clusters, seed);
        let masses = some_masses(seed / 3, clusters, seed);
        let mut s = random(seed + 2);
        // Optimality does not rest on good prices.
        let prices: Vec<f64> = (0..clusters).map(|_| f64::from(s.normal()) * (seed % 3) as f64).collect();
        let best = exhaustive(&scores, clusters, &sizes(&masses, samples).unwrap());
        check(&scores, &masses, &prices, best, &format!("case {seed}: {samples} x {clusters}"));
    }
}

#[test]
fn the_hungarian_method_finds_nothing_better() {
    for (seed, samples, clusters) in
        [(1, 40, 7), (2, 60, 13), (3, 33, 33), (4, 90, 4), (5, 50, 50), (6, 75, 1), (7, 64, 40), (8, 80, 3)]
    {
        for kind in 0..3 {
            let scores = some_scores(seed + kind, samples * clusters, seed);
            let masses = some_masses(kind, clusters, seed);
            let optimum = hungarian(&scores, clusters, &sizes(&masses, samples).unwrap());
            let prices = vec![0.0; clusters];
            check(&scores, &masses, &prices, optimum, &format!("case {seed}, kind {kind}: {samples} x {clusters}"));
        }
    }
}

/// The L best clusters of each sample by score + price, in an order of their own.
fn best_of(scores: &[f32], prices: &[f64], count: usize) -> (Vec<u32>, Vec<f32>) {
    let clusters = prices.len();
    let (mut chosen, mut kept) = (Vec::new(), Vec::new());
    for row in scores.chunks_exact(clusters) {
        let mut order: Vec<usize> = (0..clusters).collect();
        let value = |k: usize| f64::from(row[k]) + prices[k];
        order.sort_by(|&a, &b| value(b).total_cmp(&value(a)));
        order.truncate(count);
        order.reverse();
        chosen.extend(order.iter().map(|&k| k as u32));
        kept.extend(order.iter().map(|&k| row[k]));
    }
    (chosen, kept)
}

#[test]
fn candidates_give_the_optimum_or_say_how_far_it_can_be() {
    let (mut certain, mut open) = (0, 0);
    for seed in 0..40 {
        let (samples, clusters) = (60, 12);
        let scores = some_scores(seed % 2 * 3, samples * clusters, seed);
        let masses = some_masses(seed / 2, clusters, seed);
        let mut s = random(seed + 3);
        let prices: Vec<f64> = (0..clusters).map(|_| 0.3 * f64::from(s.normal())).collect();
        let whole =
            balance(&Problem { samples, scores: Scores::All(&scores), masses: &masses, prices: &prices }).unwrap();
        for count in [1, 3, 6, 12] {
            let (chosen, kept) = best_of(&scores, &prices, count);
            let some = Scores::Best { count, clusters: &chosen, scores: &kept };
            let found = balance(&Problem { samples, scores: some, masses: &masses, prices: &prices }).unwrap();
            let missing: Vec<f32> = found
                .unsure
                .iter()
                .map(|&i| scores[i as usize * clusters + found.labels[i as usize] as usize])
                .collect();
            assert!(found.cost <= whole.cost + 1e-9, "an assumed score is the most that it can be");
            if found.unsure.is_empty() {
                assert!(found.gap.abs() < 1e-9 && (found.cost - whole.cost).abs() < 1e-9, "case {seed}, {count}");
                certain += 1;
            } else {
                open += 1;
            }
            let found = found.settle(&missing).unwrap();
            let cost = -total(&scores, clusters, &found.labels) / samples as f64;
            assert!((found.cost - cost).abs() < 1e-6, "case {seed}, {count}: {} and {cost}", found.cost);
            assert!(
                found.cost >= whole.cost - 1e-9 && found.cost - found.gap <= whole.cost + 1e-9,
                "case {seed}, {count}"
            );
            assert!(found.settle(&[0.0]).is_err());
            assert!(count < 12 || (found_all(&chosen, clusters) && missing.is_empty()));
        }
    }
    assert!(certain > 40 && open > 40, "{certain} certain, {open} open");
}

fn found_all(chosen: &[u32], clusters: usize) -> bool {
    chosen.chunks_exact(clusters).all(|row| (0..clusters as u32).all(|k| row.contains(&k)))
}

#[test]
fn sizes_are_floor_and_ceiling() {
    assert_eq!(sizes(&[0.25; 4], 10).unwrap(), [(2, 3); 4]);
    // 1/3 three times is not quite 1, nor is 3 · (1/3 · 9).
    assert_eq!(sizes(&[1.0 / 3.0; 3], 9).unwrap(), [(3, 3); 3]);
    assert_eq!(sizes(&[0.05, 0.95], 10).unwrap(), [(0, 1), (9, 10)]);
    assert!(sizes(&[0.2, 0.2], 10).unwrap_err().to_string().contains("between 4 and 4"));
    assert!(sizes(&[f64::NAN, 1.0], 10).is_err() && sizes(&[-0.5, 1.5], 10).is_err());
}

#[test]
fn what_does_not_fit_is_refused() {
    let problem = |scores, masses, prices| balance(&Problem { samples: 2, scores, masses, prices }).unwrap_err();
    let half = &[0.5, 0.5];
    assert!(problem(Scores::All(&[0.0; 3]), half, &[0.0; 2]).to_string().contains("3 scores for 2 x 2"));
    assert!(problem(Scores::All(&[0.0; 4]), half, &[0.0; 3]).to_string().contains("3 prices"));
    let nan = problem(Scores::All(&[0.0, 1.0, f32::NAN, 0.0]), half, &[0.0; 2]);
    assert!(matches!(nan, Error::Diverged(_)) && nan.to_string().contains("score 0 of sample 1"), "{nan}");
    assert!(problem(Scores::All(&[0.0; 4]), half, &[0.0, f64::INFINITY]).to_string().contains("cluster 1"));
    let best = |count, clusters| Scores::Best { count, clusters, scores: &[0.0; 2] };
    assert!(problem(best(1, &[0, 2]), half, &[0.0; 2]).to_string().contains("candidate 2 of sample 1"));
    let twice = Scores::Best { count: 2, clusters: &[0, 1, 1, 1], scores: &[0.0; 4] };
    assert!(problem(twice, half, &[0.0; 2]).to_string().contains("twice"));
    assert!(problem(best(3, &[0, 1]), half, &[0.0; 2]).to_string().contains("3 each of 2 clusters"));
}

/// Scores as a network gives them, far from balanced; a few hundredths of a second here, minutes when a search walks
/// over samples instead of clusters.
#[test]
fn a_large_problem_takes_seconds_at_most() {
    let (samples, clusters) = (20_000, 64);
    let mut s = random(9);
    let favour: Vec<f32> = (0..clusters).map(|_| s.normal()).collect();
    let scores: Vec<f32> = (0..samples * clusters).map(|i| favour[i % clusters] + s.normal()).collect();
    let masses = vec![1.0 / clusters as f64; clusters];
    let start = Instant::now();
    let problem = Problem { samples, scores: Scores::All(&scores), masses: &masses, prices: &vec![0.0; clusters] };
    let found = balance(&problem).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    assert!(found.gap.abs() < 1e-9 && found.moved > samples / 4, "gap {:e}, {} moved", found.gap, found.moved);
    assert!(seconds < 60.0, "{seconds} s");
    if std::env::var_os("RELABEL_TEST_TIMES").is_some() {
        println!("{samples} x {clusters}: {seconds:.2} s, {} moved", found.moved);
    }
}
