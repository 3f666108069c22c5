//! The solver against float64: labels, masses and costs; every way of keeping scores; logits that break float32.

use relabel::base::shape::pad4;
use relabel::base::{Array, DType, Shape};
use relabel::gpu::{Tensor, readback};
use relabel::transport::marginals::uniform;
use relabel::transport::{Half, Outcome, Plan, Room, RowStore, Settings, Sizes, Solution, Solver, Source};

use super::reference::{clustered, solve, uneven};
use crate::common::engine;

const EXACT: Settings = Settings { power: 10.0, tolerance: 1e-6, iterations: 3000 };

fn room() -> Room {
    Room { budget: None, ..Room::of(&engine()) }
}

fn table(heads: usize, samples: usize) -> Tensor {
    engine().tensor("labels", Shape::new(&[heads, samples]), DType::U32).unwrap()
}

fn labels(table: &Tensor, head: usize) -> Vec<u32> {
    let n = table.shape.last();
    readback::read::<u32>(&engine(), table).unwrap()[head * n..(head + 1) * n].to_vec()
}

/// Solves stored logits in windows of at most `most` rows: labels, answer, and the solver for more questions.
fn assign(logits: &Array, shares: &[f64], settings: Settings, most: Option<usize>) -> (Vec<u32>, Solution) {
    let [n, k] = [logits.sizes()[0], logits.sizes()[1]];
    let sizes = Sizes { samples: n, clusters: k, heads: 1, features: None };
    let plan = Plan::choose(sizes, Room { most_rows: most, ..room() }).unwrap();
    let store = RowStore::new(&engine(), "logits", n, k, false, Some(plan.window)).unwrap();
    store.write(&engine(), &logits.to_f32()).unwrap();
    let solver = Solver::new(&engine(), &plan).unwrap();
    let table = table(1, n);
    let solution = solver.solve(&engine(), Source::Logits(&store), shares, &settings, &table, 0).unwrap();
    (labels(&table, 0), solution)
}

/// Rows whose label differs from float64's although the margin is above 1e-3.
fn wrong(labels: &[u32], expected: &[u32], margin: &[f64]) -> Vec<usize> {
    (0..labels.len()).filter(|&i| labels[i] != expected[i] && margin[i] > 1e-3).collect()
}

#[test]
fn labels_are_those_of_float64() {
    let cases = [
        (500, 16, 0.3, 10.0, false),
        (301, 11, 1.0, 10.0, true),
        (257, 13, 1.0, 25.0, false),
        (150, 131, 0.5, 10.0, false),
        (64, 5, 0.001, 25.0, true),
        (40, 40, 0.5, 10.0, false),
        (23, 1, 1.0, 10.0, false),
        (9, 2, 2.0, 25.0, true),
    ];
    for (seed, (n, k, sigma, power, even)) in cases.into_iter().enumerate() {
        let logits = clustered(n, k, sigma, seed as u64);
        let shares = if even { uniform(k) } else { uneven(k) };
        let settings = Settings { power, ..EXACT };
        let (labels, solution) = assign(&logits, &shares, settings, None);
        let report = solution.report;
        let expected = solve(&logits, power, &shares, 1e-9);
        let name = format!("{n} x {k}, {sigma}, {power}: {report:?}");
        assert!(wrong(&labels, &expected.labels, &expected.margin).is_empty(), "{name}");
        // Float32 may allow no better than a few units in the last place of the exponents.
        assert!(report.error <= 2e-5 && report.outcome != Outcome::Cap, "{name}");
        for (a, b) in solution.mass.iter().zip(&shares) {
            assert!((a / b - 1.0).abs() <= report.error + 1e-6, "{a} for {b}, {name}");
        }
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-4 * b.abs().max(1e-3);
        assert!(close(report.transport_cost, expected.transport_cost), "costs {} {name}", expected.transport_cost);
        // Of the labels that were made: samples between two clusters may go to either.
        let cost: f64 = labels.iter().enumerate().map(|(i, l)| -expected.log_p.data[i * k + *l as usize]).sum();
        assert!(close(report.label_cost, cost / n as f64), "{} {name}", cost / n as f64);
    }
}

