//! Kernels one by one: the two ceilings, square matrix products, and the products of whole networks.

use super::clock::{Sampled, sampled};
use super::products::products;
use super::steps::Share;
use crate::base::{DType, Error, Result};
use crate::gpu::{Cost, Dispatch, Engine, Factors, Program, Recording, Variants, WAY_OUT, readback};
use crate::kernels::ceilings::{self, noise};
use crate::kernels::{choose, matmul, matmul_coop, tune};

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Rows of ResNet-32's layers; the other networks' rows follow from it.
    pub rows: usize,
    /// Rows of the demo network's layers.
    pub demo_rows: usize,
    /// Sides of the square matrices.
    pub sides: &'static [usize],
    /// Whether the large networks are measured too.
    pub full: bool,
    /// Timed samples of each kernel; the median counts.
    pub repeats: usize,
    /// Shortest sample in seconds: a kernel is replayed until it takes that long.
    pub sample: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { rows: 32, demo_rows: 128, sides: &[512, 1024], full: false, repeats: 5, sample: 0.02 }
    }
}

impl Options {
    /// What an adapter of this kind is measured with: a GPU gets as many rows as training gives it, and all networks.
    pub fn of(engine: &Engine) -> Self {
        match engine.info().device_type {
            wgpu::DeviceType::Cpu => Self::default(),
            _ => Self { rows: 512, demo_rows: 512, sides: &[512, 1024, 4096], full: true, ..Self::default() },
        }
    }
}

/// One measured kernel or step.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Row {
    /// Kernel, or the ceiling it shows.
    pub name: String,
    /// Sizes in words.
    pub shape: String,
    /// Median time of one run.
    pub milliseconds: f64,
    /// 10⁹ floating-point operations a second that the mathematics needs; a multiply-add is two.
    pub gflops: f64,
    /// 10⁹ bytes a second, each tensor counted once.
    pub gbytes_per_s: f64,
    /// Images a second, for training steps; else 0.
    pub images_per_s: f64,
    /// Timed samples.
    pub repeats: usize,
    /// (slowest − fastest) / median of the samples.
    pub spread: f64,
    /// What was seen on the way, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Median processor time of one run, all threads added up: on software adapters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor_milliseconds: Option<f64>,
    /// The least disturbed sample: of processor time where that is known, else of `milliseconds`. What two files are
    /// compared by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_milliseconds: Option<f64>,
    /// Steps: time of the host to write a batch, to record and to submit, without waiting for the device; none where a
    /// submission itself waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_milliseconds: Option<f64>,
    /// Steps: the part of the time in which the device waits for the host, an estimate: what a step takes longer than the
    /// same dispatches replayed in one submission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<f64>,
    /// Steps: bytes of the plan, which holds what a step keeps until it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_bytes: Option<u64>,
    /// Steps: bytes of all tensors of the run, weights and images included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocated_bytes: Option<u64>,
    /// Steps, on devices with timestamps: the kernels that take most of the device's time, largest first, and the rest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernels: Vec<Share>,
}

impl Row {
    /// A row of what was sampled. Rates follow from `cost`.
    pub(super) fn sampled(name: &str, shape: &str, cost: Cost, sampled: Sampled, repeats: usize) -> Self {
        let seconds = sampled.median.wall;
        Self {
            name: name.to_owned(),
            shape: shape.to_owned(),
            milliseconds: 1e3 * seconds,
            gflops: cost.operations as f64 / seconds / 1e9,
            gbytes_per_s: cost.bytes as f64 / seconds / 1e9,
            repeats,
            spread: sampled.spread,
            processor_milliseconds: sampled.median.processor.map(|s| 1e3 * s),
            best_milliseconds: Some(1e3 * sampled.best),
            ..Self::default()
        }
    }
}

/// What was measured, and what was not because the adapter has no room for it.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// In the order of the run.
    pub rows: Vec<Row>,
    /// Name, shape and reason of each.
    pub left_out: Vec<String>,
}

impl Measured {
    /// Adds what came of measuring `name` at `shape`: what does not fit costs the other rows nothing.
    ///
    /// # Errors
    /// When it failed for another reason than memory.
    pub(super) fn add(&mut self, name: &str, shape: &str, row: Result<Row>) -> Result<()> {
        self.fitting(name, shape, row).map(|row| self.rows.extend(row))
    }

