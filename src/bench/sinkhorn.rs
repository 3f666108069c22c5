//! Iterations of label assignment at the sizes of CIFAR and of a tenth of ImageNet, beside a copy of as many bytes.

use super::clock::sampled;
use super::kernels::measure;
use super::{Options, Row};
use crate::base::{Error, Result, Shape};
use crate::gpu::{Engine, Program, readback};
use crate::kernels::ceilings::noise;
use crate::kernels::copy;
use crate::transport::row_store::binding_bytes;
use crate::transport::{Plan, Room, RowStore, Settings, Sizes, Solver, Source};

/// Samples and clusters that are measured unless others are asked for.
pub const SIZES: [(usize, usize); 2] = [(50_000, 128), (100_000, 1000)];

/// Times one iteration for each `(samples, clusters)` with the scores kept: its bytes a second, and how many times it
/// goes over the scores' bytes; then a copy that moves about as many bytes (at most what a binding holds).
///
/// # Errors
/// When there are more clusters than samples, or the adapter has no room, or fails.
pub fn sinkhorn(engine: &Engine, options: &Options, sizes: &[(usize, usize)]) -> Result<Vec<Row>> {
    if options.repeats == 0 {
        return Err(Error::Config("bench: repeats must be at least 1".into()));
    }
    let mut rows = Vec::new();
    for &(n, k) in sizes {
        rows.push(iteration(engine, options, n, k)?);
        let scores = 4 * n as u64 * k as u64;
        let most = (scores / 2).min(binding_bytes(&engine.limits())).max(4096);
        let halves = [(most / 4096) as usize, 1024];
        let (x, y) = (noise(engine, &halves)?, noise(engine, &halves)?);
        let kib = x.shape.bytes() as f64 / 1024.0;
        let size = if kib < 1024.0 { format!("{kib:.0} KiB") } else { format!("{:.1} MiB", kib / 1024.0) };
        let shape = format!("{size} read and written");
        rows.push(measure(engine, options, "ceiling: copy", &shape, |r| copy::record(r, &x, &y))?);
    }
    Ok(rows)
}

fn iteration(engine: &Engine, options: &Options, n: usize, k: usize) -> Result<Row> {
    let plan = Plan::choose(Sizes { samples: n, clusters: k, heads: 1, features: None }, Room::of(engine))?;
    let store = RowStore::new(engine, "logits", n, k, false, Some(plan.window))?;
    for (i, window) in store.windows().iter().enumerate() {
        let values = (0..window.shape.elements() as u32).map(|j| {
            let word = (j ^ i as u32).wrapping_mul(2_654_435_761) >> 8;
            word as f32 / 16_777_216.0 - 0.5
        });
        engine.write_words(window, &Shape::pad(&window.shape, &values.collect::<Vec<f32>>()));
    }
    let solver = Solver::new(engine, &plan)?;
    let settings = Settings { power: 10.0, tolerance: 0.0, iterations: 1 << 20 };
    let recording = solver.recorded(engine, Source::Logits(&store), &settings)?;
    let cost = recording.cost();
    let program = Program::new(engine, &recording)?;
    let sampled = sampled(engine, options, |times| {
        program.run(engine, times)?;
        readback::wait(engine)
    })?;
    let passes = cost.bytes as f64 / (4.0 * n as f64 * k as f64);
    let shape = format!("{n} x {k}, {passes:.2} passes over the scores");
    Ok(Row::sampled("sinkhorn iteration", &shape, cost, sampled, options.repeats))
}
