//! `relabel bench`: speed of kernels, label assignment and training steps.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::settings::{SHOWN, open};
use super::{device_options, output, variants as shown};
use crate::base::{Error, Result};
use crate::bench::maxl::Size as MetaSize;
use crate::bench::{self, Comparison, Measured, Options, Report, Row};
use crate::gpu::Engine;
use crate::kernels::ceilings;

/// What to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Kernels, elementwise, rest, images, sinkhorn and steps; with --full also sela and maxl.
    All,
    /// The adapter's two ceilings, and the products: square matrices, and those of a training step of ResNet-32 and the
    /// demo network; with --full also of ResNet-18, VGG-16 and AlexNet.
    Kernels,
    /// Kernels that go through memory once, beside a copy, at ResNet-32's activations and parameters; with --full also at
    /// those of ResNet-18, VGG-16, AlexNet and the demo network.
    Elementwise,
    /// Every kernel that no other part times by itself: pools, views, losses, rows, label assignment.
    Rest,
    /// Random-resized crops and colour jitter.
    Images,
    /// Iterations of label assignment (Sinkhorn-Knopp), beside a copy of as many bytes.
    Sinkhorn,
    /// Training steps on labels of its own beside supervised ones, and an update of the labels.
    Sela,
    /// Meta steps of MAXL in their forms, beside a plain training step.
    Maxl,
    /// Whole training steps of each method.
    Steps,
    /// Time nothing: write weights, batches and losses of the training steps into DIR, for a peer to repeat.
    Export,
}

/// Time kernels, label assignment and training steps on an adapter.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// What to time.
    #[arg(value_enum, default_value = "all")]
    part: Part,
    /// Where `export` writes: a folder, which is made when it is not there.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Only steps whose name holds this text, such as "resnet32 sla" (for `steps` and `export`).
    #[arg(long, value_name = "TEXT")]
    step: Option<String>,
    /// All networks and parts; always so on a GPU.
    #[arg(long)]
    full: bool,
    /// Also write the results to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also keep the results as JSON in this folder, in a file named after adapter and driver, beside what it holds of others.
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true, default_missing_value = "benches/results")]
    keep: Option<PathBuf>,
    /// Put the results beside earlier ones, a JSON file of the same adapter.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// With --compare: end with status 1 when a row takes longer by more than this.
    #[arg(long, value_name = "PERCENT", requires = "compare", default_value = "10%", value_parser = percent)]
    fail_over: f64,
    /// With --compare: the file may be of another adapter.
    #[arg(long, requires = "compare")]
    other_adapter: bool,
    /// Rows of ResNet-32's layers; the large networks get a part of them [default: 32, on a GPU 512].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    rows: Option<u32>,
    /// Rows of the demo network's layers [default: 128, on a GPU 512].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    demo_rows: Option<u32>,
    /// Samples of the assignment (default: 50000 with 128 clusters, then 100000 with 1000).
    #[arg(long, requires = "clusters", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    samples: Option<u32>,
    /// Clusters of the assignment.
    #[arg(long, requires = "samples", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clusters: Option<u32>,
    /// Rows of MAXL's steps (100 as published) [default: 16].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    maxl_batch: Option<u32>,
    /// Channels of VGG-16's five blocks in MAXL's steps (64 128 256 512 512 as published) [default: 16 32 64 128 128].
    #[arg(long, num_args = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    maxl_widths: Vec<u32>,
    /// Timed samples of each; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,
    /// Keep wgpu's checks in the shaders.
    #[arg(long)]
    safe_shaders: bool,
}

/// `10%` or `10` as 0.1.
fn percent(text: &str) -> std::result::Result<f64, String> {
    let number: f64 = text
        .strip_suffix('%')
        .unwrap_or(text)
        .parse()
        .map_err(|_| format!("`{text}` is no percentage, such as 10%"))?;
    if (0.0..=1000.0).contains(&number) { Ok(number / 100.0) } else { Err(format!("{text}: from 0% to 1000%")) }
}

