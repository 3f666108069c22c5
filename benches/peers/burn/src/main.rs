//! The work of `relabel bench` on burn: convolutions, matmul, training steps.

mod against;
mod check;
mod compare;
mod convolution;
mod kernels;
mod models;
mod step;
mod timing;
mod work;

use std::process::ExitCode;

use timing::Plan;
use work::Work;

const USAGE: &str = "burn-peer run [OPTIONS]               print a report as JSON
burn-peer against RELABEL [OPTIONS]   time this binary's bench and burn in turns, print one table
burn-peer compare --ours FILE... --burn FILE...   print one table from reports
options: --adapter auto|cpu|gpu|cuda, --only TEXT, --rows N, --repeats N, --seconds S, --rounds N, --out FOLDER";

/// What the command line asks for.
struct Options {
    adapter: String,
    only: String,
    /// Of ResNet-32 and of the demo network.
    rows: [usize; 2],
    plan: Plan,
    rounds: usize,
    out: Option<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["run", rest @ ..] => options(rest).and_then(|o| run(&o)),
        ["against", relabel, rest @ ..] => options(rest).and_then(|o| against::run(relabel, &o)),
        ["compare", rest @ ..] => compare(rest),
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn options(arguments: &[&str]) -> Result<Options, String> {
    let plan = Plan { repeats: 5, seconds: 0.5, check: true };
    let (mut options, mut rows) =
        (Options { adapter: "auto".into(), only: String::new(), rows: [32, 128], plan, rounds: 3, out: None }, None);
    for pair in arguments.chunks(2) {
        let &[option, value] = pair else { return Err(USAGE.into()) };
        let bad = || format!("{option} {value}: not a number above zero\n{USAGE}");
        let count = || value.parse().ok().filter(|n| *n > 0).ok_or_else(bad);
        match option {
            "--adapter" => options.adapter = value.into(),
            "--only" => options.only = value.into(),
            "--repeats" => options.plan.repeats = count()?,
            "--rows" => rows = Some(count()?),
            "--rounds" => options.rounds = count()?,
            "--out" => options.out = Some(value.into()),
            "--seconds" => options.plan.seconds = value.parse().ok().filter(|s| *s > 0.0).ok_or_else(bad)?,
            _ => return Err(USAGE.into()),
        }
    }
    // As `relabel bench` takes them on such adapters.
    match (rows, options.adapter.as_str()) {
        (Some(rows), _) => options.rows = [rows, 4 * rows],
        (None, "gpu" | "cuda") => options.rows = [512, 512],
        (None, _) => {}
    }
    Ok(options)
}

/// Times everything once; false when an answer was wrong.
fn run(options: &Options) -> Result<bool, String> {
    let work = Work::open(&options.adapter, &options.only, options.rows)?;
    let rows = work.rows(options.plan);
    println!("{:#}", work.report(&rows));
    Ok(rows.iter().all(|row| row.checked))
}

fn compare(arguments: &[&str]) -> Result<bool, String> {
    let (mut ours, mut burns, mut list) = (Vec::new(), Vec::new(), None);
    for &argument in arguments {
        match (argument, list) {
            ("--ours", _) => list = Some(true),
            ("--burn", _) => list = Some(false),
            (_, Some(true)) => ours.push(argument.into()),
            (_, Some(false)) => burns.push(argument.into()),
            (_, None) => return Err(USAGE.into()),
        }
    }
    if ours.is_empty() || burns.is_empty() {
        return Err(USAGE.into());
    }
    print!("{}", compare::table(&ours, &burns)?);
    Ok(true)
}
