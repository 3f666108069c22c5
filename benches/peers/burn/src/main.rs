//! The work of `relabel bench` on burn's wgpu backend: convolutions, matmul, training steps.
//!
//! `burn-peer [run] [--adapter auto|cpu|gpu] [--only TEXT] [--repeats N] [--seconds S]` prints a report as JSON;
//! `burn-peer compare --ours FILE... --burn FILE...` prints one table from such reports.

mod check;
mod compare;
mod convolution;
mod kernels;
mod models;
mod step;
mod timing;

use std::process::ExitCode;

use burn::prelude::*;
use serde_json::json;
use timing::{Plan, Row};

const USAGE: &str = "burn-peer [run] [--adapter auto|cpu|gpu] [--only TEXT] [--repeats N] [--seconds S]
burn-peer compare --ours FILE... --burn FILE...";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((first, rest)) if first == "compare" => compare(rest),
        Some((first, rest)) if first == "run" => run(rest),
        _ => run(&arguments),
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

fn compare(arguments: &[String]) -> Result<bool, String> {
    let (mut ours, mut burns, mut list) = (Vec::new(), Vec::new(), None);
    for argument in arguments {
        match (argument.as_str(), list) {
            ("--ours", _) => list = Some(true),
            ("--burn", _) => list = Some(false),
            (_, Some(true)) => ours.push(argument.clone()),
            (_, Some(false)) => burns.push(argument.clone()),
            (_, None) => return Err(USAGE.into()),
        }
    }
    if ours.is_empty() || burns.is_empty() {
        return Err(USAGE.into());
    }
    print!("{}", compare::table(&ours, &burns)?);
    Ok(true)
}

/// Times everything; false when an answer was wrong.
fn run(arguments: &[String]) -> Result<bool, String> {
    let (mut adapter, mut only) = ("auto".to_owned(), String::new());
    let mut plan = Plan { repeats: 7, seconds: 0.5 };
    for pair in arguments.chunks(2) {
        let [option, value] = pair else { return Err(USAGE.into()) };
        let bad = || format!("{option} {value}: not a number above zero\n{USAGE}");
        match option.as_str() {
            "--adapter" => adapter.clone_from(value),
            "--only" => only.clone_from(value),
            "--repeats" => plan.repeats = value.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?,
            "--seconds" => plan.seconds = value.parse().ok().filter(|s| *s > 0.0).ok_or_else(bad)?,
            _ => return Err(USAGE.into()),
        }
    }
    let kind = match adapter.as_str() {
        "auto" => DeviceKind::DefaultDevice,
        "cpu" => DeviceKind::Cpu,
        "gpu" => DeviceKind::DiscreteGpu(0),
        _ => return Err(USAGE.into()),
    };
    let (device, setup) =
        Device::wgpu_options().device_kind(kind).init_with_setup().map_err(|e| format!("no device: {e}"))?;
    let info = setup.adapter.get_info();
    eprintln!("{} ({:?}, {} {})", info.name, info.backend, info.driver, info.driver_info);
    eprintln!(
        "{:<20} {:<44} {:>10} {:>9} {:>9} {:>9} right",
        "name", "shape", "ms", "GFLOP/s", "images/s", "warm-up s"
    );

    let mut rows: Vec<Row> = Vec::new();
    let mut report = |row: Row| {
        let images = row.images_per_s().map_or("-".into(), |v| format!("{v:.1}"));
        eprintln!(
            "{:<20} {:<44} {:>10.2} {:>9.2} {images:>9} {:>9.1} {}",
            row.name,
            row.shape,
            row.milliseconds,
            row.gflops(),
            row.warm_up,
            row.checked
        );
        rows.push(row);
    };
    if "matmul".contains(&only) {
        kernels::matmul(512, plan, &device, &mut report);
    }
    for shape in &convolution::SHAPES {
        if "conv2d".contains(&only) || shape.text().contains(&only) {
            kernels::convolution(shape, plan, &device, &mut report);
        }
    }
    if "step demo sla".contains(&only) {
        report(step::demo(plan, &device));
    }
    if "step resnet32 sla".contains(&only) {
        report(step::resnet32(plan, &device));
    }

    let checked = rows.iter().all(|row| row.checked);
    let report = json!({
        "peer": "burn 0.22.1, wgpu backend (WGSL), fusion and autotune on",
        "adapter": info.name,
        "driver": format!("{} {}", info.driver, info.driver_info),
        "repeats": plan.repeats,
        "rows": rows.iter().map(Row::json).collect::<Vec<_>>(),
    });
    println!("{report:#}");
    Ok(checked)
}
