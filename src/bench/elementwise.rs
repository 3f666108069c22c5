//! Kernels that go through memory once, at the activations of ResNet-32 and, in full, of ResNet-18, of a layer that no cache
//! holds and of the other networks, and optimizers over their parameters: bytes a second, and the share of a large copy's rate and
//! of that of a copy of the same shape, which caches may hold and whose start counts as much. The copies and all kernels are timed
//! in turns, so that a busy machine slows all.

use super::clock::{Sampled, replays};
use super::networks::NETWORKS;
use super::{Measured, Options, Row};
use crate::base::{DType, Error, Result};
use crate::gpu::clock::{Elapsed, Moment};
use crate::gpu::{Cost, Engine, Program, Recording, readback};
use crate::kernels::work::{self, Tensors};
use crate::kernels::{ceilings, choose};

/// A layer that no cache holds, 64 MiB, in a full run: the second of `assets/configs/folder.toml`.
const LARGE: [usize; 4] = [256, 32, 32, 64];
/// Rows, and the kernel with what is asked of it besides the layer's sizes.
const LAYER: &[(&str, &str, &str)] = &[
    (COPY, "copy", ""),
    ("relu", "relu", ""),
    ("relu_derivative", "relu_derivative", ""),
    ("relu_derivative_sum", "relu_derivative_sum", ""),
    ("axpby", "axpby", ""),
    ("mul", "mul", ""),
    ("add_scaled", "add_scaled", ""),
    ("add_bias", "add_bias", ""),
    ("power", "power", ""),
    ("broadcast", "broadcast", ""),
    ("dropout", "dropout", ""),
    ("sum_rows", "sum_rows", ""),
    ("sum_rows of each image", "sum_rows", IMAGES),
    ("broadcast_rows", "broadcast_rows", IMAGES),
    ("batch_norm_stats", "batch_norm_stats", ""),
    ("batch_norm_apply", "batch_norm_apply", ""),
    ("batch_norm_relu", "batch_norm_relu", ""),
    ("batch_norm_add_relu", "batch_norm_add_relu", ""),
    ("batch_norm_sums", "batch_norm_sums", ""),
    ("batch_norm_relu_sums", "batch_norm_relu_sums", ""),
    ("batch_norm_residual_sums", "batch_norm_residual_sums", ""),
    ("batch_norm_project", "batch_norm_project", ""),
    ("batch_norm_relu_project", "batch_norm_relu_project", ""),
];
/// Kernels over all parameters.
const OPTIMIZERS: [&str; 4] = ["sgd", "adam", "add_into", "gradient_norm"];
/// Layers of networks that come last are left out where another has as many values, up to this share: their rates are the same.
const ALIKE: f64 = 0.1;
/// Sums of each image, which only maps have.
const IMAGES: &str = ",images";
/// The row of a copy of a layer's shape.
const COPY: &str = "copy";

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
/// When the adapter has no room for the copy, or fails.
pub fn elementwise(engine: &Engine, options: &Options) -> Result<Measured> {
    if options.repeats == 0 || options.rows == 0 {
        return Err(Error::Config(format!("bench: repeats and rows must be at least 1: {options:?}")));
    }
    engine.passing(|| in_turns(engine, options))
}

fn in_turns(engine: &Engine, options: &Options) -> Result<Measured> {
    let mut measured = Measured::default();
    let ceiling = ceilings::copied(engine)?;
    let mut all = vec![made_ready(engine, "ceiling: copy", &ceilings::sizes(&ceiling), &ceiling)?];
    for sizes in layers(options)? {
        let made = layer(engine, &sizes, &mut measured)?;
        all.extend(made);
    }
    for count in parameters(options)? {
        let made = optimizers(engine, count, &mut measured)?;
        all.extend(made);
    }
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
    measured.rows = all.iter().map(row).collect();
    Ok(measured)
}

/// The maps that are measured, and AlexNet's rows of features.
fn layers(options: &Options) -> Result<Vec<Vec<usize>>> {
    let mut layers: Vec<Vec<usize>> = Vec::new();
    for label in ["ResNet-32", "ResNet-18"] {
        for network in NETWORKS.iter().filter(|n| n.label == label && (options.full || !n.full)) {
            layers.extend(network.shapes(options)?.maps);
        }
    }
    if options.full {
        layers.push(LARGE.to_vec());
        for network in NETWORKS {
            for map in network.shapes(options)?.maps {
                if !layers.iter().any(|other| alike(other.iter().product(), map.iter().product())) {
                    layers.push(map);
                }
            }
        }
    }
    Ok(layers)
}

/// Whether one count is the other up to [`ALIKE`].
fn alike(a: usize, b: usize) -> bool {
    a.abs_diff(b) as f64 <= ALIKE * a.max(b) as f64
}

/// Parameters of the networks that are measured.
fn parameters(options: &Options) -> Result<Vec<usize>> {
    let mut counts: Vec<usize> = Vec::new();
    for network in NETWORKS.iter().filter(|n| options.full || !n.full) {
        let count = network.shapes(options)?.parameters;
        if !counts.iter().any(|&other| alike(other, count)) {
            counts.push(count);
        }
    }
    Ok(counts)
}

fn layer(engine: &Engine, sizes: &[usize], measured: &mut Measured) -> Result<Vec<Timed>> {
    let shape = sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
    let tensors = Tensors::new(engine);
    let mut made = Vec::new();
    for (name, kernel, more) in LAYER.iter().filter(|(.., more)| more.is_empty() || sizes.len() == 4) {
        let record = work::record(&tensors, kernel, &format!("{shape}{more}"), DType::F32);
        let timed = record.and_then(|record| ready(engine, name, &shape, record));
        made.extend(measured.fitting(name, &shape, timed)?);
    }
    Ok(made)
}

fn optimizers(engine: &Engine, count: usize, measured: &mut Measured) -> Result<Vec<Timed>> {
    let (tensors, shape) = (Tensors::new(engine), format!("{count} parameters"));
    let mut made = Vec::new();
    for kernel in OPTIMIZERS {
        // As a product: a size of a shape is at most a million.
        let record = work::record(&tensors, kernel, &format!("{}x64", count / 64), DType::F32);
        let timed = record.and_then(|record| ready(engine, kernel, &shape, record));
        made.extend(measured.fitting(kernel, &shape, timed)?);
    }
    Ok(made)
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
