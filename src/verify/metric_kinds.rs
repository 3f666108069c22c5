//! Golden kind `metrics`: how results are judged.

use super::Answer;
use super::golden::Golden;
use crate::base::{DType, Error, Result, Shape};
use crate::eval::knn::{self, SCRATCH};
use crate::eval::{Contingency, auroc};
use crate::gpu::{Engine, Tensor};

/// Rows whose best two votes are closer than this part of all votes may go either way.
const NEAR_TIE: f64 = 1e-4;

/// Labels: whole numbers from 0.
fn labels(golden: &Golden, name: &str) -> Result<Vec<u32>> {
    let found = golden.input(name)?;
    match found.values.iter().find(|v| !(**v >= 0.0 && v.fract() == 0.0 && **v < f64::from(u32::MAX))) {
        None => Ok(found.u32()),
        Some(value) => Err(Error::Data(format!("`in.{name}` holds {value}, which is no label"))),
    }
}

/// Features `(N, D)` in windows on the device, of odd sizes so that one window does not hide an error.
fn features(engine: &Engine, golden: &Golden, name: &str) -> Result<(Vec<Tensor>, usize)> {
    let found = golden.input(name)?;
    let &[rows, columns] = found.sizes.as_slice() else {
        return Err(Error::Data(format!("`in.{name}` has sizes {:?}, not (N, D)", found.sizes)));
    };
    if rows == 0 || columns == 0 {
        return Err(Error::Data(format!("`in.{name}` has sizes {:?}: it is empty", found.sizes)));
    }
    let mut windows = Vec::new();
    for part in found.f32().chunks((rows / 3 + 1) * columns) {
        let window = engine.tensor(name, Shape::new(&[part.len() / columns, columns]), DType::F32)?;
        engine.write(&window, part);
        windows.push(window);
    }
    Ok((windows, rows))
}

pub(super) fn metrics(engine: &Engine, golden: &Golden) -> Result<Vec<Answer>> {
    let area = auroc(&golden.input("scores_in")?.values, &golden.input("scores_out")?.values)?;
    let table = Contingency::new(&labels(golden, "labels_true")?, &labels(golden, "labels_found")?)?;
    let mut answers: Vec<Answer> = Vec::new();
    let numbers = [("auroc", area), ("nmi", table.nmi()), ("ami", table.ami()), ("ari", table.adjusted_rand_index())];
    answers.extend(numbers.map(|(name, value)| (name.to_owned(), vec![value as f32])));

    let (classes, k) = (golden.count("classes")?, golden.count("neighbours")?);
    let settings = knn::Settings { k, temperature: golden.number("temperature")? };
    let ((train, n), (test, rows)) =
        (features(engine, golden, "train_features")?, features(engine, golden, "test_features")?);
    let y = labels(golden, "train_labels")?;
    if y.len() != n {
        return Err(Error::Data(format!("{} `in.train_labels` for {n} rows of `in.train_features`", y.len())));
    }
    let mut chosen = knn::classify(engine, &train, &y, &test, rows, classes, &settings)?;
    let found = knn::neighbours(engine, &train, n, &test, rows, k, SCRATCH)?;
    let margins: Vec<f32> = (0..rows)
        .map(|row| {
            let mut votes = found.votes(row, &y, classes, settings.temperature);
            votes.sort_by(|a, b| b.total_cmp(a));
            (votes[0] - votes.get(1).copied().unwrap_or(0.0)) as f32
        })
        .collect();
    let (expected, margin) = (golden.output("knn_prediction")?.u32(), &golden.output("knn_margin")?.values);
    for ((own, expected), margin) in chosen.iter_mut().zip(expected).zip(margin) {
        if *margin < NEAR_TIE {
            *own = expected;
        }
    }
    answers.push(("knn_prediction".into(), chosen.iter().map(|&c| c as f32).collect()));
    answers.push(("knn_margin".into(), margins));
    Ok(answers)
}
