//! Kernels that go through memory once, at the shapes of ResNet-32 and, in full, of ResNet-18 and of a layer that no cache holds:
//! bytes a second, and the share of a large copy's rate and of that of a copy of the same shape, which caches may hold and whose
//! start counts as much. The copies and all kernels are timed in turns, so that a busy machine slows all.

use super::clock::{Sampled, replays};
use super::{Options, Row};
use crate::base::{DType, Error, Result, Shape};
use crate::gpu::clock::{Elapsed, Moment};
use crate::gpu::{Cost, Engine, Program, Recording, Tensor, readback};
use crate::kernels::batch_norm::Form;
use crate::kernels::ceilings::{self, noise};
use crate::kernels::{
    add_bias, axpby, batch_norm_add_relu, batch_norm_apply, batch_norm_project, batch_norm_relu,
    batch_norm_relu_project, batch_norm_relu_sums, batch_norm_stats, batch_norm_sums, broadcast_rows, choose, copy,
    join, relu, relu_derivative, relu_derivative_sum, sgd, sum_rows,
};

const EPS: f32 = 1e-5;
/// Height and width, and channels, of ResNet-32's layers.
const RESNET32: [(usize, usize); 3] = [(32, 16), (16, 32), (8, 64)];
/// Those of ResNet-18's at 224 pixels, which are measured in a full run.
const RESNET18: [(usize, usize); 4] = [(56, 64), (28, 128), (14, 256), (7, 512)];
/// A layer that no cache holds, 64 MiB, also in a full run: the second of `assets/configs/folder.toml`.
const LARGE: [usize; 4] = [256, 32, 32, 64];
/// The row of a copy of a layer's shape.
const COPY: &str = "copy";
/// Parameters of ResNet-32 with a head of 40, each tensor at a multiple of 64.
const PARAMETERS: usize = 64 * 7300;

/// A kernel with its sizes, made ready.
struct Timed {
    name: String,
    shape: String,
    cost: Cost,
    program: Program,
    times: usize,
    samples: Vec<Elapsed>,
}

/// Measures the copy that `kernels` takes for the ceiling, and each kernel with the variant that training would take.
///
/// # Errors
/// When the adapter has no room, or fails.
pub fn elementwise(engine: &Engine, options: &Options) -> Result<Vec<Row>> {
    if options.repeats == 0 || options.rows == 0 {
        return Err(Error::Config(format!("bench: repeats and rows must be at least 1: {options:?}")));
    }
    engine.passing(|| in_turns(engine, options))
}

fn in_turns(engine: &Engine, options: &Options) -> Result<Vec<Row>> {
    let ceiling = ceilings::copied(engine)?;
    let mut all = vec![made_ready(engine, "ceiling: copy", &ceilings::sizes(&ceiling), &ceiling)?];
    for (size, channels) in RESNET32 {
        layer(engine, [options.rows, size, size, channels], &mut all)?;
    }
    for (size, channels) in RESNET18.into_iter().filter(|_| options.full) {
        layer(engine, [options.rows.div_ceil(8), size, size, channels], &mut all)?;
    }
    if options.full {
        layer(engine, LARGE, &mut all)?;
    }
    all.push(optimizer(engine)?);
    for timed in &mut all {
        timed.run(engine, 1)?;
        timed.times = replays(options, timed.run(engine, 1)?.wall);
    }
    for _ in 0..options.repeats {
        for timed in &mut all {
            let elapsed = timed.run(engine, timed.times)?;
            timed.samples.push(elapsed);
        }
    }
    // By processor time where it is known: a busy machine disturbs it far less.
    let rate = |timed: &Timed| {
        let median = Sampled::of(&timed.samples).median;
        timed.cost.bytes as f64 / median.processor.unwrap_or(median.wall)
    };
    let row = |timed: &Timed| {
        let row = Row::sampled(&timed.name, &timed.shape, timed.cost, Sampled::of(&timed.samples), options.repeats);
        let share = |copied: &Timed| 100.0 * rate(timed) / rate(copied);
        let own = all.iter().find(|other| other.name == COPY && other.shape == timed.shape);
        let own = own.map_or(String::new(), |own| format!(", {:.0} % of its shape's", share(own)));
        Row { note: format!("{:.0} % of the copy's rate{own}", share(&all[0])), ..row }
    };
    Ok(all.iter().map(row).collect())
}

