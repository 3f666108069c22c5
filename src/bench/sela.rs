//! What self-labelling costs beside supervised training, at CIFAR's sizes: a step, and an update of one head's labels.

use std::sync::Arc;
use std::time::Instant;

use super::{Options, Row};
use crate::base::{DType, Result, Shape};
use crate::gpu::Engine;
use crate::gpu::timing::median_spread;
use crate::session;
use crate::session::synthetic::Noise;
use crate::train::Trainer;
use crate::transport::{self, Outcome, Plan, Room, RowStore, Settings, Sizes, Solver, Source, marginals};

/// CIFAR's images.
const SAMPLES: usize = 50_000;
/// The recipe's clusters.
const CLUSTERS: usize = 128;
const BATCH: usize = 16;

fn config(method: &str) -> String {
    format!(
        "method = \"{method}\"\n[model]\nname = \"cifar_resnet18\"\n[train]\nbatch = {BATCH}\nsteps = 1000000\n[sela]\n\
         heads = 10\nclusters = {CLUSTERS}\nfeatures = \"bank\""
    )
}

/// Steps of ResNet-18 for small images, supervised and with 10 heads of 128 clusters, in turns; and the assignment of
/// 50,000 images from 512 features at CIFAR's recipe (λ = 10), beside an epoch of those supervised steps.
///
/// # Errors
/// When the adapter has no room, or fails.
pub fn sela(engine: &Arc<Engine>, options: &Options) -> Result<Vec<Row>> {
    let mut trainers = Vec::new();
    for method in ["baseline", "sela"] {
        let config = session::config(&config(method), "the bench's config", &[])?;
        let mut trainer = Noise::default().trainer(engine, config)?;
        trainer.run_unreported(1)?;
        trainers.push((method, trainer, Vec::new()));
    }
    for _ in 0..options.repeats {
        // In turns, so that a busy machine slows both.
        for (_, trainer, samples) in &mut trainers {
            let start = Instant::now();
            trainer.run_unreported(1)?;
            samples.push(start.elapsed().as_secs_f64());
        }
    }
    let mut rows = Vec::new();
    let mut supervised = 0.0;
    for (method, trainer, mut samples) in trainers {
        let (seconds, spread) = median_spread(&mut samples);
        if method == "baseline" {
            supervised = seconds;
        }
        let note = format!("{:.2} of baseline", seconds / supervised);
        let row = row(format!("step {method}"), &trainer, seconds, spread, options.repeats);
        rows.push(Row { note, best_milliseconds: Some(1e3 * samples[0]), ..row });
    }
    let epoch = supervised * SAMPLES as f64 / BATCH as f64;
    rows.push(assignment(engine, options, epoch)?);
    Ok(rows)
}

fn row(name: String, trainer: &Trainer, seconds: f64, spread: f64, repeats: usize) -> Row {
    let cost = trainer.recording().cost();
    Row {
        name,
        shape: format!("{BATCH} rows of 32x32x3, cifar_resnet18"),
        milliseconds: 1e3 * seconds,
        gflops: cost.operations as f64 / seconds / 1e9,
        gbytes_per_s: cost.bytes as f64 / seconds / 1e9,
        images_per_s: BATCH as f64 / seconds,
        repeats,
        spread,
        ..Row::default()
    }
}

/// One head's update from features that are there (`features = "bank"`): the product, all iterations to the default
/// tolerance, and the labels. The features have clusters of unequal sizes, as a half-trained network's.
fn assignment(engine: &Engine, options: &Options, epoch: f64) -> Result<Row> {
    let width = 512;
    let sizes = Sizes { samples: SAMPLES, clusters: CLUSTERS, heads: 1, features: Some(width) };
    let plan = Plan::choose(sizes, Room::of(engine))?;
    let store = RowStore::new(engine, "features", SAMPLES, width, plan.half, Some(plan.window))?;
    let noise = |i: u64| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f32 / (1u64 << 24) as f32 - 0.5;
    let values: Vec<f32> = (0..SAMPLES * width)
        .map(|i| {
            let (row, column) = (i / width, i % width);
            // Square roots make low groups the larger ones.
            let group = ((row as f32 / SAMPLES as f32).sqrt() * 200.0) as u64;
            0.5 * noise(i as u64) + noise(1 << 40 | group << 20 | column as u64)
        })
        .collect();
    store.write(engine, &values)?;
    let weight = engine.tensor("weight", Shape::new(&[width, CLUSTERS]), DType::F32)?;
    let bias = engine.tensor("bias", Shape::new(&[CLUSTERS]), DType::F32)?;
    let weights: Vec<f32> = (0..(width * CLUSTERS) as u64).map(|i| 0.3 * noise(1 << 50 | i)).collect();
    engine.write(&weight, &weights);
    let table = engine.tensor("labels", Shape::new(&[1, SAMPLES]), DType::U32)?;
    let solver = Solver::new(engine, &plan)?;
    let shares = marginals::uniform(CLUSTERS);
    let settings = Settings { power: 10.0, tolerance: 1e-3, iterations: 1000 };
    let source = Source::Features { store: &store, weight: &weight, bias: &bias };
    let solve =
        || -> Result<transport::Report> { Ok(solver.solve(engine, source, &shares, &settings, &table, 0)?.report) };
    let report = solve()?;
    let mut samples = Vec::new();
    for _ in 0..options.repeats {
        samples.push(solve()?.seconds);
    }
    let (seconds, spread) = median_spread(&mut samples);
    let state = if report.outcome == Outcome::Converged { "to 1e-3" } else { "not converged" };
    Ok(Row {
        name: "label update, one head".into(),
        shape: format!("{SAMPLES} x {CLUSTERS} from {width} features"),
        note: format!("{} iterations {state}, {:.2} % of an epoch", report.iterations, 100.0 * seconds / epoch),
        milliseconds: 1e3 * seconds,
        images_per_s: SAMPLES as f64 / seconds,
        repeats: options.repeats,
        spread,
        best_milliseconds: Some(1e3 * samples[0]),
        ..Row::default()
    })
}
