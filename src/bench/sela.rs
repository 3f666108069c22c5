//! What self-labelling costs beside supervised training, at CIFAR's sizes: a step, and an update of one head's labels.

use std::sync::Arc;

use super::clock::Sampled;
use super::{Options, Row};
use crate::base::{DType, Result, Shape};
use crate::gpu::clock::{Elapsed, Moment};
use crate::gpu::{Cost, Engine};
use crate::session;
use crate::session::synthetic::Noise;
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
        let before = engine.allocated();
        let mut trainer = Noise::default().trainer(engine, config)?;
        let allocated = engine.allocated() - before;
        trainer.run_unreported(1)?;
        trainers.push((method, trainer, allocated, Vec::new()));
    }
    for _ in 0..options.repeats {
        // In turns, so that a busy machine slows both.
        for (.., trainer, _, samples) in &mut trainers {
            let start = Moment::now(engine);
            trainer.run_unreported(1)?;
            samples.push(start.elapsed(engine, 1));
        }
    }
    let mut rows = Vec::new();
    let mut supervised = 0.0;
    for (method, trainer, allocated, samples) in trainers {
        let sampled = Sampled::of(&samples);
        let seconds = sampled.median.wall;
        if method == "baseline" {
            supervised = seconds;
        }
        let (name, shape) = (format!("step {method}"), format!("{BATCH} rows of 32x32x3, cifar_resnet18"));
        let cost = trainer.recording().cost();
        rows.push(Row {
            images_per_s: BATCH as f64 / seconds,
            note: format!("{:.2} of baseline", seconds / supervised),
            planned_bytes: Some(trainer.planned()),
            allocated_bytes: Some(allocated),
            ..Row::sampled(&name, &shape, cost, sampled, options.repeats)
        });
    }
    let epoch = supervised * SAMPLES as f64 / BATCH as f64;
    rows.push(assignment(engine, options, epoch)?);
    Ok(rows)
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
    let solve = || -> Result<(transport::Report, Elapsed)> {
        let start = Moment::now(engine);
        let report = solver.solve(engine, source, &shares, &settings, &table, 0)?.report;
        let elapsed = Elapsed { wall: report.seconds, ..start.elapsed(engine, 1) };
        Ok((report, elapsed))
    };
    let (report, _) = solve()?;
    let samples = (0..options.repeats).map(|_| Ok(solve()?.1)).collect::<Result<Vec<_>>>()?;
    let sampled = Sampled::of(&samples);
    let seconds = sampled.median.wall;
    let state = if report.outcome == Outcome::Converged { "to 1e-3" } else { "not converged" };
    let shape = format!("{SAMPLES} x {CLUSTERS} from {width} features");
    Ok(Row {
        note: format!("{} iterations {state}, {:.2} % of an epoch", report.iterations, 100.0 * seconds / epoch),
        images_per_s: SAMPLES as f64 / seconds,
        planned_bytes: Some(plan.bytes()),
        ..Row::sampled("label update, one head", &shape, Cost::default(), sampled, options.repeats)
    })
}