fn layer(engine: &Engine, sizes: [usize; 4], all: &mut Vec<Timed>) -> Result<()> {
    let [rows, height, width, channels] = sizes;
    let shape = format!("{rows}x{height}x{width}x{channels}");
    let [x, u, residual, out] =
        [noise(engine, &sizes)?, noise(engine, &sizes)?, noise(engine, &sizes)?, noise(engine, &sizes)?];
    let pair = || -> Result<Tensor> {
        let tensor = engine.tensor("pair", Shape::new(&[2, channels]), DType::F32)?;
        engine.write(&tensor, &vec![0.5f32; 2 * channels]);
        Ok(tensor)
    };
    let [stats, sums, affine] = [pair()?, pair()?, pair()?];
    let partial = engine.tensor("partial", batch_norm_sums::scratch(&x.shape), DType::F32)?;
    let column_partial = engine.tensor("partial", sum_rows::scratch(&x.shape), DType::F32)?;
    let (column, images) = (noise(engine, &[channels])?, noise(engine, &[rows, channels])?);
    let form = Form::normalise(EPS);
    let mut add = |name: &str, record: &dyn Fn(&mut Recording) -> Result<()>| -> Result<()> {
        all.push(ready(engine, name, &shape, record)?);
        Ok(())
    };
    add(COPY, &|r| copy::record(r, &x, &out))?;
    add("relu", &|r| relu::record(r, &x, &out))?;
    add("relu_derivative", &|r| relu_derivative::record(r, &x, &u, &out))?;
    add("relu_derivative_sum", &|r| relu_derivative_sum::record(r, &x, &u, &residual, &out))?;
    add("axpby", &|r| axpby::record(r, 1.0, &x, 1.0, &u, &out))?;
    add("add_bias", &|r| add_bias::record(r, &x, &column, &out))?;
    add("sum_rows", &|r| sum_rows::record(r, &x, 1.0, &column_partial, &column))?;
    add("sum_rows of each image", &|r| sum_rows::record_images(r, &x, 1.0, &images))?;
    add("broadcast_rows", &|r| broadcast_rows::record_images(r, &images, 1.0, &out))?;
    add("batch_norm_stats", &|r| batch_norm_stats::record(r, &x, &partial, &stats))?;
    add("batch_norm_apply", &|r| batch_norm_apply::record(r, form, [&x, &stats, &affine], &out))?;
    add("batch_norm_relu", &|r| batch_norm_relu::record(r, EPS, [&x, &stats, &affine], &out))?;
    add("batch_norm_add_relu", &|r| batch_norm_add_relu::record(r, EPS, [&x, &stats, &affine, &residual], &out))?;
    add("batch_norm_sums", &|r| batch_norm_sums::record(r, form, [&x, &stats, &u], &partial, &sums))?;
    add("batch_norm_relu_sums", &|r| batch_norm_relu_sums::record(r, EPS, [&x, &stats, &affine, &u], &partial, &sums))?;
    add("batch_norm_residual_sums", &|r| {
        relu_derivative_sum::record(r, &x, &u, &residual, &out)?;
        batch_norm_sums::record(r, form, [&x, &stats, &out], &partial, &sums)?;
        join::join(r)
    })?;
    add("batch_norm_project", &|r| batch_norm_project::record(r, EPS, [&x, &stats, &u, &sums, &affine], &out))?;
    add("batch_norm_relu_project", &|r| batch_norm_relu_project::record(r, EPS, [&x, &stats, &u, &sums, &affine], &out))
}

fn optimizer(engine: &Engine) -> Result<Timed> {
    let flat = || noise(engine, &[PARAMETERS]);
    let [grads, weights, velocity] = [flat()?, flat()?, flat()?];
    let (mask, scale) = (noise(engine, &[PARAMETERS / 64])?, engine.tensor("scale", Shape::new(&[1]), DType::F32)?);
    // Below zero the step would be left out.
    engine.write(&scale, &[1.0f32]);
    let step = engine.tensor("step", Shape::new(&[8]), DType::U32)?;
    engine.write_words(&step, &[1, 0.001f32.to_bits(), 0, 0, 0, 0, 0, 0]);
    let settings = sgd::Settings { momentum: 0.9, weight_decay: 1e-4, nesterov: false };
    let buffers =
        sgd::Buffers { step: &step, grads: &grads, mask: &mask, scale: &scale, weights: &weights, velocity: &velocity };
    ready(engine, "sgd", &format!("{PARAMETERS} parameters"), |r| sgd::record(r, settings, buffers))
}

fn ready(engine: &Engine, name: &str, shape: &str, record: impl FnOnce(&mut Recording) -> Result<()>) -> Result<Timed> {
    let mut recording = Recording::new();
    recording.variants = choose::preferred(engine);
    recording.label(name);
    record(&mut recording)?;
    made_ready(engine, name, shape, &recording)
}

fn made_ready(engine: &Engine, name: &str, shape: &str, recording: &Recording) -> Result<Timed> {
    // Only what the mathematics needs: the second stage of a sum is overhead, not work.
    let cost = recording.dispatches[0].cost;
    Ok(Timed {
        name: name.into(),
        shape: shape.into(),
        cost,
        program: Program::new(engine, recording)?,
        times: 1,
        samples: Vec::new(),
    })
}

impl Timed {
    /// Each of `times` runs.
    fn run(&self, engine: &Engine, times: usize) -> Result<Elapsed> {
        let start = Moment::now(engine);
        self.program.run(engine, times)?;
        readback::wait(engine)?;
        Ok(start.elapsed(engine, times))
    }
}
