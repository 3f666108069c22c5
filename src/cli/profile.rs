//! `relabel profile`: where the time of a training step goes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::settings::{open, open_measuring, settle};
use super::{device_options, load_config, output};
use crate::base::{Error, Result};
use crate::bench::{self, Case};
use crate::gpu::timing::Sampling;
use crate::gpu::trace::{Clock, Trace};
use crate::gpu::{self, Build, Engine};
use crate::graph::Way;
use crate::kernels::ceilings;
use crate::profile::kernel::{Forms, all_shapes, forms};
use crate::profile::{self, By, Group, Options, Profile, Roofline, group, languages, plot, timeline};
use crate::session;
use crate::session::synthetic::Noise;
use crate::train::Trainer;
use crate::train::config::Config;

/// What helps when memory does not suffice for a step on images of noise.
const SMALLER: &str = "Take fewer --rows (train.batch of a config), a smaller network (--set model.widths=...), or smaller images or fewer \
                       classes (--synthetic)";

/// What `--out` writes.
const FILES: [&str; 3] = ["profile.json", "roofline.svg", "trace.json"];

/// What the dispatches are put together by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Table {
    /// Kernel and variant.
    Kernel,
    /// Layer, its derivatives with it.
    Layer,
    /// Node of the graph.
    Node,
}

/// Which clock tells the time of a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ClockArg {
    /// The finest that the device has and that passes a trial.
    Auto,
    /// Timestamps between the dispatches of one pass.
    Inside,
    /// Timestamps at the boundaries of a pass for each dispatch.
    Passes,
    /// Each dispatch replayed alone, timed by the host.
    Replay,
}

/// Show where the time of a training step goes, beside what the adapter can do at most.
#[derive(Clone, Debug, Args)]
pub struct ProfileArgs {
    /// The TOML file of a training run, of any method.
    #[arg(conflicts_with_all = ["step", "kernel"])]
    config: Option<PathBuf>,
    /// A step of `relabel bench steps` on images of noise, such as "resnet32 sla" or "demo sla f16".
    #[arg(long, value_name = "NAME", conflicts_with = "kernel")]
    step: Option<String>,
    /// Rows of that step: images times views; methods without views take a quarter as many images [default: 32, of the demo
    /// network 128, on a GPU 512].
    #[arg(long, requires = "step", conflicts_with_all = ["config", "kernel"], value_parser = clap::value_parser!(u32).range(1..=65_536))]
    rows: Option<u32>,
    /// Images of noise in place of the config's: HEIGHTxWIDTHxCHANNELS:CLASSES, such as 32x32x3:10; sides up to 8192, 1 or 3
    /// channels, up to 1048576 classes (10 when left out).
    #[arg(long, value_name = "SIZES", num_args = 0..=1, default_missing_value = "32x32x3:10", require_equals = true, conflicts_with = "kernel")]
    synthetic: Option<String>,
    /// Change a setting, such as train.batch=64 (may be repeated).
    #[arg(long = "set", value_name = "KEY=VALUE", conflicts_with = "kernel")]
    set: Vec<String>,
    /// One kernel over its variants and the other forms of its work.
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// The kernel's sizes, such as 32x32x32x16-16,k3,s1,p1 or 16x32x32x64,k2,s2 (`--help` lists them by kernel); without
    /// it, its test cases.
    #[arg(long, long_help = shapes_help(), value_name = "SHAPE", requires = "kernel")]
    shape: Option<String>,
    /// Tables to print (may be repeated; all unless given).
    #[arg(long, value_enum, conflicts_with = "kernel")]
    by: Vec<Table>,
    /// Rows of each table.
    #[arg(long, default_value_t = 15, conflicts_with = "kernel", value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// Steps, or samples of a kernel, that are measured; medians count.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    steps: u32,
    /// Steps before, which are not; with MAXL one more, since its first has no meta step.
    #[arg(long, default_value_t = 2, conflicts_with = "kernel", value_parser = clap::value_parser!(u32).range(1..=1000))]
    warm_up: u32,
    /// What tells the time of a dispatch.
    #[arg(long, value_enum, default_value = "auto", conflicts_with = "kernel")]
    clock: ClockArg,
    /// Write all of the following three into this folder: profile.json, roofline.svg, trace.json.
    #[arg(long, value_name = "DIR", conflicts_with = "kernel")]
    out: Option<PathBuf>,
    /// Write every number to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the roofline into this file.
    #[arg(long, value_name = "FILE", conflicts_with = "kernel")]
    svg: Option<PathBuf>,
    /// Write one step's timeline to this file, for ui.perfetto.dev or about:tracing.
    #[arg(long, value_name = "FILE", conflicts_with = "kernel")]
    trace: Option<PathBuf>,
    /// Write each pipeline's shader as WGSL, SPIR-V, MSL and HLSL into this folder.
    #[arg(long, value_name = "DIR")]
    dump: Option<PathBuf>,
    /// Run one more step inside a capture of a graphics debugger (RenderDoc, Xcode).
    #[arg(long, conflicts_with = "kernel")]
    capture: bool,
    /// Keep wgpu's checks in the shaders.
    #[arg(long)]
    safe_shaders: bool,
}

