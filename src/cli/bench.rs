//! `relabel bench`: speed of kernels, label assignment and training steps.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::settings::{SHOWN, open};
use super::{device_options, output, variants as shown};
use crate::base::{Error, Result};
use crate::bench::maxl::Size as MetaSize;
use crate::bench::{self, Options, Row};

/// What to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// All parts but the breakdown.
    All,
    /// The adapter's two ceilings, matrix products and convolutions.
    Kernels,
    /// Kernels that go through memory once, beside a copy.
    Elementwise,
    /// Random-resized crops and colour jitter.
    Images,
    /// Iterations of label assignment (Sinkhorn-Knopp), beside a copy of as many bytes.
    Sinkhorn,
    /// Training steps on labels of its own beside supervised ones, and an update of the labels.
    Sela,
    /// Meta steps of MAXL in their forms, beside a plain training step.
    Maxl,
    /// Whole training steps.
    Steps,
    /// Which kernels take the time of the training steps.
    Breakdown,
}

/// Time kernels, label assignment and training steps on an adapter.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// What to time.
    #[arg(value_enum, default_value = "all")]
    part: Part,
    /// Only steps whose name holds this text (for `breakdown`).
    #[arg(long, value_name = "TEXT", default_value = "")]
    step: String,
    /// Also write the results to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Rows of ResNet-32's layers.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    rows: u32,
    /// Rows of the demo network's layers.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    demo_rows: u32,
    /// Samples of the assignment (default: 50000 with 128 clusters, then 100000 with 1000).
    #[arg(long, requires = "clusters", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    samples: Option<u32>,
    /// Clusters of the assignment.
    #[arg(long, requires = "samples", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clusters: Option<u32>,
    /// Rows of MAXL's steps (100 as published).
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    maxl_batch: u32,
    /// Channels of VGG-16's five blocks in MAXL's steps (64 128 256 512 512 as published).
    #[arg(long, num_args = 5, value_name = "N", default_values_t = [16, 32, 64, 128, 128], value_parser = clap::value_parser!(u32).range(1..=65_536))]
    maxl_widths: Vec<u32>,
    /// Timed samples of each; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,
    /// Keep wgpu's checks in the shaders.
    #[arg(long)]
    safe_shaders: bool,
}

pub(super) fn run(args: &BenchArgs, adapter: Option<&str>, variants: Option<&str>) -> Result<()> {
    let mut device = device_options(adapter)?;
    // A debug build times what a release build runs.
    device.checked = args.safe_shaders;
    let engine = open(&device, variants)?;
    if variants == Some(SHOWN) {
        return shown::show(&engine);
    }
    let options = Options {
        rows: args.rows as usize,
        demo_rows: args.demo_rows as usize,
        repeats: args.repeats as usize,
        ..Options::default()
    };
    output::print(&format!("adapter: {}\n", engine.describe()))?;
    let mut rows = Vec::new();
    if matches!(args.part, Part::All | Part::Kernels) {
        rows.extend(bench::kernels(&engine, &options)?);
    }
    if matches!(args.part, Part::All | Part::Elementwise) {
        rows.extend(bench::elementwise(&engine, &options)?);
    }
    if matches!(args.part, Part::All | Part::Images) {
        rows.extend(bench::images(&engine, &options)?);
    }
    if matches!(args.part, Part::All | Part::Sinkhorn) {
        let sizes = match (args.samples, args.clusters) {
            (Some(n), Some(k)) => vec![(n as usize, k as usize)],
            _ => bench::sinkhorn::SIZES.to_vec(),
        };
        rows.extend(bench::sinkhorn(&engine, &options, &sizes)?);
    }
    if matches!(args.part, Part::All | Part::Sela) {
        rows.extend(bench::sela(&engine, &options)?);
    }
    if matches!(args.part, Part::All | Part::Maxl) {
        let mut size = MetaSize { batch: args.maxl_batch as usize, ..MetaSize::default() };
        size.widths.iter_mut().zip(&args.maxl_widths).for_each(|(width, &given)| *width = given as usize);
        rows.extend(bench::maxl(&engine, &options, size)?);
    }
    if matches!(args.part, Part::All | Part::Steps) {
        rows.extend(bench::steps(&engine, &options)?);
    }
    if args.part == Part::Breakdown {
        rows.extend(bench::breakdown(&engine, &options, &args.step)?);
    }
    output::print(&format!("{}\n", table(&rows)))?;
    let Some(path) = &args.json else { return Ok(()) };
    let report = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "adapter": engine.describe(),
        "safe_shaders": args.safe_shaders,
        "rows": rows,
    });
    let text = serde_json::to_string_pretty(&report).map_err(|e| Error::io("writing", path, e.into()))?;
    std::fs::write(path, text + "\n").map_err(|e| Error::io("writing", path, e))
}

fn table(rows: &[Row]) -> comfy_table::Table {
    let mut table = output::table();
    table.set_header(["what", "shape", "ms", "GFLOP/s", "GB/s", "images/s", "spread"]);
    for row in rows {
        let rate = |v: f64| if v > 0.0 { format!("{v:.1}") } else { String::new() };
        table.add_row([
            row.name.clone(),
            row.shape.clone(),
            format!("{:.3}", row.milliseconds),
            rate(row.gflops),
            rate(row.gbytes_per_s),
            rate(row.images_per_s),
            format!("{:.0} %", 100.0 * row.spread),
        ]);
    }
    table
}
