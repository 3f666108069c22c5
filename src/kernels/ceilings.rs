//! What an adapter can do at most, measured on it: a register-only loop of multiply-adds, and a copy.

use super::{choose, copy, fma_loop};
use crate::base::{DType, Result, Shape};
use crate::gpu::timing::{Sampling, timed};
use crate::gpu::{Cost, Engine, Recording, Tensor};

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

    /// The faster of two measurements of each: other work on the machine only lowers a ceiling.
    pub fn or_faster(self, other: Self) -> Self {
        let faster = |a: Ceiling, b: Ceiling| if b.seconds < a.seconds { b } else { a };
        Self { operations: faster(self.operations, other.operations), bytes: faster(self.bytes, other.bytes) }
    }
}

/// Sizes of the matrix that is copied: 16 MiB.
pub const COPIED: [usize; 2] = [4096, 1024];

/// What measures them: multiply-adds in registers, and a copy.
///
/// # Errors
/// When the adapter has no room.
pub fn recordings(engine: &Engine) -> Result<[Recording; 2]> {
    let recorded = |record: &dyn Fn(&mut Recording) -> Result<()>| -> Result<Recording> {
        let mut recording = Recording::new();
        recording.variants = choose::preferred(engine);
        recording.label("ceiling");
        record(&mut recording)?;
        Ok(recording)
    };
    let out = engine.tensor("lanes", Shape::new(&[65_536]), DType::F32)?;
    let (x, y) = (noise(engine, &COPIED)?, noise(engine, &COPIED)?);
    Ok([recorded(&|r| fma_loop::record(r, 256, 0.5, 0.25, &out))?, recorded(&|r| copy::record(r, &x, &y))?])
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
    let [operations, bytes] = recordings(engine)?;
    Ok(Ceilings { operations: measure(&operations)?, bytes: measure(&bytes)? })
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
        let ceiling = |seconds| Ceiling { cost: Cost { operations: 100, bytes: 10 }, seconds, spread: 0.0 };
        let all = |operations, bytes| Ceilings { operations: ceiling(operations), bytes: ceiling(bytes) };
        let best = all(2.0, 0.5).or_faster(all(1.0, 5.0));
        assert_eq!(best, all(1.0, 0.5));
        assert_eq!([best.operations_per_s(), best.bytes_per_s()], [100.0, 20.0]);
    }
}
