//! Whole training steps: milliseconds, images a second, and what the host takes.

use std::sync::Arc;
use std::time::Instant;

use super::cases::{Case, named};
use super::clock::{Sampled, replays};
use super::{Measured, Options, Row};
use crate::base::Result;
use crate::gpu::clock::Moment;
use crate::gpu::timing::{awake, median_spread};
use crate::gpu::trace::Clock;
use crate::gpu::{Engine, Program, Recording, readback};

/// Times the steps whose name holds `name`, with the variants that training takes: forward, loss, backward and update, for
/// `maxl` a meta step as well; those in half precision are left out where the adapter lacks it.
///
/// # Errors
/// When the adapter fails, or no step is called `name`.
pub fn steps(engine: &Arc<Engine>, options: &Options, name: &str) -> Result<Measured> {
    let half = engine.features().contains(wgpu::Features::SHADER_F16);
    let cases = named(options, name)?;
    let mut measured = Measured::default();
    for case in cases {
        if case.half && !half {
            measured.left_out.push(format!(
                "{} {}: half-precision floats (SHADER_F16) are missing",
                case.name(),
                case.shape()
            ));
            continue;
        }
        let case = &case;
        measured.add(&case.name(), &case.shape(), engine.passing(|| step(engine, options, case)))?;
    }
    Ok(measured)
}

fn step(engine: &Arc<Engine>, options: &Options, case: &Case) -> Result<Row> {
    let since = Instant::now();
    let before = engine.allocated();
    let mut trainer = case.trainer(engine, true)?;
    let allocated = engine.allocated() - before;
    let mut whole = Recording::new();
    trainer.recordings().into_iter().for_each(|part| whole.append(part));
    let replayed = Program::new(engine, &whole)?;
    trainer.run_unreported(2)?;
    awake(engine, since, || trainer.run_unreported(2))?;
    let start = Instant::now();
    trainer.run_unreported(1)?;
    let count = replays(options, start.elapsed().as_secs_f64());
    let (mut samples, mut alone, mut host) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.repeats {
        let start = Moment::now(engine);
        trainer.run_unreported(count as u64)?;
        samples.push(start.elapsed(engine, count));
        // In turns, so that a busy machine slows all.
        let start = Moment::now(engine);
        replayed.run(engine, count)?;
        readback::wait(engine)?;
        alone.push(start.elapsed(engine, count));
        engine.start_trace(Clock::Host)?;
        trainer.submit_unreported()?;
        let trace = engine.finish_trace()?;
        // A meta step is more submissions than may be under way at once.
        let waited: f64 = trace.host.iter().filter(|span| span.what == "wait").map(|span| span.seconds).sum();
        host.push(trace.seconds - waited);
        readback::wait(engine)?;
    }
    let (sampled, alone) = (Sampled::of(&samples), Sampled::of(&alone));
    let (host, _) = median_spread(&mut host);
    let row = Row::sampled(&case.name(), &case.shape(), whole.cost(), sampled, options.repeats);
    Ok(Row {
        images_per_s: case.batch as f64 / sampled.median.wall,
        host_milliseconds: Some(1e3 * host),
        idle: Some((1.0 - alone.median.wall / sampled.median.wall).max(0.0)),
        planned_bytes: Some(trainer.planned()),
        allocated_bytes: Some(allocated),
        ..row
    })
}