    /// What came of `name` at `shape`, or nothing where it does not fit, which is told.
    ///
    /// # Errors
    /// When it failed for another reason than memory.
    pub(super) fn fitting<T>(&mut self, name: &str, shape: &str, made: Result<T>) -> Result<Option<T>> {
        match made {
            Ok(made) => Ok(Some(made)),
            // Fewer rows are no way out: they are another row.
            Err(Error::Memory(text)) => {
                let text = text.replace(WAY_OUT, "");
                self.left_out.push(format!("{name} {shape}: {}", text.trim_end()));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Measures the kernels with the variants that training would take.
///
/// # Errors
/// When the adapter fails, or has no room for the ceilings and square matrices.
pub fn kernels(engine: &Engine, options: &Options) -> Result<Measured> {
    if options.repeats == 0 || options.rows == 0 || options.demo_rows == 0 || options.sides.contains(&0) {
        return Err(Error::Config(format!("bench: repeats, rows and sizes must be at least 1: {options:?}")));
    }
    let mut rows = ceilings(engine, options)?;
    for &side in options.sides {
        rows.extend(square(engine, options, side)?);
    }
    let mut measured = Measured { rows, left_out: Vec::new() };
    products(engine, options, &mut measured)?;
    Ok(measured)
}

fn ceilings(engine: &Engine, options: &Options) -> Result<Vec<Row>> {
    engine.passing(|| {
        let [operations, bytes] = ceilings::recordings(engine)?;
        Ok(vec![
            timed(engine, options, "ceiling: multiply-adds", &ceilings::sizes(&operations), &operations)?,
            timed(engine, options, "ceiling: copy", &ceilings::sizes(&bytes), &bytes)?,
        ])
    })
}

fn square(engine: &Engine, options: &Options, side: usize) -> Result<Vec<Row>> {
    let [a, b, out] = [noise(engine, &[side, side])?, noise(engine, &[side, side])?, noise(engine, &[side, side])?];
    let mut rows = Vec::new();
    for (mark, ta, tb) in [("a·b", false, false), ("a·bᵀ", false, true), ("aᵀ·b", true, false), ("aᵀ·bᵀ", true, true)]
    {
        rows.push(measure(engine, options, "matmul", &format!("{mark}, {side}"), |r| {
            matmul::record(r, &a, &b, ta, tb, &out)
        })?);
    }
    let variants = Variants { factors: Factors::Half, ..choose::preferred(engine) };
    if variants.names(&matmul_coop::SHADER) {
        let half = |seed| tune::random(engine, &[side, side], DType::F16, seed);
        let [a, b, out] = [half(1)?, half(2)?, half(3)?];
        let mut recording = Recording::new();
        recording.variants = variants;
        matmul::record(&mut recording, &a, &b, false, false, &out)?;
        rows.push(timed(engine, options, "matmul f16", &format!("a·b, {side}"), &recording)?);
    }
    Ok(rows)
}

pub(super) fn measure(
    engine: &Engine,
    options: &Options,
    name: &str,
    shape: &str,
    record: impl FnOnce(&mut Recording) -> Result<()>,
) -> Result<Row> {
    let mut recording = Recording::new();
    recording.variants = choose::preferred(engine);
    recording.label(name);
    record(&mut recording)?;
    timed(engine, options, name, shape, &recording)
}

/// A row of a recording that is made already.
fn timed(engine: &Engine, options: &Options, name: &str, shape: &str, recording: &Recording) -> Result<Row> {
    // Only what the mathematics needs: transforms and the second stage of a split sum are overhead, not work.
    // All dispatches of the kernel that does the work, not what prepares it or adds its parts.
    let largest = recording.dispatches.iter().max_by_key(|d| (d.cost.operations, d.cost.bytes));
    let name_of = |d: &Dispatch| d.shader.name;
    let own = recording.dispatches.iter().filter(|d| largest.map(name_of) == Some(name_of(d)));
    let cost = own.map(|d| d.cost).sum();
    let program = Program::new(engine, recording)?;
    let sampled = sampled(engine, options, |times| {
        program.run(engine, times)?;
        readback::wait(engine)
    })?;
    Ok(Row::sampled(name, shape, cost, sampled, options.repeats))
}
