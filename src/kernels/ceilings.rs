//! What an adapter can do at most, measured on it: a register-only loop of multiply-adds, and a copy.

use std::time::{Duration, Instant};

use super::{choose, copy, fma_loop};
use crate::base::{DType, Error, Result, Shape};
use crate::gpu::timing::{Sampling, timed};
use crate::gpu::{Cost, Engine, Program, Recording, Tensor, readback};

/// A kernel that reaches a ceiling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceiling {
    /// What one run does.
    pub cost: Cost,
    /// Median seconds of a run.
    pub seconds: f64,
    /// (slowest − fastest) / median of the samples.
    pub spread: f64,
}

/// The two ceilings of a roofline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceilings {
    /// Multiply-adds on registers.
    pub operations: Ceiling,
    /// A copy.
    pub bytes: Ceiling,
}

impl Ceilings {
    /// Floating-point operations a second; a multiply-add is two.
    pub fn operations_per_s(&self) -> f64 {
        self.operations.cost.operations as f64 / self.operations.seconds
    }

    /// Bytes a second, read and written ones added.
    pub fn bytes_per_s(&self) -> f64 {
        self.bytes.cost.bytes as f64 / self.bytes.seconds
    }

    /// The higher of two measurements of each, which may be of other sizes: other work on the machine only lowers a ceiling.
    pub fn or_faster(self, other: Self) -> Self {
        let operations = if other.operations_per_s() > self.operations_per_s() { other } else { self }.operations;
        let bytes = if other.bytes_per_s() > self.bytes_per_s() { other } else { self }.bytes;
        Self { operations, bytes }
    }
}

/// MiB of the tensor that is copied: on software adapters, and where a GPU's trial begins.
const COPIED: usize = 16;
/// The largest, read and written a GiB: the caches of large GPUs hold some 50 to 250 MiB.
const MOST_COPIED: usize = 512;
/// Lanes of multiply-adds: on software adapters, and where a GPU's trial begins.
const LANES: usize = 65_536;
/// The most: some 60 times what a large GPU runs at once.
const MOST_LANES: usize = 1 << 24;
/// Multiply-adds of each of a lane's values.
const ROUNDS: u32 = 256;
/// Seconds from which on what a GPU takes to begin does not count.
const ENOUGH: f64 = 2e-3;
/// How long [`wake`] takes.
const AWAKE: Duration = Duration::from_secs(1);

/// What measures them: multiply-adds in registers, and a copy. On a GPU each is made larger until a run takes 2 ms, so that
/// neither the start of a dispatch nor a cache stands for it, as far as the adapter's limits and memory allow.
///
/// # Errors
/// When the adapter has no room, or fails.
pub fn recordings(engine: &Engine) -> Result<[Recording; 2]> {
    Ok([multiply_adds(engine)?, copied(engine)?])
}

/// What measures a copy.
///
/// # Errors
/// As [`recordings`].
pub fn copied(engine: &Engine) -> Result<Recording> {
    largest(engine, COPIED, MOST_COPIED, |mebibytes| {
        let sizes = [256 * mebibytes, 1024];
        let x = if engine.is_software() { noise(engine, &sizes)? } else { filled(engine, &sizes)? };
        let y = engine.tensor("copy", Shape::new(&sizes), DType::F32)?;
        recorded(engine, |r| copy::record(r, &x, &y))
    })
}

fn multiply_adds(engine: &Engine) -> Result<Recording> {
    largest(engine, LANES, MOST_LANES, |lanes| {
        let out = engine.tensor("lanes", Shape::new(&[lanes]), DType::F32)?;
        recorded(engine, |r| fma_loop::record(r, ROUNDS, 0.5, 0.25, &out))
    })
}

/// Keeps a GPU busy for a second: one that had nothing to do runs at a fraction of its clock (an H200 at 345 of 1,980 MHz), and
/// takes some tenths of a second of work to leave that. What is timed before says nothing.
///
/// # Errors
/// When the adapter has no room, or fails.
pub fn wake(engine: &Engine) -> Result<()> {
    if engine.is_software() {
        return Ok(());
    }
    let out = engine.tensor("lanes", Shape::new(&[LANES]), DType::F32)?;
    let program = Program::new(engine, &recorded(engine, |r| fma_loop::record(r, ROUNDS, 0.5, 0.25, &out))?)?;
    let start = Instant::now();
    while start.elapsed() < AWAKE {
        program.run(engine, 100)?;
        readback::wait(engine)?;
    }
    Ok(())
}

