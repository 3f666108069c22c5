//! `relabel bench` and burn in turns on one machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Options;
use crate::compare;
use crate::timing::Plan;
use crate::work::{Peer, Work};

/// Has `relabel` name its layers and export its steps, tunes and checks burn once, then times `relabel` and burn in turns,
/// keeps the reports of each round in the folder `--out` and prints one table; false when an answer of burn's was wrong.
///
/// # Errors
/// When there is no adapter, no such work, `relabel` fails, or a report cannot be written.
pub fn run(relabel: &str, options: &Options) -> Result<bool, String> {
    if !["", "small", "all"].contains(&options.layers.as_str()) {
        return Err(format!("--layers {}: give small or all", options.layers));
    }
    let out = options.out.as_ref().map_or_else(|| PathBuf::from("target/peers"), PathBuf::from);
    let folder = out.join("steps");
    // Of another run there may be steps of other sizes.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&out).map_err(|e| format!("{}: {e}", out.display()))?;
    let ours = Relabel { program: relabel, options };
    let layers = out.join("layers.json");
    ours.bench("kernels", &["--repeats", "1"], "--json", &layers)?;
    ours.bench("export", &[], "", &folder)?;
    let (work, peer) = (Work::read(Some(&layers), Some(&folder), &options.only)?, Peer::open(&options.adapter)?);
    eprintln!("burn compiles, tunes and is checked; these times do not count");
    let first = peer.rows(&work, Plan { repeats: 1, seconds: 1e-3, check: true })?;
    let right = first.iter().all(|row| row.checked);

    let (mut our_reports, mut burn_reports) = (Vec::new(), Vec::new());
    let repeats = options.plan.repeats.to_string();
    let repeats = ["--repeats", repeats.as_str()];
    for round in 1..=options.rounds {
        let path = |program: &str| out.join(format!("{program}-{round}.json"));
        eprintln!("round {round} of {}: relabel", options.rounds);
        if !work.layers.is_empty() {
            ours.bench("kernels", &repeats, "--json", &path("relabel-kernels"))?;
            our_reports.push(path("relabel-kernels"));
        }
        if !work.steps.is_empty() {
            let steps = [&repeats[..], &["--full", "--step", &options.only]].concat();
            ours.bench("steps", &steps, "--json", &path("relabel-steps"))?;
            our_reports.push(path("relabel-steps"));
        }
        eprintln!("round {round} of {}: burn", options.rounds);
        let mut rows = peer.rows(&work, Plan { check: false, ..options.plan })?;
        for (row, first) in rows.iter_mut().zip(&first) {
            row.checked &= first.checked;
            row.warm_up = first.warm_up;
        }
        let burn = path("burn");
        std::fs::write(&burn, format!("{:#}\n", peer.report(&rows))).map_err(|e| format!("{}: {e}", burn.display()))?;
        burn_reports.push(burn);
    }
    let told = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
    print!("{}", compare::table(&told(&our_reports), &told(&burn_reports))?);
    Ok(right)
}

/// The other program.
struct Relabel<'a> {
    program: &'a str,
    options: &'a Options,
}

impl Relabel<'_> {
    /// Runs a part of `relabel bench` that writes to `path`, after the option `before` where it is not empty.
    fn bench(&self, part: &str, arguments: &[&str], before: &str, path: &Path) -> Result<(), String> {
        let Options { adapter, rows, layers, .. } = self.options;
        let adapter = if adapter == "cuda" { "gpu" } else { adapter };
        let mut command = Command::new(self.program);
        command.args(["--adapter", adapter, "bench", part]).args(arguments);
        if let Some(rows) = rows {
            command.args(["--rows", &rows.to_string(), "--demo-rows", &(4 * rows).to_string()]);
        }
        if part == "kernels" && layers == "all" {
            command.arg("--full");
        }
        if !before.is_empty() {
            command.arg(before);
        }
        // Its table goes to standard error here, so that standard output holds the comparison alone.
        let status = command.arg(path).stdout(Stdio::from(std::io::stderr())).status();
        let status = status.map_err(|e| format!("{}: {e}", self.program))?;
        if status.success() { Ok(()) } else { Err(format!("{} bench {part}: {status}", self.program)) }
    }
}
