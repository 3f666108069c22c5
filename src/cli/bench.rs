//! `relabel bench`: speed of kernels, label assignment and training steps.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use clap::{Args, ValueEnum};

use super::results::{self, Kept};
use super::settings::{SHOWN, open_measuring, settle};
use super::{device_options, output, variants as shown};
use crate::base::{Error, Result};
use crate::bench::maxl::Size as MetaSize;
use crate::bench::{self, Measured, Options, Report, Share};
use crate::gpu::Engine;
use crate::gpu::trace::Clock;
use crate::kernels::ceilings;
use crate::profile::{self, By};
use crate::report::utc;
use crate::train::Trainer;

/// Steps with timestamps, when all are timed: what the shares of kernels are of.
const LOOKED_AT: usize = 2;

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

impl Part {
    /// As the command line has it.
    fn name(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
    }
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
    /// With --compare: another version of relabel may have written the file.
    #[arg(long, requires = "compare")]
    other_version: bool,
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
    /// Timed samples of each; the median counts [default: 5].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: Option<u32>,
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
    if variants == Some(SHOWN) {
        args.expect_nothing_else()?;
    }
    // Before anything is timed.
    let earlier = args.compare.as_deref().map(|path| args.earlier(path)).transpose()?;
    args.json.as_deref().map_or(Ok(()), output::expect_writable)?;
    let mut device = device_options(adapter)?;
    device.as_released(args.safe_shaders);
    let (engine, forms) = open_measuring(&device, variants)?;
    if variants == Some(SHOWN) {
        return shown::show(&engine);
    }
    let options = args.options(Options::of(&engine));
    let foreseen = args.foreseen(&options)?;
    if let (Some(earlier), Some(path)) = (&earlier, &args.compare) {
        let hint = |e| Error::Config(format!("{e}; --other-adapter compares nevertheless"));
        let same = earlier.expect(&engine.describe(), engine.checked()).map_err(hint);
        if args.other_adapter { Ok(()) } else { same }?;
        earlier.expect_any(&foreseen).map_err(|e| results::apart(path, &e))?;
    }
    let kept = args.keep.as_deref().map(|folder| Kept::open(folder, &engine, variants)).transpose()?;
    output::print(&format!("adapter: {}\n", engine.describe()))?;
    if let Some(folder) = &args.folder {
        output::make_folder(folder)?;
        let written = bench::export(&engine, &options, args.step(), &mut |name, checkpoint| {
            let path = folder.join(format!("{name}.safetensors"));
            checkpoint.write(&path)?;
            output::print(&format!("{}\n", path.display()))
        });
        settle(&engine, forms);
        return written;
    }
    ceilings::wake(&engine)?;
    let report = |measured: &Measured| Report {
        version: env!("CARGO_PKG_VERSION").into(),
        adapter: engine.describe(),
        processor: results::processor(),
        date: utc(SystemTime::now()),
        variants: variants.map(Into::into),
        safe_shaders: engine.checked(),
        rows: measured.rows.clone(),
        left_out: measured.left_out.clone(),
    };
    // What cannot be written does not cost what can. A pipe gets all at once, at the end.
    let store = |report: &Report, whole: bool| {
        let file = args.json.as_deref().filter(|path| whole || output::is_plain(path));
        let written = file.map_or(Ok(()), |path| results::write(report, path));
        written.and(kept.as_ref().map_or(Ok(()), |kept| kept.store(report)))
    };
    let measured = measure(args, &engine, &options, &mut |so_far| store(&report(so_far), false));
    settle(&engine, forms);
    let report = report(&measured?);
    let stored = store(&report, true).and_then(|()| kept.map_or(Ok(()), |kept| kept.tell(&report)));
    let compared = match (&earlier, &args.compare) {
        (Some(earlier), Some(path)) => results::compare((path, earlier), &report, args.fail_over, args.is_whole()),
        _ => Ok(()),
    };
    stored.and(compared)
}

