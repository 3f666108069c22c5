//! How results are judged: cluster metrics against scikit-learn's answers, neighbours against brute force.

use relabel::base::{Array, DType, Error, Shape};
use relabel::data;
use relabel::eval::knn::{self, Neighbours, SCRATCH, Settings};
use relabel::eval::{Contingency, Sizes, auroc};
use relabel::gpu::{Engine, Tensor};
use relabel::report::gallery::{self, Layout, Members, Section};

use super::common::engine;

fn labels(n: u64, f: impl Fn(u64) -> u64) -> Vec<u32> {
    (0..n).map(|i| f(i) as u32).collect()
}

/// `[NMI, AMI, ARI, purity, Hungarian accuracy]`.
fn all(truth: &[u32], found: &[u32]) -> [f64; 5] {
    let c = Contingency::new(truth, found).unwrap();
    [c.nmi(), c.ami(), c.adjusted_rand_index(), c.purity(), c.hungarian_accuracy().unwrap()]
}

fn close(name: &str, truth: &[u32], found: &[u32], expected: [f64; 5], bound: f64) {
    for (what, (a, e)) in ["NMI", "AMI", "ARI", "purity", "accuracy"].iter().zip(all(truth, found).iter().zip(expected))
    {
        assert!((a - e).abs() <= bound, "{name}: {what} is {a}, expected {e}");
    }
}

/// Answers of scikit-learn 1.9 (`normalized_mutual_info_score`, `adjusted_mutual_info_score`, `adjusted_rand_score`,
/// `contingency_matrix`) and SciPy (`linear_sum_assignment`) on labels by formula.
#[test]
fn clusters_are_judged_as_by_scikit_learn() {
    let square = |m: u64| labels(1000, move |i| i * i % m);
    let found = labels(1000, |i| if i % 3 == 0 { i * i % 7 } else { (i * 31 + i / 9) % 12 });
    let expected = [0.13476000828899437, 0.12684074095402514, 0.13249460689866288, 0.52, 0.387];
    close("more clusters", &square(7), &found, expected, 1e-13);
    let found = labels(1000, |i| if i % 2 == 0 { i * i % 11 % 4 } else { (i / 7) % 4 });
    let expected = [0.15354948804875881, 0.14933982528540768, 0.1400948509267858, 0.366, 0.366];
    close("fewer clusters", &square(11), &found, expected, 1e-13);
    let truth = labels(1000, |i| i * 7919 / 13 % 5);
    let found = labels(1000, |i| i * i / 17 % 6);
    let expected = [0.00506240819333972, -0.0008928524009289657, -0.001279857615601501, 0.225, 0.188];
    close("unrelated", &truth, &found, expected, 1e-13);
    let truth = labels(200_000, |i| i * i % 101);
    let found = labels(200_000, |i| if i % 5 == 0 { i * i % 101 } else { i / 17 % 300 });
    let expected = [0.16158842184748412, 0.15486341417479285, 0.06653208411469426, 0.227065, 0.20242];
    // Logarithms of factorials of 200,000 are 2e6: their last digits are 2e-10.
    close("many", &truth, &found, expected, 1e-9);
    // Labels are names: any numbers do.
    let renamed: Vec<u32> = found.iter().map(|k| u32::MAX - 7 * k).collect();
    close("renamed", &truth, &renamed, expected, 1e-9);
}

#[test]
fn edge_cases_are_scikit_learns() {
    let n = |f: fn(u64) -> u64| labels(10, f);
    let (one, three, each) = (n(|_| 0), n(|i| i % 3), n(|i| i));
    close("one class", &one, &three, [0.0, 0.0, 0.0, 1.0, 0.4], 1e-15);
    close("one cluster", &three, &one, [0.0, 0.0, 0.0, 0.4, 0.4], 1e-15);
    close("both one", &one, &one, [1.0; 5], 0.0);
    close("classes of one", &each, &three, [0.642137561217943, 0.0, 0.0, 0.3, 0.3], 1e-14);
    close("clusters of one", &three, &each, [0.642137561217943, 0.0, 0.0, 1.0, 0.3], 1e-14);
    close("all of one", &each, &n(|i| 9 - i), [1.0; 5], 1e-14);
    close("permuted", &labels(12, |i| i % 4), &labels(12, |i| (i + 1) % 4), [1.0; 5], 1e-14);
    close("one sample", &[3], &[5], [1.0; 5], 0.0);
    close("crossed", &[0, 0, 1, 1], &[0, 1, 0, 1], [0.0, -0.5, -0.5, 0.5, 0.5], 1e-14);
    assert!(Contingency::new(&[], &[]).is_err());
    let text = Contingency::new(&[1, 2], &[1]).unwrap_err().to_string();
    assert!(text.contains("2 true and 1 found"), "{text}");
}

