//! Multiply-adds on registers alone: the operations per second that no kernel passes. Shapes: `out (lanes)`.

use super::{Case, Kernel, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::recording::grid;
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, write};

params! {
    /// Uniforms of `fma_loop.wgsl`.
    pub struct Params {
        /// Outputs.
        pub lanes: u32,
        /// Multiply-adds of each of a lane's 16 values; a multiple of 8.
        pub rounds: u32,
        /// Multiplies a value in each round.
        pub factor: f32,
        /// Added to a value in each round.
        pub term: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "fma_loop",
    source: include_str!("../../shaders/ceiling/fma_loop.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[write("out")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `rounds` (rounded up to a multiple of 8) multiply-adds of 16 values in each lane of `out`.
///
/// # Errors
/// Never for tensors that exist; the grid of the largest fits.
pub fn record(recording: &mut Recording, rounds: u32, factor: f32, term: f32, out: &Tensor) -> Result<()> {
    let lanes = out.shape.physical();
    let p = Params { lanes: lanes as u32, rounds: rounds.next_multiple_of(8), factor, term };
    let width = recording.variant(&SHADER).constant("WIDTH");
    recording.dispatch(&SHADER, p, &[out], grid(lanes, width), cost(p))
}

/// 16 multiply-adds a lane and round.
pub fn cost(p: Params) -> Cost {
    Cost { operations: 32 * u64::from(p.lanes) * u64::from(p.rounds), bytes: 4 * u64::from(p.lanes) }
}

/// The twin.
pub fn reference(lanes: usize, rounds: u32, factor: f64, term: f64) -> Array {
    Array::from_fn(&[lanes], |i| {
        let chain = |start| (0..rounds.next_multiple_of(8)).fold(start, |v, _| factor * v + term);
        (0..16).map(|j| chain((i % 7 + j) as f64)).sum()
    })
}

/// Around a workgroup's width; sizes are multiples of 4, because the kernel's outputs have no pads. A contraction by
/// 0.9 keeps about 10 roundings of values of the sum's size: 2e-6 is ample.
fn cases() -> Vec<Case> {
    let (factor, term) = (-0.9f32, 0.25f32);
    let one = |(lanes, rounds): (usize, u32)| {
        let expected = reference(lanes, rounds, f64::from(factor), f64::from(term));
        let name = format!("{lanes} lanes, {rounds} rounds");
        Case::new(name, vec![], expected, Tolerance::largest(2e-6), move |r, _, o, _| {
            record(r, rounds, factor, term, &o[0])
        })
    };
    [(4, 1), (60, 4), (64, 17), (68, 32)].map(one).into()
}