/// Random problems: sizes off every multiple, weak and peaked logits, even and uneven shares.
#[test]
fn labels_of_random_problems_are_those_of_float64() {
    let sizes = [(3, 2), (17, 16), (61, 5), (130, 33), (257, 64), (90, 90), (400, 7), (33, 32), (301, 129)];
    let mut seen = 0;
    for seed in 0..27 {
        let (n, k) = sizes[seed as usize % sizes.len()];
        let power = [10.0, 17.0, 25.0][seed as usize % 3];
        // More peaked ones take float64 more than its 100,000 plain updates.
        let sigma = [0.01, 1.0, 3.0, 6.0, 9.0][seed as usize % 5] / power;
        let logits = match seed % 4 {
            0 => Array::normal(&[n, k], sigma, 100 + seed).map(|v| f64::from(v as f32)),
            _ => clustered(n, k, sigma, 100 + seed),
        };
        let shares = if seed % 2 == 0 { uniform(k) } else { uneven(k) };
        let most = (seed % 3 == 0).then_some(48);
        let (labels, solution) = assign(&logits, &shares, Settings { power, ..EXACT }, most);
        let expected = solve(&logits, power, &shares, 1e-9);
        let name = format!("seed {seed}: {n} x {k}, {sigma}, {power}: {:?}", solution.report);
        let wrong = wrong(&labels, &expected.labels, &expected.margin);
        assert!(wrong.is_empty(), "{name}: {wrong:?} with margin {}", expected.margin[wrong[0]]);
        seen += expected.margin.iter().filter(|m| **m > 1e-3).count();
    }
    assert!(seen > 3000, "{seen} labels with a margin");
}

/// What ends within the limits of a software adapter's loops: many rows a slab, and many slabs of clusters that have no
/// mass at first.
#[test]
fn long_slabs_and_many_slabs_are_walked_through() {
    let (n, k) = (448, 3000);
    let logits = Array::normal(&[n, k], 0.02, 7).map(|v| f64::from(v as f32));
    let sizes = Sizes { samples: n, clusters: k, heads: 1, features: None };
    // More clusters than samples are refused by a plan; what the passes do is the same.
    let plan = Plan::choose(Sizes { samples: k, ..sizes }, Room { most_rows: None, ..room() }).unwrap();
    let plan = Plan { sizes, window: n, block: n, slab: n, ..plan };
    let store = RowStore::new(&engine(), "logits", n, k, false, None).unwrap();
    store.write(&engine(), &logits.to_f32()).unwrap();
    let solver = Solver::new(&engine(), &plan).unwrap();
    let settings = Settings { power: 10.0, tolerance: 0.0, iterations: 1 };
    let solution = solver.solve(&engine(), Source::Logits(&store), &uniform(k), &settings, &table(1, n), 0).unwrap();
    let mut mass = vec![0.0; k];
    for row in logits.data.chunks_exact(k) {
        let sum: f64 = row.iter().map(|z| (10.0 * z).exp()).sum();
        mass.iter_mut().zip(row).for_each(|(q, z)| *q += (10.0 * z).exp() / sum / n as f64);
    }
    for (cluster, (found, expected)) in solution.mass.iter().zip(&mass).enumerate() {
        assert!((found / expected - 1.0).abs() < 1e-3, "cluster {cluster}: {found} for {expected}");
    }
}

/// Rows of `k` logits that want the first cluster by far, and another one each a little more than the rest.
#[test]
fn many_clusters_without_mass_jump_in_many_slabs() {
    let (n, k) = (16_400, 512);
    let logits = Array::from_fn(&[n, k], |i| match (i / k % k, i % k) {
        (_, 0) => 1000.0,
        (own, c) if own == c => 10.0,
        _ => 0.0,
    });
    let (labels, solution) =
        assign(&logits, &uniform(k), Settings { power: 10.0, tolerance: 1e-3, iterations: 8 }, None);
    let mut counts = vec![0; k];
    labels.iter().for_each(|&l| counts[l as usize] += 1);
    let right = labels.iter().enumerate().filter(|(i, l)| i % k == **l as usize).count();
    assert!(right * 100 > 99 * n, "{right} of {n}: {:?}", solution.report);
}