#[test]
fn a_match_may_cost_the_largest_entry() {
    // Greedy would take 5 of class 0 and cluster 0 and be left with 0; the best match takes 4 and 4.
    let (mut truth, mut found) = (Vec::new(), Vec::new());
    for (y, k, n) in [(0, 0, 5), (0, 1, 4), (1, 0, 4)] {
        truth.extend(std::iter::repeat_n(y, n));
        found.extend(std::iter::repeat_n(k, n));
    }
    assert_eq!(Contingency::new(&truth, &found).unwrap().hungarian_accuracy().unwrap(), 8.0 / 13.0);
    let many = labels(6000, |i| i);
    let text = Contingency::new(&many, &many).unwrap().hungarian_accuracy().unwrap_err().to_string();
    assert!(text.contains("6000 classes and 6000 clusters") && text.contains("36000000"), "{text}");
}

#[test]
fn sizes_count_empty_clusters() {
    let sizes = Sizes::new(&[0, 0, 3, 3, 1, 1], 5).unwrap();
    assert_eq!((sizes.clusters, sizes.min, sizes.max, sizes.empty), (5, 0, 2, 2));
    assert!((sizes.entropy - 3.0f64.ln()).abs() < 1e-15 && (sizes.perplexity - 3.0).abs() < 1e-14, "{sizes:?}");
    assert_eq!(Sizes::new(&[2, 2], 3).unwrap().perplexity, 1.0);
    let text = Sizes::new(&[0, 5], 5).unwrap_err().to_string();
    assert!(text.contains("sample 1 is in cluster 5") && text.contains("there are 5"), "{text}");
    assert!(Sizes::new(&[], 3).is_err() && Sizes::new(&[], 0).is_err());
}

#[test]
fn auroc_counts_ties_half() {
    assert_eq!(auroc(&[2.0, 3.0], &[0.0, 1.0]).unwrap(), 1.0);
    assert_eq!(auroc(&[0.0], &[1.0]).unwrap(), 0.0);
    assert_eq!(auroc(&[1.0, 1.0], &[1.0]).unwrap(), 0.5);
    // Pairs: (0.5, -0) right, (0.5, 0.5) half, (0, -0) half, (0, 0.5) wrong.
    assert_eq!(auroc(&[0.5, 0.0], &[-0.0, 0.5]).unwrap(), 0.5);
    assert_eq!(auroc(&[1.0, f64::INFINITY, -3.0], &[0.0, -5.0]).unwrap(), 5.0 / 6.0);
    assert!(auroc(&[], &[1.0]).is_err() && auroc(&[f64::NAN], &[1.0]).is_err());
}

/// Rows on the device in windows of `window` rows; the last is padded with rows that must not count.
fn windows(engine: &Engine, x: &Array, window: usize) -> Vec<Tensor> {
    let columns = x.shape.last();
    let chunks = x.data.chunks(window * columns);
    chunks
        .map(|part| {
            let mut values: Vec<f32> = part.iter().map(|&v| v as f32).collect();
            values.resize(window * columns, 0.5);
            let tensor = engine.tensor("rows", Shape::new(&[window, columns]), DType::F32).unwrap();
            engine.write(&tensor, &values);
            tensor
        })
        .collect()
}

/// The float64 twin: all similarities, sorted.
fn brute_force(train: &Array, test: &Array) -> Vec<Vec<(usize, f64)>> {
    let d = train.shape.last();
    let unit = |row: &[f64]| -> Vec<f64> {
        let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        row.iter().map(|v| if norm > 0.0 { v / norm } else { 0.0 }).collect()
    };
    let rows: Vec<Vec<f64>> = train.data.chunks(d).map(unit).collect();
    let similar = |row: &[f64]| {
        let row = unit(row);
        let dot = |other: &Vec<f64>| other.iter().zip(&row).map(|(a, b)| a * b).sum::<f64>();
        let mut all: Vec<(usize, f64)> = rows.iter().map(dot).enumerate().collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all
    };
    test.data.chunks(d).map(similar).collect()
}