pub(super) fn run(args: &BenchArgs, adapter: Option<&str>, variants: Option<&str>) -> Result<()> {
    args.check()?;
    // Before anything is timed.
    let earlier = args.compare.as_deref().map(read).transpose()?;
    let mut device = device_options(adapter)?;
    device.as_released(args.safe_shaders);
    let engine = open(&device, variants)?;
    if variants == Some(SHOWN) {
        return shown::show(&engine);
    }
    let options = args.options(Options::of(&engine));
    if matches!(args.part, Part::All | Part::Steps | Part::Export) {
        bench::expect_named(&Options { full: options.full || args.part == Part::Export, ..options }, args.step())?;
    }
    if let Some(earlier) = earlier.as_ref().filter(|_| !args.other_adapter) {
        let hint = |e| Error::Config(format!("{e}; --other-adapter compares nevertheless"));
        earlier.expect(&engine.describe(), engine.checked()).map_err(hint)?;
    }
    let kept = args.keep.as_deref().map(|folder| Kept::open(folder, &engine)).transpose()?;
    output::print(&format!("adapter: {}\n", engine.describe()))?;
    if let Some(folder) = &args.folder {
        std::fs::create_dir_all(folder).map_err(|e| Error::io("making the folder", folder, e))?;
        return bench::export(&engine, &options, args.step(), &mut |name, checkpoint| {
            let path = folder.join(format!("{name}.safetensors"));
            checkpoint.write(&path)?;
            output::print(&format!("{}\n", path.display()))
        });
    }
    ceilings::wake(&engine)?;
    let measured = measure(args, &engine, &options)?;
    let report = Report {
        version: env!("CARGO_PKG_VERSION").into(),
        adapter: engine.describe(),
        safe_shaders: engine.checked(),
        rows: measured.rows,
        left_out: measured.left_out,
    };
    // What cannot be written does not cost what can.
    let written = args.json.as_deref().map_or(Ok(()), |path| write(&report, path));
    let stored = kept.map_or(Ok(()), |kept| kept.store(report.clone()));
    let compared = earlier.map_or(Ok(()), |earlier| compare(args, &earlier, &report));
    written.and(stored).and(compared)
}

/// Times the parts that are asked for; each part's table is printed when it is done.
fn measure(args: &BenchArgs, engine: &Arc<Engine>, options: &Options) -> Result<Measured> {
    let (part, all) = (args.part, args.part == Part::All);
    let mut measured = Measured::default();
    let mut add = |Measured { rows, left_out }: Measured| -> Result<()> {
        if !rows.is_empty() {
            output::print(&format!("{}\n", table(&rows)))?;
        }
        left_out.iter().try_for_each(|what| output::print(&format!("left out: {what}\n")))?;
        measured.rows.extend(rows);
        measured.left_out.extend(left_out);
        Ok(())
    };
    let rows = |rows| Measured { rows, left_out: Vec::new() };
    if all || part == Part::Kernels {
        add(bench::kernels(engine, options)?)?;
    }
    if all || part == Part::Elementwise {
        add(bench::elementwise(engine, options)?)?;
    }
    if all || part == Part::Rest {
        add(bench::rest(engine, options)?)?;
    }
    if all || part == Part::Images {
        add(rows(bench::images(engine, options)?))?;
    }
    if all || part == Part::Sinkhorn {
        let sizes = match (args.samples, args.clusters) {
            (Some(n), Some(k)) => vec![(n as usize, k as usize)],
            _ => bench::sinkhorn::SIZES.to_vec(),
        };
        add(rows(bench::sinkhorn(engine, options, &sizes)?))?;
    }
    if (all && options.full) || part == Part::Sela {
        add(rows(bench::sela(engine, options)?))?;
    }
    if (all && options.full) || part == Part::Maxl {
        let mut size = MetaSize::default();
        size.batch = args.maxl_batch.map_or(size.batch, |n| n as usize);
        size.widths.iter_mut().zip(&args.maxl_widths).for_each(|(width, &given)| *width = given as usize);
        add(rows(bench::maxl(engine, options, size)?))?;
    }
    if all || part == Part::Steps {
        add(bench::steps(engine, options, args.step())?)?;
    }
    Ok(measured)
}

impl BenchArgs {
    /// Refuses options that the part does not use.
    fn check(&self) -> Result<()> {
        use Part::{All, Export, Maxl, Sinkhorn, Steps};
        if (self.part == Export) != self.folder.is_some() {
            return Err(Error::Config(
                "bench: `export` takes a folder, as in `relabel bench export DIR`, and no other does".into(),
            ));
        }
        let unused = |given: bool, option: &str, parts: &[Part]| match given && !parts.contains(&self.part) {
            true => {
                Err(Error::Config(format!("bench: {option} says nothing about this part; see `relabel bench --help`")))
            }
            false => Ok(()),
        };
        unused(self.step.is_some(), "--step", &[All, Steps, Export])?;
        unused(self.samples.is_some(), "--samples", &[All, Sinkhorn])?;
        unused(self.maxl_batch.is_some(), "--maxl-batch", &[All, Maxl])?;
        unused(!self.maxl_widths.is_empty(), "--maxl-widths", &[All, Maxl])?;
        if self.part == Export && (self.json.is_some() || self.keep.is_some() || self.compare.is_some()) {
            return Err(Error::Config(
                "bench: `export` times nothing that --json, --keep or --compare could take".into(),
            ));
        }
        Ok(())
    }

    fn step(&self) -> &str {
        self.step.as_deref().unwrap_or_default()
    }