#[test]
fn logits_of_any_scale_give_labels() {
    let (n, k) = (67, 13);
    let mut odd: Vec<(String, Array)> = Vec::new();
    for scale in [1e-3, 1.0, 1e3, 1e30] {
        odd.push((format!("normal {scale}"), Array::normal(&[n, k], scale, 1).map(|v| f64::from(v as f32))));
        let peaked = Array::from_fn(&[n, k], |i| if i % k == i / k % 3 { scale } else { 0.0 });
        odd.push((format!("one of three hot {scale}"), peaked.map(|v| f64::from(v as f32))));
    }
    odd.push(("equal".into(), Array::full(&[n, k], 3.0)));
    odd.push(("all on one".into(), Array::from_fn(&[n, k], |i| if i % k == 4 { 1e3 } else { 0.0 })));
    let few = Array::normal(&[5, k], 2.0, 3);
    odd.push(("duplicates".into(), Array::from_fn(&[n, k], |i| few.data[i / k % 5 * k + i % k])));
    odd.push(("shifted".into(), Array::normal(&[n, k], 1.0, 2).map(|v| f64::from((v + 1e3) as f32))));
    for (name, logits) in odd {
        for power in [10.0, 25.0] {
            let settings = Settings { power, iterations: 300, ..EXACT };
            let (labels, solution) = assign(&logits, &uniform(k), settings, Some(20));
            assert!(labels.iter().all(|&l| (l as usize) < k), "{name}, {power}");
            let report = solution.report;
            assert!(
                solution.scaling.iter().chain([&(report.error as f32)]).all(|v| v.is_finite()),
                "{name}: {report:?}"
            );
            if ["equal", "normal 1", "normal 0.001", "duplicates", "shifted"].contains(&name.as_str()) {
                assert!(report.error < 1e-4, "{name}, {power}: {report:?}");
            }
        }
    }
}

#[test]
fn logits_that_are_not_finite_are_refused() {
    for bad in [f32::NAN, f32::INFINITY] {
        let sizes = Sizes { samples: 6, clusters: 3, heads: 1, features: None };
        let plan = Plan::choose(sizes, room()).unwrap();
        let store = RowStore::new(&engine(), "logits", 6, 3, false, None).unwrap();
        let mut values = vec![0.5f32; 18];
        values[7] = bad;
        store.write(&engine(), &values).unwrap();
        let solver = Solver::new(&engine(), &plan).unwrap();
        let settings = Settings { iterations: 20, ..EXACT };
        let error =
            solver.solve(&engine(), Source::Logits(&store), &uniform(3), &settings, &table(1, 6), 0).unwrap_err();
        assert!(error.exit_code() == 7 && error.to_string().contains("NaN or infinite"), "{error}");
    }
}

/// A head's weight, bias and the features it is for.
struct Head {
    features: Array,
    weight: Tensor,
    bias: Tensor,
    logits: Array,
}

fn head(n: usize, d: usize, k: usize, seed: u64) -> Head {
    // Few digits, so that float16 holds the features exactly and both precisions must agree.
    let features = Array::integers(&[n, d], 41, seed).map(|v| (v - 20.0) / 16.0);
    let weight = Array::normal(&[d, k], 0.4, seed + 1);
    let bias = Array::normal(&[k], 0.5, seed + 2);
    let logits = Array::from_fn(&[n, k], |i| {
        let dot: f64 = (0..d).map(|c| features.data[i / k * d + c] * weight.data[c * k + i % k]).sum();
        dot + bias.data[i % k]
    });
    let upload = |array: &Array, rows: usize| {
        let tensor = engine().tensor("head", Shape::new(&[rows, k][usize::from(rows == 0)..]), DType::F32).unwrap();
        let mut values = array.to_f32();
        values.resize(tensor.shape.elements(), 0.0);
        engine().write(&tensor, &values);
        tensor
    };
    Head { weight: upload(&weight, pad4(d)), bias: upload(&bias, 0), features, logits }
}

#[test]
fn every_way_of_keeping_scores_gives_the_same_labels() {
    let (n, d, k) = (203, 10, 9);
    let head = head(n, d, k, 5);
    let expected = solve(&head.logits, 10.0, &uniform(k), 1e-9);
    let sizes = Sizes { samples: n, clusters: k, heads: 3, features: Some(d) };
    let full = Plan::choose(sizes, room()).unwrap();
    let mut ways = 0;
    for (half, most, tight) in [
        (Half::Never, None, false),
        (Half::Never, Some(64), false),
        (Half::Always, None, false),
        (Half::Always, Some(48), false),
        (Half::Never, None, true),
        (Half::Never, Some(64), true),
        (Half::Always, Some(48), true),
    ] {
        let mut plan = Plan::choose(sizes, Room { most_rows: most, half, ..room() }).unwrap();
        if tight {
            // What the plan would be for more samples than fit: blocks within windows.
            (plan.kept, plan.block) = (false, 32);
        }
        let blocks = plan.blocks().len();
        assert_eq!(blocks > 1, most.is_some() || tight, "{plan}");
        assert_eq!(plan.half, half == Half::Always);
        let store = RowStore::new(&engine(), "features", n, d, plan.half, Some(plan.window)).unwrap();
        store.write(&engine(), &head.features.to_f32()).unwrap();
        let solver = Solver::new(&engine(), &plan).unwrap();
        let table = table(3, n);
        let source = Source::Features { store: &store, weight: &head.weight, bias: &head.bias };
        let settings = EXACT;
        let before = labels(&table, 1);
        let first = solver.solve(&engine(), source, &uniform(k), &settings, &table, 1).unwrap();
        let got = labels(&table, 1);
        assert!(wrong(&got, &expected.labels, &expected.margin).is_empty(), "{plan}: {:?}", first.report);
        let changed = got.iter().zip(&before).filter(|(a, b)| a != b).count();
        assert!(changed > 0 && first.report.changed == changed, "{changed} against {:?}", first.report);
        assert!(labels(&table, 0).iter().chain(&labels(&table, 2)).all(|&l| l == 0), "other heads stay");
        // Once more: the same bits, and nothing changes.
        let again = solver.solve(&engine(), source, &uniform(k), &settings, &table, 1).unwrap();
        assert_eq!((again.report.changed, again.scaling), (0, first.scaling.clone()));
        check_details(&solver, source, &got, &first.scaling, &expected.margin, &head.logits);
        ways += 1;
    }
    assert!(full.kept && ways == 7);
}

