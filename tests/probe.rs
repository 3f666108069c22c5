//! The linear probe: separable data, a float64 twin step by step, what is refused.

use relabel::base::philox::{Sequence, Stream};
use relabel::base::{Array, DType, Result, Shape};
use relabel::data::{Sampler, SamplerKind};
use relabel::gpu::{Engine, Tensor};
use relabel::train::config::ScheduleKind;
use relabel::train::probe::{self, Features, Outcome, Settings};

use super::common::engine;

/// Rows in windows of `window`; the last is filled up with rows that must not count.
fn windows(engine: &Engine, x: &Array, window: usize) -> Vec<Tensor> {
    let columns = x.shape.last();
    let parts = x.data.chunks(window * columns);
    parts
        .map(|part| {
            let mut values: Vec<f32> = part.iter().map(|&v| v as f32).collect();
            values.resize(window * columns, 1e6);
            let tensor = engine.tensor("rows", Shape::new(&[window, columns]), DType::F32).unwrap();
            engine.write(&tensor, &values);
            tensor
        })
        .collect()
}

/// Rows around the centre of their class, each dimension with its own mean and scale, the third constant.
fn clustered(rows: usize, classes: usize, columns: usize, noise: f64, seed: u64) -> (Array, Vec<u32>) {
    let centres = Array::normal(&[classes, columns], 1.0, 77);
    let wild = Array::normal(&[rows, columns], noise, seed);
    let mut draw = Sequence::new(seed, Stream::Test, 9);
    let labels: Vec<u32> = (0..rows).map(|_| draw.below(classes as u32)).collect();
    let x = Array::from_fn(&[rows, columns], |i| {
        let (row, d) = (i / columns, i % columns);
        let value = centres.data[labels[row] as usize * columns + d] + wild.data[i];
        let scale = 10f64.powi(d as i32 % 7 - 3);
        if d == 2 { 40.0 } else { f64::from(((value + 5.0) * scale) as f32) }
    });
    (x, labels)
}

struct Twin<'a> {
    x: &'a Array,
    y: &'a [u32],
}

/// The same run in float64: standardised rows, softmax regression, SGD with momentum as PyTorch has it.
fn twin(train: Twin, test: Twin, classes: usize, settings: &Settings, seed: u64) -> [f64; 4] {
    let (n, d) = (train.y.len(), train.x.shape.last());
    let (mut mean, mut factor) = (vec![0.0; d], vec![1.0; d]);
    if settings.standardize {
        for c in 0..d {
            let column: Vec<f64> = (0..n).map(|r| train.x.data[r * d + c]).collect();
            mean[c] = column.iter().sum::<f64>() / n as f64;
            let variance = column.iter().map(|v| (v - mean[c]).powi(2)).sum::<f64>() / n as f64;
            factor[c] = if variance == 0.0 { 0.0 } else { 1.0 / (variance * d as f64).sqrt() };
        }
    }
    let scaled = |x: &Array| Array::from_fn(x.sizes(), |i| (x.data[i] - mean[i % d]) * factor[i % d]);
    let (a, b) = (scaled(train.x), scaled(test.x));
    // Weights by class, the bias last in each.
    let mut w = vec![0.0; classes * (d + 1)];
    let mut velocity = w.clone();
    let chances = |w: &[f64], row: &[f64]| -> Vec<f64> {
        let logits: Vec<f64> =
            w.chunks(d + 1).map(|w| w[d] + w.iter().zip(row).map(|(w, x)| w * x).sum::<f64>()).collect();
        let highest = logits.iter().copied().fold(f64::MIN, f64::max);
        let total: f64 = logits.iter().map(|l| (l - highest).exp()).sum();
        logits.iter().map(|l| (l - highest).exp() / total).collect()
    };
    let batch = settings.batch.min(n);
    let steps = (settings.epochs * n as u64).div_ceil(batch as u64);
    let mut sampler = Sampler::new(SamplerKind::Epochs, seed, n, batch).unwrap();
    for step in 0..steps {
        let done = step as f64 / steps as f64;
        let rate = settings.lr
            * match settings.schedule {
                ScheduleKind::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
                ScheduleKind::Step => [85.0, 128.0].iter().map(|m| if done >= m / 146.0 { 0.1 } else { 1.0 }).product(),
                ScheduleKind::Constant => 1.0,
            };
        let mut gradient: Vec<f64> = w.iter().map(|w| settings.weight_decay * w).collect();
        for draw in sampler.batch(step) {
            let row = &a.data[draw.index as usize * d..(draw.index as usize + 1) * d];
            for (c, p) in chances(&w, row).into_iter().enumerate() {
                let error = (p - f64::from(train.y[draw.index as usize] == c as u32)) / batch as f64;
                row.iter().enumerate().for_each(|(i, x)| gradient[c * (d + 1) + i] += error * x);
                gradient[c * (d + 1) + d] += error;
            }
        }
        for ((w, v), g) in w.iter_mut().zip(&mut velocity).zip(gradient) {
            *v = settings.momentum * *v + g;
            *w -= rate * *v;
        }
    }
    let judge = |x: &Array, y: &[u32]| {
        let (mut loss, mut right) = (0.0, 0.0);
        for (row, &y) in x.data.chunks(d).zip(y) {
            let p = chances(&w, row);
            loss -= p[y as usize].ln();
            right += f64::from((0..classes).all(|c| p[c] <= p[y as usize]));
        }
        [loss / y.len() as f64, right / y.len() as f64]
    };
    let ([a, b], [c, d]) = (judge(&a, train.y), judge(&b, test.y));
    [a, b, c, d]
}

