//! Adds numbers, each times a factor, to slots of a state that follow each other. Shapes: `values (1)` each, `state (K)` updated.

use super::{Case, Kernel, Output, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, DType, Error, Result, Shape};
use crate::gpu::shader::PLAIN;
use crate::gpu::{Cost, Recording, Shader, Tensor, read, read_write};

params! {
    /// Uniforms of `accumulate.wgsl`.
    pub struct Params {
        /// The first number's place in the state.
        pub slot: u32,
        /// Numbers, 1 to 4.
        pub count: u32,
        /// Multiplies the first number.
        pub factor_a: f32,
        /// The second.
        pub factor_b: f32,
        /// The third.
        pub factor_c: f32,
        /// The fourth.
        pub factor_d: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "accumulate",
    source: include_str!("../../shaders/counter/accumulate.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("a"), read("b"), read("c"), read("d"), read_write("state")],
    variants: PLAIN,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Numbers that one dispatch takes.
const MOST: usize = 4;

/// Checks that a state is one row that has the slot.
///
/// # Errors
/// When it does not; `what` names the kernel.
pub fn check_slot(what: &str, state: &Shape, slot: usize) -> Result<()> {
    if state.rank() == 1 && slot < state.last() {
        return Ok(());
    }
    Err(Error::Shape(format!("{what}: state {state} has no slot {slot}")))
}

/// Records `state[slot + i] += factor · value` for the i-th of `values`.
///
/// # Errors
/// When a value is not a scalar, there is none, or the state has not as many slots.
pub fn record(recording: &mut Recording, values: &[(&Tensor, f32)], slot: usize, state: &Tensor) -> Result<()> {
    let last = values.len().checked_sub(1).ok_or_else(|| Error::Shape("accumulate: no value".into()))?;
    check_slot("accumulate", &state.shape, slot + last)?;
    for (part, values) in values.chunks(MOST).enumerate() {
        for (value, _) in values {
            value.expect("accumulate: value (1)", &[1])?;
        }
        // Past the last one the first stands in its place and is not read.
        let of = |i: usize| values.get(i).unwrap_or(&values[0]);
        let p = Params {
            slot: (slot + MOST * part) as u32,
            count: values.len() as u32,
            factor_a: of(0).1,
            factor_b: of(1).1,
            factor_c: of(2).1,
            factor_d: of(3).1,
        };
        recording.dispatch(&SHADER, p, &[of(0).0, of(1).0, of(2).0, of(3).0, state], [1, 1, 1], cost(p))?;
    }
    Ok(())
}

/// The least work.
pub fn cost(p: Params) -> Cost {
    Cost { operations: 2 * u64::from(p.count), bytes: 12 * u64::from(p.count) }
}

/// The twin.
pub fn reference(values: &[(&Array, f64)], slot: usize, state: &Array) -> Array {
    let mut out = state.clone();
    for (i, (value, factor)) in values.iter().enumerate() {
        out.data[slot + i] += factor * value.data[0];
    }
    out
}

/// One to nine numbers in the first, middle and last slots; integers and powers of two, so that sums are exact.
fn cases() -> Vec<Case> {
    [(3, 0, 1), (4, 3, 1), (7, 4, 2), (5, 1, 3), (4, 0, 4), (12, 2, 5), (16, 7, 9)]
        .into_iter()
        .map(|(size, slot, count)| {
            let values: Vec<Array> = (0..count).map(|i| Array::scalar(f64::from(13 + 3 * i))).collect();
            let factors: Vec<f32> = (0..count).map(|i| [1.0, 0.5, -2.0][i as usize % 3]).collect();
            let state = Array::integers(&[size], 1000, 3);
            let with: Vec<(&Array, f64)> = values.iter().zip(factors.iter().map(|&f| f64::from(f))).collect();
            let expected = reference(&with, slot, &state);
            let tolerance = Tolerance::EXACT;
            Case {
                name: format!("{count} values from slot {slot} of {size}"),
                inputs: values.into_iter().map(|value| (value, DType::F32)).collect(),
                outputs: vec![Output { expected, initial: Some(state), dtype: DType::F32, tolerance }],
                scratch: Vec::new(),
                record: Box::new(move |r, i, o, _| {
                    let values: Vec<(&Tensor, f32)> = i.iter().zip(factors.iter().copied()).collect();
                    record(r, &values, slot, &o[0])
                }),
            }
        })
        .collect()
}