/// What one update gives, to be compared bit by bit: labels, scaling, masses, details, candidates.
type Update = (Vec<u32>, Vec<f32>, Vec<f64>, Vec<[f32; 4]>, (Vec<u32>, Vec<f32>));

fn update(solver: &Solver, source: Source<'_>, table: &Tensor, head: usize) -> Update {
    let k = solver.plan().sizes.clusters;
    let solution = solver.solve(&engine(), source, &uneven(k), &EXACT, table, head).unwrap();
    let best = solver.candidates(&engine(), source, EXACT.power, k.min(4)).unwrap();
    let details = solver.details(&engine()).unwrap();
    (labels(table, head), solution.scaling, solution.mass, details, (best.clusters, best.scores))
}

/// Programs are kept by their buffers and parameters, not by what the buffers hold.
#[test]
fn later_updates_build_nothing_and_give_the_bits_of_a_fresh_solver() {
    let (n, d, k, heads) = (203, 10, 9, 3);
    let first = head(n, d, k, 5);
    let logits = |seed| Array::normal(&[n, k], 1.0, seed);
    for (features, most) in [(None, None), (None, Some(64)), (Some(d), None), (Some(d), Some(64))] {
        let heads = if features.is_some() { heads } else { 1 };
        let sizes = Sizes { samples: n, clusters: k, heads, features };
        let plan = Plan::choose(sizes, Room { most_rows: most, half: Half::Never, ..room() }).unwrap();
        let columns = features.unwrap_or(k);
        let store = RowStore::new(&engine(), "rows", n, columns, false, Some(plan.window)).unwrap();
        let source = match features {
            None => Source::Logits(&store),
            Some(_) => Source::Features { store: &store, weight: &first.weight, bias: &first.bias },
        };
        let write = |turn: u64| {
            let rows = if features.is_some() { Array::normal(&[n, d], 1.0, 70 + turn) } else { logits(80 + turn) };
            store.write(&engine(), &rows.to_f32()).unwrap();
        };
        let solver = Solver::new(&engine(), &plan).unwrap();
        let own = table(heads, n);
        let mut built = 0;
        for turn in 0..3 {
            write(turn);
            for head in 0..heads {
                let kept = update(&solver, source, &own, head);
                // What is new: everything at first, then each other head's labels.
                let expected = match (turn, head) {
                    (0, 0) => 4 + plan.blocks().len(),
                    (0, _) => built + 1,
                    _ => built,
                };
                assert_eq!(solver.built(), expected, "{plan}: update {turn} of head {head}");
                built = expected;
                let fresh = Solver::new(&engine(), &plan).unwrap();
                assert_eq!(kept, update(&fresh, source, &table(heads, n), head), "{plan}: update {turn} of {head}");
            }
        }
        // Another λ is another parameter of all but the row statistics.
        let settings = Settings { power: 25.0, ..EXACT };
        solver.solve(&engine(), source, &uneven(k), &settings, &own, 0).unwrap();
        assert_eq!(solver.built(), built + 3, "{plan}");
    }
}

