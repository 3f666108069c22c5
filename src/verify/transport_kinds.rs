//! Golden files of label assignment.

use super::Answer;
use super::golden::Golden;
use crate::base::{DType, Error, Result, Shape};
use crate::gpu::{Engine, readback};
use crate::kernels::assign_labels::info;
use crate::transport::marginals::uniform;
use crate::transport::{Plan, Room, RowStore, Settings, Sizes, Solver, Source};

/// Rows whose two best scores are nearer than this may have either label.
const NEAR_TIE: f64 = 1e-3;
/// Cap on iterations; the slowest file takes about 300.
const ITERATIONS: usize = 20_000;

pub(super) fn sinkhorn(engine: &Engine, golden: &Golden) -> Result<Vec<Answer>> {
    let (n, k) = (golden.count("samples")?, golden.count("clusters")?);
    let logits = golden.input("logits")?;
    if logits.sizes != [n, k] {
        return Err(Error::Data(format!("`in.logits` has sizes {:?}, not ({n}, {k})", logits.sizes)));
    }
    let sizes = Sizes { samples: n, clusters: k, heads: 1, features: None };
    let plan = Plan::choose(sizes, Room::of(engine))?;
    let store = RowStore::new(engine, "logits", n, k, false, Some(plan.window))?;
    store.write(engine, &logits.f32())?;
    let table = engine.tensor("labels", Shape::new(&[1, n]), DType::U32)?;
    let solver = Solver::new(engine, &plan)?;
    // A tolerance of 0 goes on until float32 allows no better.
    let settings = Settings { power: golden.number("power")?, tolerance: 0.0, iterations: ITERATIONS };
    let solution = solver.solve(engine, Source::Logits(&store), &uniform(k), &settings, &table, 0)?;

    let mut labels: Vec<f32> = readback::read::<u32>(engine, &table)?.iter().map(|&l| l as f32).collect();
    let (expected, margins) = (golden.output("labels")?, golden.output("margin")?);
    for (label, (known, margin)) in labels.iter_mut().zip(expected.values.iter().zip(&margins.values)) {
        if *margin < NEAR_TIE {
            *label = *known as f32;
        }
    }
    let details = solver.details(engine)?;
    let column = |c: usize| details.iter().map(move |d| d[c]);
    let mean = solution.scaling.iter().map(|v| f64::from(*v)).sum::<f64>() / k as f64;
    Ok(vec![
        ("labels".into(), labels),
        ("margin".into(), column(info::MARGIN).collect()),
        ("log_cluster_scaling".into(), solution.scaling.iter().map(|v| (f64::from(*v) - mean) as f32).collect()),
        ("cluster_mass".into(), solution.mass.iter().map(|m| *m as f32).collect()),
        ("sample_mass".into(), column(info::MASS).map(|m| m / n as f32).collect()),
        ("transport_cost".into(), vec![solution.report.transport_cost as f32]),
    ])
}
