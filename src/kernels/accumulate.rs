//! Adds a number to one slot of a state. Shapes: `x (1)`, `state (K)` updated.

use super::{Case, Kernel, Output, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, DType, Error, Result, Shape};
use crate::gpu::shader::PLAIN;
use crate::gpu::{Cost, Recording, Shader, Tensor, read, read_write};

params! {
    /// Uniforms of `accumulate.wgsl`.
    pub struct Params {
        /// Place in the state.
        pub slot: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "accumulate",
    source: include_str!("../../shaders/counter/accumulate.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("x"), read_write("state")],
    variants: PLAIN,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

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

/// Records `state[slot] += x`.
///
/// # Errors
/// When `x` is not a scalar or the state has no such slot.
pub fn record(recording: &mut Recording, x: &Tensor, slot: usize, state: &Tensor) -> Result<()> {
    x.expect("accumulate: x (1)", &[1])?;
    check_slot("accumulate", &state.shape, slot)?;
    let p = Params { slot: slot as u32 };
    recording.dispatch(&SHADER, p, &[x, state], [1, 1, 1], cost(p))
}

/// The least work.
pub fn cost(_: Params) -> Cost {
    Cost { operations: 1, bytes: 12 }
}

/// The twin.
pub fn reference(x: &Array, slot: usize, state: &Array) -> Array {
    let mut out = state.clone();
    out.data[slot] += x.data[0];
    out
}

/// First, middle and last slot; integers, so that the sum is exact.
fn cases() -> Vec<Case> {
    [(3, 0), (4, 3), (7, 4)]
        .into_iter()
        .map(|(size, slot)| {
            let x = Array::scalar(13.0);
            let state = Array::integers(&[size], 1000, 3);
            let expected = reference(&x, slot, &state);
            let tolerance = Tolerance::EXACT;
            Case {
                name: format!("slot {slot} of {size}"),
                inputs: vec![(x, DType::F32)],
                outputs: vec![Output { expected, initial: Some(state), dtype: DType::F32, tolerance }],
                scratch: Vec::new(),
                record: Box::new(move |r, i, o, _| record(r, &i[0], slot, &o[0])),
            }
        })
        .collect()
}