    /// `defaults` with what is asked for.
    fn options(&self, defaults: Options) -> Options {
        Options {
            rows: self.rows.map_or(defaults.rows, |n| n as usize),
            demo_rows: self.demo_rows.map_or(defaults.demo_rows, |n| n as usize),
            repeats: self.repeats as usize,
            full: self.full || defaults.full,
            ..defaults
        }
    }
}

/// The file of `--keep`, with what it held before: rows that are not measured now stay.
struct Kept {
    path: PathBuf,
    earlier: Option<Report>,
}

impl Kept {
    fn open(folder: &Path, engine: &Engine) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| Error::io("making the folder", folder, e))?;
        let path = folder.join(format!("{}.json", bench::compare::file_stem(engine)));
        let earlier = path.exists().then(|| read(&path)).transpose()?;
        let why = |e| Error::Config(format!("{}: {e}; move it away to keep new ones there", path.display()));
        earlier.as_ref().map_or(Ok(()), |earlier| earlier.expect(&engine.describe(), engine.checked())).map_err(why)?;
        Ok(Self { path, earlier })
    }

    fn store(self, report: Report) -> Result<()> {
        let own = report.rows.len();
        let all = match self.earlier {
            Some(earlier) => report.onto(earlier),
            None => report,
        };
        write(&all, &self.path)?;
        let stay = match all.rows.len() - own {
            0 => String::new(),
            stay => format!(", beside {stay} rows of earlier runs"),
        };
        output::print(&format!("kept in {}{stay}\n", self.path.display()))
    }
}

fn read(path: &Path) -> Result<Report> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("reading", path, e))?;
    serde_json::from_str(&text)
        .map_err(|e| Error::Data(format!("{} is no file that `relabel bench --json` wrote: {e}", path.display())))
}

fn write(report: &Report, path: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(report).map_err(|e| Error::io("writing", path, e.into()))?;
    std::fs::write(path, text + "\n").map_err(|e| Error::io("writing", path, e))
}

/// Prints both results beside each other.
fn compare(args: &BenchArgs, earlier: &Report, report: &Report) -> Result<()> {
    let found = Comparison::new(earlier, report, args.fail_over)?;
    let mut table = output::table();
    table.set_header(["what", "shape", "ms then", "ms now", "ratio", ""]);
    for line in &found.lines {
        table.add_row([
            line.name.clone(),
            line.shape.clone(),
            format!("{:.3}", line.before),
            format!("{:.3}", line.now),
            format!("{:.2}", line.ratio()),
            if line.slower { "slower".into() } else { String::new() },
        ]);
    }
    let mut text = format!(
        "\nbest samples, of processor time where both know it; the clock's medians where one alone does\n{table}\n"
    );
    for (rows, what) in [(&found.missing, "not measured now"), (&found.new, "not measured then")] {
        rows.iter().for_each(|row| text += &format!("{what}: {row}\n"));
    }
    output::print(&text)?;
    let slower: Vec<String> = found.slower().map(|line| format!("{} {}", line.name, line.shape)).collect();
    if slower.is_empty() {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "{} of {} rows take over {:.0} % longer than before: {}",
        slower.len(),
        found.lines.len(),
        100.0 * args.fail_over,
        slower.join("; ")
    )))
}

fn table(rows: &[Row]) -> comfy_table::Table {
    let number = |v: Option<f64>| v.filter(|v| *v > 0.0).map_or(String::new(), |v| format!("{v:.1}"));
    let ms = |v: Option<f64>| v.map_or(String::new(), |v| format!("{v:.3}"));
    let mib = |v: Option<u64>| v.map_or(String::new(), |v| format!("{:.1}", v as f64 / f64::from(1 << 20)));
    let cells = |row: &Row| {
        [
            row.name.clone(),
            row.shape.clone(),
            format!("{:.3}", row.milliseconds),
            ms(row.processor_milliseconds),
            format!("{:.0} %", 100.0 * row.spread),
            number(Some(row.gflops)),
            number(Some(row.gbytes_per_s)),
            number(Some(row.images_per_s)),
            ms(row.host_milliseconds),
            row.idle.map_or(String::new(), |v| format!("{:.0} %", 100.0 * v)),
            mib(row.planned_bytes),
            mib(row.allocated_bytes),
            row.note.clone(),
        ]
    };
    let header = [
        "what", "shape", "ms", "CPU ms", "spread", "GFLOP/s", "GB/s", "images/s", "host ms", "idle", "plan MiB", "MiB",
        "",
    ];
    let cells: Vec<_> = rows.iter().map(cells).collect();
    // A column that says nothing is left out.
    let used: Vec<usize> = (0..header.len()).filter(|&i| cells.iter().any(|row| !row[i].is_empty())).collect();
    let mut table = output::table();
    table.set_header(used.iter().map(|&i| header[i]));
    for row in &cells {
        table.add_row(used.iter().map(|&i| row[i].as_str()));
    }
    table
}