fn shapes_help() -> String {
    format!(
        "The kernel's sizes; without it, its test cases. Forms of a kernel take its shapes, the other kernels none:\n\n{}",
        all_shapes()
    )
}

pub(super) fn run(args: &ProfileArgs, adapter: Option<&str>, variants: Option<&str>) -> Result<()> {
    // Before the work: a file that cannot be written must not cost minutes.
    args.dump.as_deref().map_or(Ok(()), output::make_folder)?;
    let inside = args.out.iter().flat_map(|folder| FILES.map(|name| folder.join(name)));
    let single = [&args.json, &args.svg, &args.trace].into_iter().flatten().cloned();
    let files: Vec<PathBuf> = inside.chain(single).collect();
    if let Some(path) = output::named_twice(&files) {
        return Err(Error::Config(format!(
            "profile: {} is named for two of the results; give each its own file",
            path.display()
        )));
    }
    files.iter().try_for_each(|path| output::expect_writable(path))?;
    if let Some(name) = &args.kernel {
        return one_kernel(args, name, adapter, variants);
    }
    // First for the device's settings alone: how many rows a step has depends on the adapter.
    let settings = args.resolve(adapter, &bench::Options::default())?.0.device;
    let mut device = settings.options()?;
    args.adjust(&mut device, settings.safe_shaders);
    let (engine, forms) = open_measuring(&device, variants)?;
    let (config, noise) = args.resolve(adapter, &args.sizes(bench::Options::of(&engine)))?;
    let what = args.what(&config, noise);
    let trainer = match noise {
        Some(noise) => noise.trainer(&engine, config).map_err(|e| fewer(e, SMALLER)),
        None => session::trainer(&engine, config).map_err(without_images),
    };
    settle(&engine, forms);
    let mut trainer = trainer?;
    let clock = match args.clock {
        ClockArg::Auto => None,
        ClockArg::Inside => Some(Clock::InsidePasses),
        ClockArg::Passes => Some(Clock::PassBoundaries),
        ClockArg::Replay => Some(Clock::Host),
    };
    let (steps, warm_up) = (args.steps as usize, args.warm_up as usize);
    let options = Options { steps, warm_up, clock, ..Options::default() };
    ceilings::wake(&engine)?;
    let (profile, trace) = profile::profile(&engine, &mut trainer, &options)?;
    output::print(&summary(&what, &profile))?;
    for (table, by) in [(Table::Kernel, By::Kernel), (Table::Layer, By::Layer), (Table::Node, By::Node)] {
        if args.by.is_empty() || args.by.contains(&table) {
            let groups = group(&profile.dispatches, by, &profile.roofline);
            output::print(&format!("\n{}", grouped(&groups, by, args.top as usize)))?;
        }
    }
    // One that cannot be written does not cost the others.
    let files = write_files(args, &what, engine.checked(), &profile, &trace);
    if let Some(folder) = &args.dump {
        dump(&engine, folder, &trace)?;
    }
    if args.capture {
        capture(&engine, &mut trainer)?;
    }
    files
}

impl ProfileArgs {
    /// `defaults` with the rows that are asked for.
    fn sizes(&self, defaults: bench::Options) -> bench::Options {
        let [rows, demo_rows] = [defaults.rows, defaults.demo_rows].map(|n| self.rows.map_or(n, |rows| rows as usize));
        bench::Options { rows, demo_rows, ..defaults }
    }

