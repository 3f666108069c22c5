//! Weighted nearest neighbours of cached features, on the device, window by window (Wu, Xiong, Yu and Lin,
//! "Unsupervised feature learning via non-parametric instance discrimination", 2018, section 3.4): cosine similarity,
//! the k most similar training rows vote for their class with weight `exp(similarity / temperature)`.

use serde::{Deserialize, Serialize};

use crate::base::{DType, Error, Result, Shape};
use crate::gpu::{Engine, Program, Recording, Tensor, readback};
use crate::kernels::top_k::{self, LOWEST, NONE};
use crate::kernels::{choose, matmul, normalize_rows};

/// The `[knn]` section: how neighbours vote. The defaults are those of SeLa's official code (K = 10, σ = 0.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Neighbours that vote, from 1 to [`top_k::MOST`].
    pub k: usize,
    /// What similarities are divided by in the exponent of a vote, above 0.
    pub temperature: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { k: 10, temperature: 0.1 }
    }
}

/// Device memory for similarities and normalised rows unless a caller says otherwise: 64 MiB hold 1,024 test rows by
/// 8,192 training rows of 512 features twice over.
pub const SCRATCH: u64 = 64 << 20;
/// Rows whose bytes are a multiple of 256, whatever their length: blocks start at multiples of it.
const STEP: usize = 64;
/// Test rows at once, where memory allows: enough to fill a large GPU with a group a row.
const MOST_TEST: usize = 1024;
/// Training rows at once: with more, similarities only leave the caches.
const MOST_TRAIN: usize = 8192;

/// The nearest training rows of each test row.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbours {
    /// Neighbours of each test row.
    pub k: usize,
    /// Training rows `(test rows, k)`: the most similar first, of equally similar ones the lower number.
    pub rows: Vec<u32>,
    /// Their cosine similarities, in [−1, 1] up to rounding.
    pub similarities: Vec<f32>,
}

impl Neighbours {
    /// The votes for each class by test row `test`, as parts of their sum.
    ///
    /// # Panics
    /// When a label of a neighbour is no class; [`classify`] checks that before.
    pub fn votes(&self, test: usize, labels: &[u32], classes: usize, temperature: f64) -> Vec<f64> {
        let place = test * self.k..(test + 1) * self.k;
        let (rows, similarities) = (&self.rows[place.clone()], &self.similarities[place]);
        let mut votes = vec![0.0; classes];
        // Relative to the nearest, so that no temperature overflows.
        let nearest = f64::from(similarities[0]);
        for (&row, &similarity) in rows.iter().zip(similarities) {
            votes[labels[row as usize] as usize] += ((f64::from(similarity) - nearest) / temperature).exp();
        }
        let total: f64 = votes.iter().sum();
        votes.iter_mut().for_each(|v| *v /= total);
        votes
    }
}

/// The class of each of `test_rows` test rows by the votes of its neighbours; of equal votes the lower class.
///
/// `train` and `test` are windows `(W, D)` of rows one after the other; the training rows that count are as many as
/// `labels`. Classes are 0 to `classes - 1`.
///
/// # Errors
/// When a setting is out of range, k is above the number of training rows, a label is no class, or as [`neighbours`].
pub fn classify(
    engine: &Engine,
    train: &[Tensor],
    labels: &[u32],
    test: &[Tensor],
    test_rows: usize,
    classes: usize,
    settings: &Settings,
) -> Result<Vec<u32>> {
    check_labels(labels, classes)?;
    let t = settings.temperature;
    if !(t > 0.0 && t.is_finite()) {
        return Err(Error::Config(format!("knn.temperature = {t}: it must be a number above 0")));
    }
    let found = neighbours(engine, train, labels.len(), test, test_rows, settings.k, SCRATCH)?;
    Ok((0..test_rows)
        .map(|row| {
            let votes = found.votes(row, labels, classes, t);
            (1..classes).fold(0, |best, c| if votes[c] > votes[best] { c } else { best }) as u32
        })
        .collect())
}

/// Refuses labels that are no class.
///
/// # Errors
/// Naming the first such row.
pub fn check_labels(labels: &[u32], classes: usize) -> Result<()> {
    match labels.iter().position(|&l| l as usize >= classes) {
        None => Ok(()),
        Some(row) => {
            Err(Error::Data(format!("row {row} has label {}, and there are {classes} classes from 0", labels[row])))
        }
    }
}

