//! The work of `relabel bench` on burn: the layers of networks, training steps.

mod against;
mod check;
mod compare;
mod convolution;
mod exported;
mod kernels;
mod layers;
mod methods;
mod models;
mod product;
mod steps;
mod timing;
mod weights;
mod work;

use std::path::Path;
use std::process::ExitCode;

use timing::Plan;
use work::{Peer, Work};

const USAGE: &str = "burn-peer run [--layers FILE] [--steps DIR] [OPTIONS]
                                      print a report as JSON: of the layers in a report of `relabel bench kernels`, and
                                      of the steps that `relabel bench export` wrote
burn-peer against RELABEL [--layers small|all] [--rows N] [--rounds N] [--out FOLDER] [OPTIONS]
                                      time this binary's bench and burn in turns, print one table
burn-peer compare --ours FILE... --burn FILE...
                                      print one table from reports
options: --adapter auto|cpu|gpu|cuda, --only TEXT, --repeats N, --seconds S";

/// What the command line asks for.
struct Options {
    adapter: String,
    only: String,
    /// Which networks' layers, or the file that names them.
    layers: String,
    steps: Option<String>,
    /// Of ResNet-32; of the demo network four times as many. Else as `relabel bench` has them.
    rows: Option<usize>,
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
    let mut options = Options {
        adapter: "auto".into(),
        only: String::new(),
        layers: String::new(),
        steps: None,
        rows: None,
        plan: Plan { repeats: 5, seconds: 0.5, check: true },
        rounds: 3,
        out: None,
    };
    for pair in arguments.chunks(2) {
        let &[option, value] = pair else { return Err(USAGE.into()) };
        let bad = || format!("{option} {value}: not a number above zero\n{USAGE}");
        let count = || value.parse().ok().filter(|n| *n > 0).ok_or_else(bad);
        match option {
            "--adapter" => options.adapter = value.into(),
            "--only" => options.only = value.into(),
            "--layers" => options.layers = value.into(),
            "--steps" => options.steps = Some(value.into()),
            "--repeats" => options.plan.repeats = count()?,
            "--rows" => options.rows = Some(count()?),
            "--rounds" => options.rounds = count()?,
            "--out" => options.out = Some(value.into()),
            "--seconds" => options.plan.seconds = value.parse().ok().filter(|s| *s > 0.0).ok_or_else(bad)?,
            _ => return Err(USAGE.into()),
        }
    }
    Ok(options)
}

/// Times everything once; false when an answer was wrong.
fn run(options: &Options) -> Result<bool, String> {
    let layers = Some(Path::new(&options.layers)).filter(|file| !file.as_os_str().is_empty());
    let steps = options.steps.as_ref().map(Path::new);
    if layers.is_none() && steps.is_none() {
        return Err(USAGE.into());
    }
    let (work, peer) = (Work::read(layers, steps, &options.only)?, Peer::open(&options.adapter)?);
    let rows = peer.rows(&work, options.plan)?;
    println!("{:#}", peer.report(&rows));
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