    /// The settings, and the images of noise that stand for their data.
    fn resolve(&self, adapter: Option<&str>, sizes: &bench::Options) -> Result<(Config, Option<Noise>)> {
        let mut overrides = self.set.clone();
        overrides.extend(adapter.map(|name| format!("device.adapter={name}")));
        let asked = self.synthetic.as_deref().map(str::parse).transpose()?;
        let (config, noise) = match (&self.step, &self.config) {
            (Some(name), _) => {
                let step = Case::find(sizes, name)?;
                (step.config(true, &overrides)?, asked.or(Some(step.noise())))
            }
            (None, Some(file)) => (load_config(file, &overrides)?, asked),
            (None, None) => {
                return Err(Error::Config(
                    "profile: give a config, or --step \"resnet32 sla\", or --kernel conv2d (see `relabel profile --help`)"
                        .into(),
                ));
            }
        };
        if !self.orders_meta_steps(&config) {
            return Ok((config, noise));
        }
        let by_steps = Self { set: [&self.set[..], &["maxl.order=steps".into()]].concat(), ..self.clone() };
        by_steps.resolve(adapter, sizes)
    }

    /// Meta steps that come in passes would hardly ever fall into the few steps that are measured: they come one by one
    /// unless the user orders them.
    fn orders_meta_steps(&self, config: &Config) -> bool {
        config.method == "maxl" && !self.set.iter().any(|s| s.starts_with("maxl.order"))
    }

    /// `safe`: what the config says of the shaders' checks.
    fn adjust(&self, device: &mut gpu::Options, safe: bool) {
        device.as_released(self.safe_shaders || safe);
        device.labels = self.capture;
    }

    fn what(&self, config: &Config, noise: Option<Noise>) -> String {
        let name = match (&self.step, &self.config) {
            (Some(name), _) => name.clone(),
            (None, Some(path)) => path.display().to_string(),
            (None, None) => String::new(),
        };
        let images = noise.map_or(String::new(), |noise| format!(", images of noise {noise}"));
        let meta = if self.orders_meta_steps(config) { ", a meta step before each step" } else { "" };
        format!("{name}: {}, {}, batch {}{images}{meta}", config.method, config.model.name, config.train.batch)
    }
}

/// Clock, ceilings, the step in whole, what the host did.
fn summary(what: &str, p: &Profile) -> String {
    let ms = |seconds: f64| format!("{:.3} ms", 1e3 * seconds);
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let Roofline { operations_per_s, bytes_per_s } = p.roofline;
    let mut text = String::new();
    let mut line = |name: &str, words: String| {
        let _ = writeln!(text, "{name:<10}{words}");
    };
    line("adapter", p.adapter.clone());
    line("step", what.to_owned());
    line("clock", p.clock.clone());
    let ceilings =
        format!("{:.1} GFLOP/s in registers, {:.2} GB/s in a copy", operations_per_s / 1e9, bytes_per_s / 1e9);
    line("ceilings", ceilings);
    line("memory", format!("{} in all tensors on the device", output::bytes(p.memory)));
    line("time", format!("{} a step; median of {}", ms(p.step_seconds), p.steps));
    line("overhead", overhead(p));
    let covered = if p.timestamps { "of the profiled step" } else { "of the step, if its dispatches ran alone" };
    let count: f64 = p.dispatches.iter().map(|d| d.runs).sum();
    line("device", format!("{} in {count:.0} dispatches: {} {covered}", ms(p.device_seconds), percent(p.coverage)));
    for way in group(&p.dispatches, By::Way, &p.roofline) {
        line("", format!("{}, {} {}", way.name, ms(way.seconds), percent(way.share)));
    }
    let floor = percent(p.floor_seconds / p.device_seconds);
    line("floor", format!("{} if every dispatch reached the ceiling that binds it: {floor}", ms(p.floor_seconds)));
    let host: Vec<String> = p.host.iter().map(|h| format!("{} {}", h.what, ms(h.seconds))).collect();
    line("host", host.join(", "));
    text
}

/// The profiled step beside the other: a median that pairs of steps do not agree on is no fact.
fn overhead(p: &Profile) -> String {
    let percent = |share: f64| format!("{:+.1} %", 100.0 * share);
    let [least, largest] = p.overheads.map(percent);
    let pairs = match p.steps {
        1 => "from one pair of steps, which tells little".into(),
        n => format!("as the median of {n} pairs of steps, {least} to {largest}"),
    };
    let doubt = if p.overhead_is_clear() || p.steps == 1 {
        ""
    } else {
        ": the pairs differ by more than that, so it is no fact"
    };
    format!("{:.3} ms when it is profiled: {} {pairs}{doubt}", 1e3 * p.traced_seconds, percent(p.overhead))
}