fn run(
    train: (&[Tensor], &[u32]),
    test: (&[Tensor], &[u32]),
    classes: usize,
    s: &Settings,
    seed: u64,
) -> Result<Outcome> {
    let features = |(windows, labels)| Features { windows, labels };
    probe::run(&engine(), features(train), features(test), classes, s, seed, &mut |_, _| Ok(()))
}

#[test]
fn the_probe_follows_its_float64_twin() {
    let engine = engine();
    let (x, y) = clustered(37, 3, 9, 1.5, 1);
    let (tx, ty) = clustered(23, 3, 9, 1.5, 2);
    let (a, b) = (windows(&engine, &x, 16), windows(&engine, &tx, 23));
    let base = Settings { epochs: 3, batch: 10, ..Settings::default() };
    let list = [
        base.clone(),
        Settings { schedule: ScheduleKind::Step, weight_decay: 0.05, momentum: 0.5, ..base.clone() },
        Settings { batch: 4096, epochs: 6, schedule: ScheduleKind::Constant, lr: 3.0, ..base.clone() },
        Settings { standardize: false, lr: 1e-6, ..base },
    ];
    for settings in list {
        let expected = twin(Twin { x: &x, y: &y }, Twin { x: &tx, y: &ty }, 3, &settings, 5);
        let found = run((&a, &y), (&b, &ty), 3, &settings, 5).unwrap();
        assert_eq!(found.steps, (settings.epochs * 37).div_ceil(settings.batch.min(37) as u64));
        let seen = [found.train_loss, found.train_accuracy, found.test_loss, found.test_accuracy];
        for (seen, expected) in seen.iter().zip(expected) {
            // A dozen steps of sums of ten float32 products.
            assert!((seen - expected).abs() < 2e-6 * expected.max(1.0), "{settings:?}: {found:?}, twin {expected:?}");
        }
    }
}