/// The `k` nearest of the first `train_rows` rows of `train` for each of the first `test_rows` rows of `test`, by cosine
/// similarity. Both come as windows `(W, D)`, one after the other. `scratch` bytes of device memory are used beside them
/// and beside the lists of neighbours.
///
/// # Errors
/// When k is 0, above the number of training rows or above [`top_k::MOST`]; when the windows hold fewer rows than said
/// or differ in D; when `scratch` is too small for one block; when features are not finite.
pub fn neighbours(
    engine: &Engine,
    train: &[Tensor],
    train_rows: usize,
    test: &[Tensor],
    test_rows: usize,
    k: usize,
    scratch: u64,
) -> Result<Neighbours> {
    let most = top_k::MOST.min(train_rows);
    if k == 0 || k > most {
        return Err(Error::Config(format!(
            "knn.k = {k}: it must be from 1 to {most}, there are {train_rows} training rows and at most {} neighbours",
            top_k::MOST
        )));
    }
    let columns = columns(train, train_rows, "training")?;
    let test_columns = self::columns(test, test_rows, "test")?;
    if columns != test_columns {
        return Err(Error::Data(format!("{columns} features in training rows, {test_columns} in test rows")));
    }
    let sizes = block_sizes(engine, columns, train_rows, test_rows, scratch)?;
    let test_rows_at_once = sizes[0].min(test_rows);
    let make = |label: &str, sizes: [usize; 2], dtype| engine.tensor(label, Shape::new(&sizes), dtype);
    let buffers = [
        make("test rows, normalised", [test_rows_at_once, columns], DType::F32)?,
        make("training rows, normalised", [sizes[1], columns], DType::F32)?,
        make("similarities", [test_rows_at_once, sizes[1]], DType::F32)?,
        make("neighbours' similarities", [test_rows_at_once, k], DType::F32)?,
        make("neighbours", [test_rows_at_once, k], DType::U32)?,
    ];
    let train = blocks(train, train_rows, sizes[1]);
    let mut found = Neighbours { k, rows: Vec::new(), similarities: Vec::new() };
    for (_, test) in blocks(test, test_rows, sizes[0]) {
        let rows = test.shape.rows();
        // The first rows of the buffers; similarities are packed anew for each block.
        let first = |t: &Tensor, rows: usize, columns: usize| t.window(0, Shape::new(&[rows, columns]));
        let (test_unit, values, places) =
            (first(&buffers[0], rows, columns), first(&buffers[3], rows, k), first(&buffers[4], rows, k));
        let recording = engine.settled(&choose::preferred(engine), |variants| {
            let mut recording = Recording::new();
            recording.variants.clone_from(variants);
            recording.label("nearest neighbours");
            normalize_rows::record(&mut recording, &test, &test_unit)?;
            for (i, (base, block)) in train.iter().enumerate() {
                let unit = first(&buffers[1], block.shape.rows(), columns);
                let similarities = first(&buffers[2], rows, block.shape.rows());
                normalize_rows::record(&mut recording, block, &unit)?;
                matmul::record(&mut recording, &test_unit, &unit, false, true, &similarities)?;
                top_k::record(&mut recording, &similarities, *base, i == 0, &values, &places)?;
            }
            Ok(recording)
        })?;
        Program::new(engine, &recording)?.run(engine, 1)?;
        found.similarities.extend(readback::read::<f32>(engine, &values)?);
        found.rows.extend(readback::read::<u32>(engine, &places)?);
    }
    if let Some(at) = found.rows.iter().zip(&found.similarities).position(|(&r, &s)| r == NONE || s == LOWEST) {
        return Err(Error::Data(format!(
            "test row {} has {} neighbours of finite similarity, {k} were asked for: features are NaN or infinite",
            at / k,
            at % k
        )));
    }
    Ok(found)
}

/// D of windows that hold at least `rows` rows.
fn columns(windows: &[Tensor], rows: usize, what: &str) -> Result<usize> {
    let first = windows.first().map_or(0, |w| w.shape.last());
    let mut held = 0;
    for window in windows {
        let [rows, columns] = window.matrix("features")?;
        if columns != first {
            return Err(Error::Shape(format!("windows of {what} rows with {first} and {columns} features")));
        }
        held += rows;
    }
    if rows == 0 || held < rows {
        return Err(Error::Data(format!("{rows} {what} rows in windows of {held}; there must be at least one")));
    }
    Ok(first)
}

/// Test and training rows at once, both multiples of [`STEP`]: as many as `scratch` bytes and one binding hold.
fn block_sizes(
    engine: &Engine,
    columns: usize,
    train_rows: usize,
    test_rows: usize,
    scratch: u64,
) -> Result<[usize; 2]> {
    let limits = engine.limits();
    let binding = limits.max_buffer_size.min(limits.max_storage_buffer_binding_size);
    let stride = Shape::new(&[1, columns]).bytes();
    let up = |rows: usize, most: usize| rows.next_multiple_of(STEP).min(most);
    let mut sizes = [up(test_rows, MOST_TEST), up(train_rows, MOST_TRAIN)];
    loop {
        let [test, train] = sizes.map(|n| n as u64);
        let parts = [test * stride, train * stride, 4 * test * train];
        let needed = parts.iter().sum::<u64>();
        if needed <= scratch && parts.iter().all(|&p| p <= binding) {
            return Ok(sizes);
        }
        // The larger block is cut first.
        let larger = usize::from(sizes[1] >= sizes[0]);
        if sizes[larger] == STEP {
            return Err(Error::Memory(format!(
                "nearest neighbours of {columns} features: a block of {STEP} by {STEP} rows needs {needed} bytes, \
                 {scratch} are given and {} allows {binding} in one binding",
                engine.describe()
            )));
        }
        sizes[larger] = (sizes[larger] / 2).next_multiple_of(STEP);
    }
}

/// Cuts the first `rows` rows of windows into blocks of at most `most` rows, a multiple of [`STEP`]: each with the number
/// of its first row. Only the rows that count are part of a block.
fn blocks(windows: &[Tensor], rows: usize, most: usize) -> Vec<(usize, Tensor)> {
    let (mut blocks, mut base) = (Vec::new(), 0);
    for window in windows {
        let held = window.shape.rows().min(rows - base);
        for first in (0..held).step_by(most) {
            let sizes = [most.min(held - first), window.shape.last()];
            let offset = (first * window.shape.stride() * 4) as u64;
            blocks.push((base + first, window.window(offset, Shape::new(&sizes))));
        }
        base += held;
    }
    blocks
}