/// Times the parts that are asked for; each part's table is printed when it is done, and `store` gets all that is there then, for
/// whoever ends the program before the last.
fn measure(
    args: &BenchArgs,
    engine: &Arc<Engine>,
    options: &Options,
    store: &mut dyn FnMut(&Measured) -> Result<()>,
) -> Result<Measured> {
    let (part, all) = (args.part, args.part == Part::All);
    let mut measured = Measured::default();
    let mut add = |Measured { rows, left_out }: Measured| -> Result<()> {
        if !rows.is_empty() {
            output::print(&format!("{}\n", results::table(&rows)))?;
        }
        left_out.iter().try_for_each(|what| output::print(&format!("left out: {what}\n")))?;
        measured.rows.extend(rows);
        measured.left_out.extend(left_out);
        // What fails here fails once more at the end, and is told there: the next part may take minutes, and is worth it.
        let _ = store(&measured);
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
        add(rows(bench::sinkhorn(engine, options, &args.assignments())?))?;
    }
    if (all && options.full) || part == Part::Sela {
        add(rows(bench::sela(engine, options)?))?;
    }
    if (all && options.full) || part == Part::Maxl {
        add(rows(bench::maxl(engine, options, args.meta_size())?))?;
    }
    if all || part == Part::Steps {
        let (clock, _) = engine.passing(|| profile::clock::choose(engine))?;
        add(bench::steps(engine, options, args.step(), &mut |trainer| shares(engine, trainer, clock))?)?;
    }
    Ok(measured)
}

/// What each kernel takes of a step, as `relabel profile` finds it; nothing without timestamps.
fn shares(engine: &Engine, trainer: &mut Trainer, clock: Clock) -> Result<Vec<Share>> {
    if clock == Clock::Host {
        return Ok(Vec::new());
    }
    let dispatches = profile::dispatches(engine, trainer, clock, LOOKED_AT)?;
    let shares = profile::shares(&dispatches, By::Kernel);
    Ok(shares.into_iter().map(|(name, share)| Share { name, share }).collect())
}

impl BenchArgs {
    /// Refuses options that the part does not use.
    fn check(&self) -> Result<()> {
        use Part::Export;
        if (self.part == Export) != self.folder.is_some() {
            return Err(Error::Config(
                "bench: `export` takes a folder, as in `relabel bench export DIR`, and no other does".into(),
            ));
        }
        if self.part == Export && (self.json.is_some() || self.keep.is_some() || self.compare.is_some()) {
            return Err(Error::Config(
                "bench: `export` times nothing that --json, --keep or --compare could take".into(),
            ));
        }
        let options = self.given();
        let unused = options.iter().find(|(_, given, parts)| *given && !parts.contains(&self.part));
        unused.map_or(Ok(()), |(option, _, parts)| {
            let names: Vec<String> = parts.iter().map(|part| format!("`{}`", part.name())).collect();
            let own = self.part.name();
            Err(Error::Config(format!("bench: {option} says nothing about `{own}`; it is for {}", names.join(", "))))
        })
    }

    /// Options that only some parts use, whether each was given, and these parts.
    fn given(&self) -> [(&'static str, bool, &'static [Part]); 8] {
        use Part::{All, Elementwise, Export, Images, Kernels, Maxl, Rest, Sela, Sinkhorn, Steps};
        const TIMED: &[Part] = &[All, Kernels, Elementwise, Rest, Images, Sinkhorn, Sela, Maxl, Steps];
        [
            ("--step", self.step.is_some(), &[All, Steps, Export]),
            ("--rows", self.rows.is_some(), &[All, Kernels, Elementwise, Rest, Steps, Export]),
            ("--demo-rows", self.demo_rows.is_some(), &[All, Kernels, Elementwise, Rest, Steps, Export]),
            ("--full", self.full, &[All, Kernels, Elementwise, Rest, Steps]),
            ("--samples", self.samples.is_some(), &[All, Sinkhorn]),
            ("--maxl-batch", self.maxl_batch.is_some(), &[All, Maxl]),
            ("--maxl-widths", !self.maxl_widths.is_empty(), &[All, Maxl]),
            ("--repeats", self.repeats.is_some(), TIMED),
        ]
    }