/// Similarities of unit rows in float32 are off by at most this: sums of up to 67 products of size 1/67.
const ROUNDING: f64 = 1e-6;

fn compare(found: &Neighbours, expected: &[Vec<(usize, f64)>], name: &str) {
    for (row, all) in expected.iter().enumerate() {
        for i in 0..found.k {
            let place = row * found.k + i;
            let (at, similarity) = (found.rows[place] as usize, f64::from(found.similarities[place]));
            assert!((similarity - all[i].1).abs() < ROUNDING, "{name}: row {row}, neighbour {i}: {similarity}");
            let own = all.iter().find(|(n, _)| *n == at).map(|(_, s)| *s);
            assert!((own.unwrap() - similarity).abs() < ROUNDING, "{name}: row {row}: {at} is not as near as said");
            // Where float32 can tell the neighbours apart they are the same, in the same order.
            let apart = |j: usize| (all[j].1 - all[j + 1].1).abs() > 2.0 * ROUNDING;
            if (i == 0 || apart(i - 1)) && (i + 1 == all.len() || apart(i)) {
                assert_eq!(at, all[i].0, "{name}: row {row}, neighbour {i}");
            }
        }
        let own = &found.rows[row * found.k..(row + 1) * found.k];
        let distinct: std::collections::HashSet<&u32> = own.iter().collect();
        assert_eq!(distinct.len(), found.k, "{name}: row {row} has a neighbour twice");
    }
}

#[test]
fn neighbours_match_brute_force() {
    let engine = engine();
    // Training rows, test rows, D, k, rows of a window, scratch bytes.
    let list = [
        (1, 1, 1, 1, 4, SCRATCH),
        (5, 3, 7, 5, 2, SCRATCH),
        (301, 131, 67, 10, 100, SCRATCH),
        (700, 70, 16, 200, 256, 200_000),
        (523, 200, 5, 256, 523, 40_000),
    ];
    for (n, tests, d, k, window, scratch) in list {
        let train = Array::normal(&[n, d], 3.0, 1).map(|v| v + 0.5);
        let test = Array::normal(&[tests, d], 1e-3, 2);
        let (a, b) = (windows(&engine, &train, window), windows(&engine, &test, window));
        let found = knn::neighbours(&engine, &a, n, &b, tests, k, scratch).unwrap();
        assert_eq!((found.rows.len(), found.similarities.len()), (tests * k, tests * k));
        compare(&found, &brute_force(&train, &test), &format!("{n} x {tests} x {d}, k {k}"));
    }
}

#[test]
fn equal_rows_come_in_order() {
    let engine = engine();
    // Five different rows, each 60 times, in windows that cut the copies apart.
    let five = Array::normal(&[5, 9], 1.0, 3);
    let train = Array::from_fn(&[300, 9], |i| five.data[i % 45]);
    let rows = windows(&engine, &train, 77);
    let test = windows(&engine, &five, 5);
    let found = knn::neighbours(&engine, &rows, 300, &test, 5, 70, 30_000).unwrap();
    for (row, all) in found.rows.chunks(70).enumerate() {
        let copies: Vec<u32> = (0..60).map(|i| 5 * i + row as u32).collect();
        assert_eq!(all[..60], copies, "row {row}");
        assert!(all[60..].windows(2).all(|w| w[1] == w[0] + 5), "row {row}: {:?}", &all[60..]);
    }
}

#[test]
fn votes_decide_the_class() {
    let engine = engine();
    // Similarities to (1, 0): 1, 0.8, 0.8; class 1 has the two farther ones.
    let train = Array::new(&[3, 2], vec![2.0, 0.0, 0.8, 0.6, 4.0, -3.0]);
    let (a, b) = (windows(&engine, &train, 3), windows(&engine, &Array::new(&[1, 2], vec![5.0, 0.0]), 1));
    let class = |temperature: f64, k: usize| {
        knn::classify(&engine, &a, &[0, 1, 1], &b, 1, 2, &Settings { k, temperature }).unwrap()[0]
    };
    // exp(1/T) against 2·exp(0.8/T): equal at T = 0.2/ln 2 = 0.2885.
    assert_eq!((class(0.28, 3), class(0.30, 3), class(0.30, 1)), (0, 1, 0));
    assert_eq!(class(1e-30, 3), 0, "no overflow");
    let found = knn::neighbours(&engine, &a, 3, &b, 1, 3, SCRATCH).unwrap();
    let votes = found.votes(0, &[0, 1, 1], 2, 0.5);
    let far = (-0.4f64).exp();
    assert!((votes[0] - 1.0 / (1.0 + 2.0 * far)).abs() < 1e-6 && (votes[0] + votes[1] - 1.0).abs() < 1e-12);
    // Equal votes: the lower class.
    let even = Array::new(&[2, 2], vec![0.0, 1.0, 0.0, 1.0]);
    let even = windows(&engine, &even, 2);
    assert_eq!(knn::classify(&engine, &even, &[2, 1], &b, 1, 3, &Settings { k: 2, temperature: 1.0 }).unwrap(), [1]);
}