/// The sizes of a ceiling's recording in words.
pub fn sizes(recording: &Recording) -> String {
    let dispatch = &recording.dispatches[0];
    let tensor = &dispatch.tensors[0];
    if dispatch.shader.name == copy::SHADER.name {
        return format!("{} MiB", tensor.bytes() >> 20);
    }
    // Rows of different lanes must not be compared by their times.
    match tensor.shape.elements() {
        LANES => "registers alone".into(),
        lanes => format!("registers alone, {lanes} lanes"),
    }
}

/// What `record` gives for `first`; on a GPU doubled until a run takes long enough, `most` is reached, or there is no room.
fn largest(
    engine: &Engine,
    first: usize,
    most: usize,
    record: impl Fn(usize) -> Result<Recording>,
) -> Result<Recording> {
    let (mut size, mut recording) = (first, record(first)?);
    let sampling = Sampling { repeats: 3, seconds: 0.0 };
    while !engine.is_software() && size < most && timed(engine, sampling, &recording)?.0 < ENOUGH {
        size *= 2;
        match record(size) {
            Ok(larger) => recording = larger,
            Err(Error::Memory(_)) => break,
            Err(e) => return Err(e),
        }
    }
    Ok(recording)
}

fn recorded(engine: &Engine, record: impl FnOnce(&mut Recording) -> Result<()>) -> Result<Recording> {
    let mut recording = Recording::new();
    recording.variants = choose::preferred(engine);
    recording.label("ceiling");
    record(&mut recording)?;
    Ok(recording)
}

/// A tensor that the device fills with values other than zero: half a GiB from the host would take long.
fn filled(engine: &Engine, sizes: &[usize]) -> Result<Tensor> {
    let tensor = engine.tensor("filled", Shape::new(sizes), DType::F32)?;
    let recording = recorded(engine, |r| fma_loop::record(r, 8, -0.9, 0.25, &tensor))?;
    Program::new(engine, &recording)?.run(engine, 1)?;
    Ok(tensor)
}

/// Measures both.
///
/// # Errors
/// When the adapter has no room, or fails.
pub fn ceilings(engine: &Engine, sampling: Sampling) -> Result<Ceilings> {
    let measure = |recording: &Recording| -> Result<Ceiling> {
        let (seconds, spread) = timed(engine, sampling, recording)?;
        Ok(Ceiling { cost: recording.cost(), seconds, spread })
    };
    engine.passing(|| {
        let [operations, bytes] = recordings(engine)?;
        Ok(Ceilings { operations: measure(&operations)?, bytes: measure(&bytes)? })
    })
}

/// A tensor of values in [-0.5, 0.5): zeros and special values may be computed at another speed.
///
/// # Errors
/// When the adapter has no room.
pub fn noise(engine: &Engine, sizes: &[usize]) -> Result<Tensor> {
    let tensor = engine.tensor("noise", Shape::new(sizes), DType::F32)?;
    let values = (0..tensor.shape.elements() as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32);
    engine.write(&tensor, &values.map(|v| v / 16_777_216.0 - 0.5).collect::<Vec<f32>>());
    Ok(tensor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faster_measurement_of_each_ceiling_counts() {
        let ceiling = |size: u64, seconds| {
            let cost = Cost { operations: 100 * size, bytes: 10 * size };
            Ceiling { cost, seconds, spread: 0.0 }
        };
        let all = |operations, bytes| Ceilings { operations: ceiling(1, operations), bytes: ceiling(1, bytes) };
        let best = all(2.0, 0.5).or_faster(all(1.0, 5.0));
        assert_eq!(best, all(1.0, 0.5));
        assert_eq!([best.operations_per_s(), best.bytes_per_s()], [100.0, 20.0]);
        // A larger one that takes longer, but not by as much.
        let larger = Ceilings { operations: ceiling(4, 3.0), bytes: ceiling(4, 3.0) };
        let best = best.or_faster(larger);
        assert_eq!([best.operations.seconds, best.bytes.seconds], [3.0, 0.5]);
    }
}