    /// Refuses what `--variants` alone, which shows and times nothing, has no use for.
    fn expect_nothing_else(&self) -> Result<()> {
        let outputs = [&self.json, &self.keep, &self.compare].iter().any(|path| path.is_some());
        if self.part == Part::All && !outputs && self.given().iter().all(|(_, given, _)| !given) {
            return Ok(());
        }
        Err(Error::Config(
            "bench: --variants alone shows the forms that were measured and times nothing, so it takes no part and no other \
             option but --adapter and --safe-shaders; to time with certain forms, say which: --variants default, cached, measure or FILE"
                .into(),
        ))
    }

    /// The results to compare with, which must hold times of this version.
    fn earlier(&self, path: &Path) -> Result<Report> {
        let earlier = results::read(path)?;
        let hint = |e| {
            let again = "measure again with --json, or compare nevertheless with --other-version";
            Error::Config(format!("{}: {e}, which may call other work by the same names; {again}", path.display()))
        };
        let same = earlier.expect_version(env!("CARGO_PKG_VERSION")).map_err(hint);
        if self.other_version { Ok(()) } else { same }?;
        Ok(earlier)
    }

    /// Names of rows that this run will have, and how their shapes begin, as far as known before: enough to tell results
    /// that it cannot be compared with.
    ///
    /// # Errors
    /// When no step has the name that is asked for.
    fn foreseen(&self, options: &Options) -> Result<Vec<(String, String)>> {
        let full = options.full || self.part == Part::Export;
        let steps = || bench::foreseen(&Options { full, ..*options }, self.step());
        let row = |name: &str, shape: &str| (name.to_owned(), shape.to_owned());
        Ok(match self.part {
            Part::All => [steps()?, vec![row("ceiling: copy", "")]].concat(),
            Part::Kernels | Part::Elementwise => vec![row("ceiling: copy", "")],
            Part::Rest => vec![row("accumulate", "8")],
            Part::Images => vec![row("crop_taps", "")],
            Part::Sinkhorn => {
                self.assignments().iter().map(|(n, k)| row("sinkhorn iteration", &format!("{n} x {k},"))).collect()
            }
            Part::Sela => vec![row("step baseline", "")],
            Part::Maxl => vec![row("plain training step", &self.meta_size().shape())],
            Part::Steps | Part::Export => steps()?,
        })
    }

    /// Whether everything is measured that this adapter and these sizes have.
    fn is_whole(&self) -> bool {
        self.part == Part::All && self.step.is_none()
    }

    /// Samples and clusters of the assignments.
    fn assignments(&self) -> Vec<(usize, usize)> {
        match (self.samples, self.clusters) {
            (Some(n), Some(k)) => vec![(n as usize, k as usize)],
            _ => bench::sinkhorn::SIZES.to_vec(),
        }
    }

    /// Sizes of MAXL's steps.
    fn meta_size(&self) -> MetaSize {
        let mut size = MetaSize::default();
        size.batch = self.maxl_batch.map_or(size.batch, |n| n as usize);
        size.widths.iter_mut().zip(&self.maxl_widths).for_each(|(width, &given)| *width = given as usize);
        size
    }

    fn step(&self) -> &str {
        self.step.as_deref().unwrap_or_default()
    }

    /// `defaults` with what is asked for.
    fn options(&self, defaults: Options) -> Options {
        Options {
            rows: self.rows.map_or(defaults.rows, |n| n as usize),
            demo_rows: self.demo_rows.map_or(defaults.demo_rows, |n| n as usize),
            repeats: self.repeats.map_or(defaults.repeats, |n| n as usize),
            full: self.full || defaults.full,
            ..defaults
        }
    }
}