/// Details and candidates of a solve against the scores worked out here.
fn check_details(solver: &Solver, source: Source<'_>, got: &[u32], scaling: &[f32], margin: &[f64], logits: &Array) {
    let k = logits.shape.last();
    let details = solver.details(&engine()).unwrap();
    assert_eq!(details.len(), got.len());
    for (i, d) in details.iter().enumerate() {
        // The scaling errs by up to the tolerance times the number of iterations that the slowest direction takes.
        assert!((f64::from(d[0]) - margin[i]).abs() < 2e-3, "margin of {i}: {} for {}", d[0], margin[i]);
        assert!((d[3] - 1.0).abs() < 1e-5 && d[1] < 0.0, "{d:?}");
    }
    let best = solver.candidates(&engine(), source, 10.0, 4).unwrap();
    assert_eq!((best.clusters.len(), best.scores.len()), (4 * got.len(), 4 * got.len()));
    for (i, label) in got.iter().enumerate() {
        let (at, scores) = (&best.clusters[4 * i..4 * i + 4], &best.scores[4 * i..4 * i + 4]);
        assert_eq!(at[0], *label, "the label is the best candidate of {i}");
        let row = &logits.data[i * k..(i + 1) * k];
        let highest = row.iter().copied().fold(f64::MIN, f64::max);
        for (c, s) in at.iter().zip(scores) {
            let expected = 10.0 * (row[*c as usize] - highest);
            assert!((f64::from(*s) - expected).abs() < 1e-4 * expected.abs().max(1.0), "{s} for {expected}");
        }
        let total = |j: usize| f64::from(scores[j] + scaling[at[j] as usize]);
        assert!((1..4).all(|j| total(j) <= total(j - 1) + 1e-5), "candidates of {i} stand in order");
    }
    assert!(solver.candidates(&engine(), source, 10.0, k + 1).is_err());
}

#[test]
fn momentum_spares_iterations() {
    let logits = clustered(300, 10, 2.0, 11);
    let settings = Settings { power: 25.0, ..EXACT };
    let (_, solution) = assign(&logits, &uniform(10), settings, None);
    // Plain updates, in float64.
    let plain = (1..40).map(|i| i * 100).find(|&count| plain_error(&logits, 25.0, count) <= 1e-5).unwrap();
    let report = solution.report;
    assert!(report.outcome != Outcome::Cap && 3 * report.iterations < plain, "{report:?}, plain {plain}");
}

/// The largest |q/b − 1| after so many plain updates.
fn plain_error(logits: &Array, power: f64, count: usize) -> f64 {
    let [n, k] = [logits.sizes()[0], logits.sizes()[1]];
    let mut v = vec![0.0; k];
    let mut error = 0.0;
    for _ in 0..count {
        let mut mass = vec![0.0; k];
        for row in logits.data.chunks_exact(k) {
            let t: Vec<f64> = row.iter().zip(&v).map(|(z, v)| power * z + v).collect();
            let m = t.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = t.iter().map(|t| (t - m).exp()).sum();
            mass.iter_mut().zip(&t).for_each(|(q, t)| *q += (t - m).exp() / sum / n as f64);
        }
        error = mass.iter().map(|q| (q * k as f64 - 1.0).abs()).fold(0.0, f64::max);
        v.iter_mut().zip(&mass).for_each(|(v, q)| *v -= (q * k as f64).ln());
    }
    error
}

#[test]
fn what_does_not_fit_is_refused() {
    let sizes = Sizes { samples: 12, clusters: 3, heads: 1, features: None };
    let plan = Plan::choose(sizes, room()).unwrap();
    let solver = Solver::new(&engine(), &plan).unwrap();
    let store = |rows, columns, half| RowStore::new(&engine(), "logits", rows, columns, half, None).unwrap();
    let refused = |store: &RowStore, shares: &[f64], settings: Settings, head: usize| {
        let source = Source::Logits(store);
        solver.solve(&engine(), source, shares, &settings, &table(1, 12), head).unwrap_err().to_string()
    };
    let good = store(12, 3, false);
    for (text, part) in [
        (refused(&good, &[0.5, 0.5], EXACT, 0), "2 masses for 3"),
        (refused(&good, &[0.5, 0.5, 0.5], EXACT, 0), "add up to 1.5"),
        (refused(&good, &uniform(3), Settings { power: 0.0, ..EXACT }, 0), "power 0"),
        (refused(&good, &uniform(3), Settings { iterations: 0, ..EXACT }, 0), "iterations 0"),
        (refused(&good, &uniform(3), EXACT, 1), "head: 1"),
        (refused(&store(11, 3, false), &uniform(3), EXACT, 0), "11 rows of 3"),
        (refused(&store(12, 4, false), &uniform(3), EXACT, 0), "12 rows of 4"),
        (refused(&store(12, 3, true), &uniform(3), EXACT, 0), "float16 true"),
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
