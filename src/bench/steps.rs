//! Whole training steps: milliseconds, images a second, and which kernels take the time.

use std::sync::Arc;
use std::time::Instant;

use super::{Options, Row};
use crate::base::Result;
use crate::gpu::timing::median_spread;
use crate::gpu::{Engine, Program, Recording, readback};
use crate::session::synthetic::{STEPS, Step};

/// Times the steps with the variants that training takes: forward, loss, backward and update of SLA with rotation.
///
/// # Errors
/// When the adapter has no room, or fails.
pub fn steps(engine: &Arc<Engine>, options: &Options) -> Result<Vec<Row>> {
    STEPS.iter().map(|case| step(engine, options, case)).collect()
}

fn step(engine: &Arc<Engine>, options: &Options, case: &Step) -> Result<Row> {
    let mut trainer = case.noise.trainer(engine, case.config(&[])?)?;
    let batch = trainer.config().train.batch as f64;
    trainer.run_unreported(2)?;
    let start = Instant::now();
    trainer.run_unreported(1)?;
    let once = start.elapsed().as_secs_f64().max(1e-6);
    let count = (options.sample / once).ceil().max(1.0) as u64;
    let mut samples = Vec::new();
    for _ in 0..options.repeats {
        let start = Instant::now();
        trainer.run_unreported(count)?;
        samples.push(start.elapsed().as_secs_f64() / count as f64);
    }
    let (seconds, spread) = median_spread(&mut samples);
    let cost = trainer.recording().cost();
    let [h, w, c] = case.noise.image;
    Ok(Row {
        name: format!("step {}", case.name),
        shape: format!("{batch} x 4 rows of {h}x{w}x{c}"),
        milliseconds: 1e3 * seconds,
        gflops: cost.operations as f64 / seconds / 1e9,
        gbytes_per_s: cost.bytes as f64 / seconds / 1e9,
        images_per_s: batch / seconds,
        repeats: options.repeats,
        spread,
    })
}

/// Time of each kernel within one step, largest first: every dispatch is replayed alone, so sums are a little above a
/// whole step's time.
///
/// # Errors
/// When the adapter fails, or no step is called `name`.
pub fn breakdown(engine: &Arc<Engine>, options: &Options, name: &str) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for case in STEPS {
        let step = format!("step {}", case.name);
        if !step.contains(name) {
            continue;
        }
        let trainer = case.noise.trainer(engine, case.config(&[])?)?;
        for dispatch in &trainer.recording().dispatches {
            let mut one = Recording::new();
            one.dispatches.push(dispatch.clone());
            let program = Program::new(engine, &one)?;
            program.run(engine, 1)?;
            readback::wait(engine)?;
            let start = Instant::now();
            program.run(engine, options.repeats)?;
            readback::wait(engine)?;
            let seconds = start.elapsed().as_secs_f64() / options.repeats as f64;
            let kernel = dispatch.shader.name;
            let place = rows.iter().position(|r| r.name == kernel && r.shape == step);
            let row = match place {
                Some(place) => &mut rows[place],
                None => {
                    rows.push(Row {
                        name: kernel.into(),
                        shape: step.clone(),
                        milliseconds: 0.0,
                        gflops: 0.0,
                        gbytes_per_s: 0.0,
                        images_per_s: 0.0,
                        repeats: 0,
                        spread: 0.0,
                    });
                    rows.last_mut().expect("pushed above")
                }
            };
            row.milliseconds += 1e3 * seconds;
            // Operations and bytes first, rates when all dispatches are in.
            row.gflops += dispatch.cost.operations as f64;
            row.gbytes_per_s += dispatch.cost.bytes as f64;
            row.repeats += 1;
        }
    }
    for row in &mut rows {
        let seconds = row.milliseconds / 1e3;
        row.gflops /= seconds * 1e9;
        row.gbytes_per_s /= seconds * 1e9;
    }
    rows.sort_by(|a, b| b.milliseconds.total_cmp(&a.milliseconds));
    Ok(rows)
}