fn grouped(groups: &[Group], by: By, top: usize) -> String {
    let mut table = output::table();
    let first = match by {
        By::Kernel => "kernel",
        By::Layer => "layer",
        By::Node | By::Way => "node",
    };
    let ways: Vec<usize> = match by {
        By::Layer => (0..Way::ALL.len()).filter(|&w| groups.iter().any(|g| g.ways[w] > 0.0)).collect(),
        _ => Vec::new(),
    };
    let mut header = vec![first.to_owned(), "runs".into(), "ms".into(), "share".into()];
    header.extend(ways.iter().map(|&w| Way::ALL[w].to_string()));
    header.extend(["GFLOP/s", "of fma", "GB/s", "of copy", "binds", "of roof"].map(Into::into));
    table.set_header(header);
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    for g in groups.iter().take(top) {
        let mut row = vec![g.name.clone(), count(g.dispatches), format!("{:.3}", 1e3 * g.seconds), percent(g.share)];
        row.extend(ways.iter().map(|&w| format!("{:.3}", 1e3 * g.ways[w])));
        row.extend(rates(g.operations_per_s(), g.of_operations, g.bytes_per_s(), g.of_bytes));
        row.extend([g.binds.to_string(), percent(g.of_roof())]);
        table.add_row(row);
    }
    right_aligned(&mut table);
    let rest = groups.len().saturating_sub(top);
    let share: f64 = groups.iter().skip(top).map(|g| g.share).sum();
    let more = if rest > 0 { format!(" and {rest} more, {} of the time\n", percent(share)) } else { String::new() };
    format!("{table}\n{more}")
}

/// A count of runs, which may be a fraction where a program does not run in every step.
fn count(runs: f64) -> String {
    if runs.fract() == 0.0 { format!("{runs:.0}") } else { format!("{runs:.1}") }
}

fn rates(operations: f64, of_operations: f64, bytes: f64, of_bytes: f64) -> [String; 4] {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let shown = |rate: f64| if rate >= 0.05e9 { format!("{:.1}", rate / 1e9) } else { format!("{:.3}", rate / 1e9) };
    [shown(operations), percent(of_operations), shown(bytes), percent(of_bytes)]
}

fn right_aligned(table: &mut comfy_table::Table) {
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(comfy_table::CellAlignment::Right));
}

fn write(path: &Path, what: &str, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(|e| Error::io(&format!("writing {what} to"), path, e))
}

fn write_files(args: &ProfileArgs, what: &str, checked: bool, profile: &Profile, trace: &Trace) -> Result<()> {
    let (mut written, mut outcome) = (Vec::new(), Ok(()));
    let mut file = |own: &Option<PathBuf>, name: &str, bytes: &dyn Fn() -> String| {
        let inside = args.out.as_ref().map(|folder| folder.join(name));
        for path in [own.clone(), inside].into_iter().flatten() {
            match write(&path, "the profile", bytes().as_bytes()) {
                Ok(()) => written.push(path.display().to_string()),
                Err(e) => outcome = Err(e),
            }
        }
    };
    let [report_name, svg_name, trace_name] = FILES;
    let groups = |by| group(&profile.dispatches, by, &profile.roofline);
    let report = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "step": what,
        "safe_shaders": checked,
        "overhead": profile.overhead,
        "profile": profile,
        "ways": groups(By::Way),
        "kernels": groups(By::Kernel),
        "layers": groups(By::Layer),
        "nodes": groups(By::Node),
    });
    file(&args.json, report_name, &|| format!("{report:#}\n"));
    let title = format!("Roofline of {what}");
    file(&args.svg, svg_name, &|| plot::plot(&title, &profile.adapter, &groups(By::Kernel), &profile.roofline));
    file(&args.trace, trace_name, &|| format!("{}\n", timeline::timeline(profile, trace)));
    if !written.is_empty() {
        output::print(&format!("\nwritten: {}\n", written.join(", ")))?;
    }
    outcome
}

/// An error with the way out that this command has.
fn fewer(error: Error, way_out: &str) -> Error {
    match error {
        Error::Memory(text) => Error::Memory(text.replace(gpu::WAY_OUT, way_out)),
        other => other,
    }
}

/// What is wrong with the images of a config, with the ways out that this command has.
fn without_images(error: Error) -> Error {
    match error {
        Error::Data(text) => {
            let text = text.replace("--skip-bad", "--set data.skip_bad=true");
            let noise = "or profile the step on images of noise: --synthetic";
            Error::Data(format!("{text}; give other images with --set data.path=PATH, {noise}"))
        }
        other => other,
    }
}

/// Every pipeline of the traced step once.
fn dump(engine: &Engine, folder: &Path, trace: &Trace) -> Result<()> {
    let mut pipelines: Vec<&Build> = Vec::new();
    for build in trace.plays.iter().flat_map(|p| p.program.builds()) {
        if !pipelines.contains(&build) {
            pipelines.push(build);
        }
    }
    dump_pipelines(engine, folder, &pipelines)
}

