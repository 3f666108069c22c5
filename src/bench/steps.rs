//! Whole training steps: milliseconds, images a second, what the host takes, and the kernels that take most.

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
use crate::graph::Precision;
use crate::train::Trainer;

/// Kernels of a step that have a share of their own; the others are one.
const NAMED: usize = 4;

/// A kernel's part of a step.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Share {
    /// Kernel and variant, or [`Share::REST`].
    pub name: String,
    /// Of the device's time, from 0 to 1.
    pub share: f64,
}

impl Share {
    /// The name of all that have none.
    pub const REST: &str = "the rest";

    /// The first of `all`, which stand largest first, and what the others take together.
    fn largest(mut all: Vec<Self>) -> Vec<Self> {
        if all.len() > NAMED + 1 {
            let rest = all.split_off(NAMED).iter().map(|share| share.share).sum();
            all.push(Self { name: Self::REST.into(), share: rest });
        }
        all
    }
}

/// Runs some more steps of a trainer and says what each kernel took of them, largest first; nothing where no clock tells.
pub type Look<'a> = dyn FnMut(&mut Trainer) -> Result<Vec<Share>> + 'a;

/// Times the steps whose name holds `name`, with the variants that training takes: forward, loss, backward and update, for
/// `maxl` a meta step as well; those in half precision are left out where the adapter lacks it, those with rounded factors where it
/// has no matrix units. `look` sees each when it is timed.
///
/// # Errors
/// When the adapter fails, no step is called `name`, or `look` fails.
pub fn steps(engine: &Arc<Engine>, options: &Options, name: &str, look: &mut Look) -> Result<Measured> {
    let lacks = |precision: Precision| match precision {
        Precision::F16 if !engine.features().contains(wgpu::Features::SHADER_F16) => {
            Some("half-precision floats (SHADER_F16) are missing")
        }
        Precision::Tf32 if engine.is_software() || engine.cooperative().is_none() => {
            Some("without matrix units it is the step in float32")
        }
        _ => None,
    };
    let cases = named(options, name)?;
    let mut measured = Measured::default();
    for case in cases {
        if let Some(why) = lacks(case.precision) {
            measured.left_out.push(format!("{} {}: {why}", case.name(), case.shape()));
            continue;
        }
        let case = &case;
        measured.add(&case.name(), &case.shape(), engine.passing(|| step(engine, options, case, look)))?;
    }
    Ok(measured)
}

fn step(engine: &Arc<Engine>, options: &Options, case: &Case, look: &mut Look) -> Result<Row> {
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
    let software = engine.is_software();
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
        // A software adapter's second submission waits for the first, inside `submit`.
        if !software || trace.plays.len() < 2 {
            // A meta step is more submissions than may be under way at once.
            let waited: f64 = trace.host.iter().filter(|span| span.what == "wait").map(|span| span.seconds).sum();
            host.push(trace.seconds - waited);
        }
        readback::wait(engine)?;
    }
    let (sampled, alone) = (Sampled::of(&samples), Sampled::of(&alone));
    let host = (!host.is_empty()).then(|| 1e3 * median_spread(&mut host).0);
    let kernels = Share::largest(look(&mut trainer)?);
    let row = Row::sampled(&case.name(), &case.shape(), whole.cost(), sampled, options.repeats);
    Ok(Row {
        images_per_s: case.batch as f64 / sampled.median.wall,
        host_milliseconds: host,
        idle: Some((1.0 - alone.median.wall / sampled.median.wall).max(0.0)),
        planned_bytes: Some(trainer.planned()),
        allocated_bytes: Some(allocated),
        kernels,
        ..row
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_shares_are_put_together() {
        let shares = |all: &[f64]| -> Vec<Share> {
            all.iter().enumerate().map(|(i, &share)| Share { name: format!("kernel {i}"), share }).collect()
        };
        assert_eq!(Share::largest(shares(&[0.5, 0.2, 0.1, 0.1, 0.1])), shares(&[0.5, 0.2, 0.1, 0.1, 0.1]));
        let many = Share::largest(shares(&[0.5, 0.125, 0.125, 0.125, 0.0625, 0.0625]));
        assert_eq!(many[..4], shares(&[0.5, 0.125, 0.125, 0.125]));
        assert_eq!(many[4..], [Share { name: Share::REST.into(), share: 0.125 }]);
    }
}
