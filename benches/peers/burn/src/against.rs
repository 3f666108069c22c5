//! `relabel bench` and burn in turns on one machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Options;
use crate::compare;
use crate::timing::Plan;
use crate::work::Work;

/// Tunes and checks burn once, then times `relabel` and burn in turns, keeps both reports of each round in the folder
/// `--out` and prints one table; false when an answer of burn's was wrong.
///
/// # Errors
/// When there is no adapter, `relabel` fails, or a report cannot be written.
pub fn run(relabel: &str, options: &Options) -> Result<bool, String> {
    let out = options.out.as_ref().map_or_else(|| PathBuf::from("target/peers"), PathBuf::from);
    std::fs::create_dir_all(&out).map_err(|e| format!("{}: {e}", out.display()))?;
    let work = Work::open(&options.adapter, &options.only, options.rows)?;
    eprintln!("burn compiles, tunes and is checked; these times do not count");
    let first = work.rows(Plan { repeats: 1, seconds: 1e-3, check: true });
    let right = first.iter().all(|row| row.checked);

    let (mut ours, mut burns) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let path = |program: &str| out.join(format!("{program}-{round}.json"));
        let (our, burn) = (path("relabel"), path("burn"));
        eprintln!("round {round} of {}: relabel", options.rounds);
        bench(relabel, options, &our)?;
        eprintln!("round {round} of {}: burn", options.rounds);
        let mut rows = work.rows(Plan { check: false, ..options.plan });
        for (row, first) in rows.iter_mut().zip(&first) {
            row.checked &= first.checked;
            row.warm_up = first.warm_up;
        }
        std::fs::write(&burn, format!("{:#}\n", work.report(&rows))).map_err(|e| format!("{}: {e}", burn.display()))?;
        ours.push(our.display().to_string());
        burns.push(burn.display().to_string());
    }
    print!("{}", compare::table(&ours, &burns)?);
    Ok(right)
}

fn bench(relabel: &str, options: &Options, report: &Path) -> Result<(), String> {
    let adapter = if options.adapter == "cuda" { "gpu" } else { &options.adapter };
    let [rows, demo] = options.rows.map(|rows| rows.to_string());
    // Its table goes to standard error here, so that standard output holds the comparison alone.
    let status = Command::new(relabel)
        .args(["--adapter", adapter, "bench", "--rows", &rows, "--demo-rows", &demo, "--json"])
        .arg(report)
        .stdout(Stdio::from(std::io::stderr()))
        .status()
        .map_err(|e| format!("{relabel}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{relabel} bench: {status}")) }
}