#[test]
fn bad_neighbours_are_refused_with_numbers() {
    let engine = engine();
    let rows = windows(&engine, &Array::normal(&[10, 6], 1.0, 1), 4);
    let narrow = windows(&engine, &Array::normal(&[10, 3], 1.0, 1), 4);
    let y = [0, 1, 0, 1, 0, 1, 0, 1, 0, 1];
    let run = |labels: &[u32], test: &[Tensor], test_rows: usize, k: usize, temperature: f64| {
        let error =
            knn::classify(&engine, &rows, labels, test, test_rows, 2, &Settings { k, temperature }).unwrap_err();
        (error.exit_code(), error.to_string())
    };
    let is = |seen: (u8, String), code: u8, words: &[&str]| {
        assert!(seen.0 == code && words.iter().all(|w| seen.1.contains(w)), "{seen:?}, not {words:?}");
    };
    is(run(&y, &rows, 10, 11, 0.1), 2, &["knn.k = 11", "from 1 to 10", "10 training rows"]);
    is(run(&y, &rows, 10, 0, 0.1), 2, &["knn.k = 0"]);
    is(run(&y, &rows, 10, 3, 0.0), 2, &["knn.temperature = 0", "above 0"]);
    is(run(&y, &rows, 10, 3, f64::NAN), 2, &["knn.temperature = NaN"]);
    is(run(&y, &rows, 13, 3, 0.1), 3, &["13 test rows in windows of 12"]);
    is(run(&y, &rows, 0, 3, 0.1), 3, &["0 test rows"]);
    is(run(&y, &narrow, 10, 3, 0.1), 3, &["6 features", "3 in test rows"]);
    is(run(&[0, 1, 2], &rows, 10, 1, 0.1), 3, &["row 2 has label 2", "2 classes"]);
    is(run(&[0; 300], &rows, 10, 257, 0.1), 2, &["knn.k = 257", "from 1 to 256"]);
    let small = knn::neighbours(&engine, &rows, 10, &rows, 10, 3, 1000).unwrap_err();
    assert!(matches!(small, Error::Memory(_)) && small.to_string().contains("1000 are given"), "{small}");
    let mut spoiled = Array::normal(&[10, 6], 1.0, 1);
    spoiled.data[4 * 6 + 2] = f64::NAN;
    let spoiled = windows(&engine, &spoiled, 4);
    is(run(&y, &spoiled, 10, 3, 0.1), 3, &["test row 4 has 0 neighbours", "NaN or infinite"]);
}

#[test]
fn a_gallery_of_the_bundled_images() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/data/fashion-mnist-mini");
    let set = data::load(&path, data::Split::Train, &data::LoadOptions::default()).unwrap();
    let brightness = |i: usize| set.image(i).iter().map(|&p| f32::from(p)).sum::<f32>();
    let sure: Vec<f32> = (0..set.count()).map(brightness).collect();
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::default();
    let sections = Section::plain(10);
    let paths = gallery::write(dir.path(), &set, &set.labels, &sure, &sections, Members::Confident, layout).unwrap();
    assert_eq!(paths.len(), 1);
    let sheet = image::open(&paths[0]).unwrap().into_rgb8();
    // The first place of the last row holds the brightest ankle boot, twice as large.
    let boots = (0..set.count()).filter(|&i| set.labels[i] == 9);
    let best = set.image(boots.max_by(|&a, &b| sure[a].total_cmp(&sure[b])).unwrap());
    let (left, top) = (84, 2 + 9 * 58);
    for y in 0..56 {
        for x in 0..56 {
            let expected = best[y / 2 * 28 + x / 2];
            assert_eq!(sheet.get_pixel(left + x as u32, top + y as u32).0, [expected; 3], "at {x}, {y}");
        }
    }
}