#[test]
fn separable_classes_are_told_apart() {
    let engine = engine();
    let (x, y) = clustered(403, 5, 40, 0.3, 3);
    let (tx, ty) = clustered(150, 5, 40, 0.3, 4);
    let (a, b) = (windows(&engine, &x, 128), windows(&engine, &tx, 100));
    let settings = Settings { epochs: 20, batch: 64, ..Settings::default() };
    let mut told = Vec::new();
    let (train, test) = (Features { windows: &a, labels: &y }, Features { windows: &b, labels: &ty });
    let found = probe::run(&engine, train, test, 5, &settings, 7, &mut |step, steps| {
        told.push((step, steps));
        Ok(())
    })
    .unwrap();
    assert_eq!((found.train_accuracy, found.test_accuracy), (1.0, 1.0), "{found:?}");
    assert!(told.len() >= 18 && told.last() == Some(&(126, 126)), "{told:?}");
    // The same seed gives the same bits, another one another order.
    assert_eq!(run((&a, &y), (&b, &ty), 5, &settings, 7).unwrap(), found);
    assert_ne!(run((&a, &y), (&b, &ty), 5, &settings, 8).unwrap().train_loss, found.train_loss);
    // Labels without a meaning cannot be learnt by test rows: chance is a fifth.
    let shuffled: Vec<u32> = (0..150).map(|i| (i * 7 / 3) % 5).collect();
    let chance = run((&a, &y), (&b, &shuffled), 5, &settings, 7).unwrap();
    assert!(chance.test_accuracy < 0.4 && chance.train_loss == found.train_loss, "{chance:?}");
}

#[test]
fn a_bad_probe_is_refused_with_numbers() {
    let engine = engine();
    let x = Array::normal(&[10, 6], 1.0, 1);
    let rows = windows(&engine, &x, 4);
    let narrow = windows(&engine, &Array::normal(&[10, 3], 1.0, 1), 5);
    let y = [0, 1, 0, 1, 0, 1, 0, 1, 0, 1];
    let usual = Settings { epochs: 1, ..Settings::default() };
    let is = |seen: Result<Outcome>, code: u8, words: &[&str]| {
        let error = seen.unwrap_err();
        let text = error.to_string();
        assert!(error.exit_code() == code && words.iter().all(|w| text.contains(w)), "{text}, not {words:?}");
    };
    let good = (&rows[..], &y[..]);
    let with = |settings: Settings| run(good, good, 2, &settings, 0);
    is(with(Settings { epochs: 0, ..usual.clone() }), 2, &["probe.epochs is 0", "from 1"]);
    is(with(Settings { batch: 0, ..usual.clone() }), 2, &["probe.batch is 0"]);
    is(with(Settings { lr: f64::NAN, ..usual.clone() }), 2, &["probe.lr is NaN"]);
    is(with(Settings { momentum: 1.0, ..usual.clone() }), 2, &["probe.momentum is 1"]);
    is(with(Settings { weight_decay: -1.0, ..usual.clone() }), 2, &["probe.weight_decay is -1"]);
    is(run((&rows, &[0; 13]), good, 2, &usual, 0), 3, &["13 training labels", "windows of 12 rows"]);
    is(run(good, (&rows, &[]), 2, &usual, 0), 3, &["0 test labels"]);
    is(run(good, (&narrow, &y), 2, &usual, 0), 3, &["6 features in training rows, 3 in test rows"]);
    is(run(good, (&rows, &[0, 2]), 2, &usual, 0), 3, &["test rows", "row 1 has label 2", "2 classes"]);
    let mut spoiled = x;
    spoiled.data[4 * 6 + 2] = f64::NAN;
    let spoiled = windows(&engine, &spoiled, 10);
    is(run((&spoiled, &y), good, 2, &usual, 0), 3, &["feature 2 of the 10 training rows"]);
    let wild = Settings { lr: 3e38, standardize: false, epochs: 30, ..usual.clone() };
    is(with(wild), 7, &["after 30 steps", "lower probe.lr"]);
    let stopped = probe::run(
        &engine,
        Features { windows: &rows, labels: &y },
        Features { windows: &rows, labels: &y },
        2,
        &usual,
        0,
        &mut |_, _| Err(relabel::base::Error::Interrupted("stopped".into())),
    );
    is(stopped, 130, &["stopped"]);
}