fn dump_pipelines(engine: &Engine, folder: &Path, pipelines: &[&Build]) -> Result<()> {
    let (mut count, mut refused) = (0, Vec::new());
    for build in pipelines {
        for file in languages(build, &engine.text(build), &engine.constants(build), engine.checked()) {
            write(&folder.join(&file.name), "a shader", &file.bytes)?;
            count += 1;
            refused.extend(file.name.strip_suffix(".txt").map(str::to_owned));
        }
    }
    let why = match refused.len() {
        0 => String::new(),
        _ => format!("; not possible, with the reason in a .txt: {}", refused.join(", ")),
    };
    output::print(&format!("\n{count} files of {} pipelines are in {}{why}\n", pipelines.len(), folder.display()))
}

/// One step inside a capture, and what has to be attached for one to come of it.
fn capture(engine: &Arc<Engine>, trainer: &mut Trainer) -> Result<()> {
    engine.capture(|| trainer.run_unreported(1))?;
    // wgpu does not say whether a debugger took it: RenderDoc's library is the one sign.
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let said = if engine.info().backend == wgpu::Backend::Metal {
        "a capture was begun and ended around one step; it is in Xcode when the program was started from there, or with \
         METAL_CAPTURE_ENABLED=1"
    } else if maps.contains("librenderdoc") {
        "RenderDoc captured one step: see its window, or the file that renderdoccmd wrote"
    } else {
        "one step ran between the start and the end of a capture, and no RenderDoc was seen in this process, so nothing \
         was kept: start it as `renderdoccmd capture -w relabel profile ... --capture`, or from RenderDoc's window"
    };
    output::print(&format!("\ncapture: {said}\n"))
}

fn one_kernel(args: &ProfileArgs, name: &str, adapter: Option<&str>, variants: Option<&str>) -> Result<()> {
    profile::kernel::find(name)?;
    let mut device = device_options(adapter)?;
    args.adjust(&mut device, false);
    let engine = open(&device, variants)?;
    let sampling = Sampling { repeats: args.steps as usize, seconds: 0.02 };
    ceilings::wake(&engine)?;
    let before = ceilings::ceilings(&engine, sampling)?;
    let found =
        forms(&engine, name, args.shape.as_deref(), sampling).map_err(|e| fewer(e, "Take a smaller --shape"))?;
    let roofline = Roofline::of(&before.or_faster(ceilings::ceilings(&engine, sampling)?));
    let Roofline { operations_per_s, bytes_per_s } = roofline;
    output::print(&format!(
        "{:<10}{}\n{:<10}{:.1} GFLOP/s in registers, {:.2} GB/s in a copy\n\n{}",
        "adapter",
        engine.describe(),
        "ceilings",
        operations_per_s / 1e9,
        bytes_per_s / 1e9,
        of_forms(&found, &roofline)
    ))?;
    if let Some(path) = &args.json {
        let report = json!({ "version": env!("CARGO_PKG_VERSION"), "adapter": engine.describe(), "safe_shaders": engine.checked(), "roofline": roofline, "forms": found.timed, "left_out": found.left_out });
        write(path, "the profile", format!("{report:#}\n").as_bytes())?;
    }
    if let Some(folder) = &args.dump {
        dump_pipelines(&engine, folder, &found.builds.iter().collect::<Vec<_>>())?;
    }
    Ok(())
}

fn of_forms(found: &Forms, roofline: &Roofline) -> String {
    let mut table = output::table();
    table.set_header([
        "form", "shape", "grid", "ms", "spread", "GFLOP/s", "of fma", "GB/s", "of copy", "binds", "of roof", "",
    ]);
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    for timed in &found.timed {
        let m = &timed.measured;
        let g = &group(std::slice::from_ref(m), By::Kernel, roofline)[0];
        let [x, y, z] = m.grid;
        let mut row = vec![format!("{} ({})", m.kernel, m.variant), m.node.clone(), format!("{x}x{y}x{z}")];
        row.extend([format!("{:.4}", 1e3 * m.seconds), format!("{:.0} %", 100.0 * m.spread)]);
        row.extend(rates(g.operations_per_s(), g.of_operations, g.bytes_per_s(), g.of_bytes));
        row.extend([g.binds.to_string(), percent(g.of_roof())]);
        row.push(if timed.chosen { "taken in training" } else { "" }.into());
        table.add_row(row);
    }
    let mut text = format!("{table}\n");
    for reason in &found.left_out {
        let _ = writeln!(text, "left out: {reason}");
    }
    text
}
