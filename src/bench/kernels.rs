//! Kernels one by one: the two ceilings, matrix products, and convolutions with both gradients.

use crate::base::{DType, Error, Result, Shape};
use crate::gpu::timing::{Sampling, timed};
use crate::gpu::{Engine, Recording};
use crate::kernels::ceilings::{self, Ceiling, Ceilings, noise};
use crate::kernels::conv2d::{Convolution, Geometry};
use crate::kernels::{choose, conv2d, conv2d_input_grad, conv2d_weight_grad, matmul};

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Rows of ResNet-32's layers.
    pub rows: usize,
    /// Rows of the demo network's layers.
    pub demo_rows: usize,
    /// Side of the square matrices.
    pub side: usize,
    /// Timed samples of each kernel; the median counts.
    pub repeats: usize,
    /// Shortest sample in seconds: a kernel is replayed until it takes that long.
    pub sample: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { rows: 32, demo_rows: 256, side: 512, repeats: 5, sample: 0.02 }
    }
}

impl Options {
    /// How often and how long each kernel is timed.
    pub fn sampling(&self) -> Sampling {
        Sampling { repeats: self.repeats, seconds: self.sample }
    }
}

/// One measured kernel.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
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
}

/// Measures the kernels with the variants that training would take.
///
/// # Errors
/// When the adapter has no room, or fails.
pub fn kernels(engine: &Engine, options: &Options) -> Result<Vec<Row>> {
    if options.repeats == 0 || options.rows == 0 || options.demo_rows == 0 || options.side == 0 {
        return Err(Error::Config(format!("bench: repeats, rows and sizes must be at least 1: {options:?}")));
    }
    let mut rows = ceilings(engine, options)?;
    rows.extend(products(engine, options)?);
    for (label, input, outputs, stride) in layers(options) {
        rows.extend(convolutions(engine, options, &label, input, outputs, stride)?);
    }
    Ok(rows)
}

/// Convolutions of 3 × 3 with a border of 1: name, `[R, H, W, C]`, output channels, stride.
fn layers(options: &Options) -> Vec<(String, [usize; 4], usize, usize)> {
    let resnet = [(32, 16), (16, 32), (8, 64)];
    let demo = [(28, 1, 16, 2), (14, 16, 32, 1), (14, 32, 64, 2), (7, 64, 64, 1)];
    let resnet = resnet.map(|(size, c)| ("ResNet-32".to_owned(), [options.rows, size, size, c], c, 1));
    let demo = demo.map(|(size, c, n, stride)| ("demo".to_owned(), [options.demo_rows, size, size, c], n, stride));
    resnet.into_iter().chain(demo).collect()
}

fn ceilings(engine: &Engine, options: &Options) -> Result<Vec<Row>> {
    let Ceilings { operations, bytes } = ceilings::ceilings(engine, options.sampling())?;
    let row = |name: &str, shape: String, Ceiling { cost, seconds, spread }: Ceiling| Row {
        name: format!("ceiling: {name}"),
        shape,
        milliseconds: seconds * 1e3,
        gflops: cost.operations as f64 / seconds / 1e9,
        gbytes_per_s: cost.bytes as f64 / seconds / 1e9,
        images_per_s: 0.0,
        repeats: options.repeats,
        spread,
    };
    let copied = format!("{} MiB", Shape::new(&ceilings::COPIED).bytes() >> 20);
    Ok(vec![row("multiply-adds", "registers alone".into(), operations), row("copy", copied, bytes)])
}

fn products(engine: &Engine, options: &Options) -> Result<Vec<Row>> {
    let side = options.side;
    let [a, b, out] = [noise(engine, &[side, side])?, noise(engine, &[side, side])?, noise(engine, &[side, side])?];
    let mut rows = Vec::new();
    for (mark, ta, tb) in [("a·b", false, false), ("a·bᵀ", false, true), ("aᵀ·b", true, false), ("aᵀ·bᵀ", true, true)]
    {
        rows.push(measure(engine, options, "matmul", &format!("{mark}, {side}"), |r| {
            matmul::record(r, &a, &b, ta, tb, &out)
        })?);
    }
    Ok(rows)
}

fn convolutions(
    engine: &Engine,
    options: &Options,
    label: &str,
    input: [usize; 4],
    outputs: usize,
    stride: usize,
) -> Result<Vec<Row>> {
    let convolution = Convolution { stride, padding: 1 };
    let g = Geometry::new(input, [3, 3], outputs, convolution)?;
    let [x, w, y] = [noise(engine, &g.input)?, noise(engine, &g.weights())?, noise(engine, &g.output)?];
    let part = engine.tensor("part", conv2d_weight_grad::scratch(&g), DType::F32)?;
    let [r, h, width, c] = input;
    let shape = format!("{label} {r}x{h}x{width}x{c} to {outputs}, stride {stride}");
    Ok(vec![
        measure(engine, options, "conv2d", &shape, |r| conv2d::record(r, &x, &w, convolution, &y))?,
        measure(engine, options, "conv2d_input_grad", &shape, |r| {
            conv2d_input_grad::record(r, &y, &w, convolution, &x)
        })?,
        measure(engine, options, "conv2d_weight_grad", &shape, |r| {
            conv2d_weight_grad::record(r, &x, &y, convolution, &part, &w)
        })?,
    ])
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
    // Only what the mathematics needs: the second stage of a split sum is overhead, not work.
    let cost = recording.dispatches[0].cost;
    let (median, spread) = timed(engine, options.sampling(), &recording)?;
    Ok(Row {
        name: name.to_owned(),
        shape: shape.to_owned(),
        milliseconds: median * 1e3,
        gflops: cost.operations as f64 / median / 1e9,
        gbytes_per_s: cost.bytes as f64 / median / 1e9,
        images_per_s: 0.0,
        repeats: options.repeats,
        spread,
    })
}
