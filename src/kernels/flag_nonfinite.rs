//! Notes the first step with a number that is not finite. Shapes: `x (1)`, `step (8)`, `state (K)` updated.

use super::accumulate::check_slot;
use super::{Case, Kernel, Output, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, DType, Result};
use crate::gpu::shader::PLAIN;
use crate::gpu::{Cost, Recording, Shader, Tensor, read, read_write};

params! {
    /// Uniforms of `flag_nonfinite.wgsl`.
    pub struct Params {
        /// Place in the state.
        pub slot: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "flag_nonfinite",
    source: include_str!("../../shaders/counter/flag_nonfinite.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("x"), read("step_words"), read_write("state")],
    variants: PLAIN,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `state[slot] = step number + 1` where `x` is NaN or infinite and the slot is still 0.
///
/// # Errors
/// When `x` is not a scalar, `step` has not 8 words, or the state has no such slot.
pub fn record(recording: &mut Recording, x: &Tensor, step: &Tensor, slot: usize, state: &Tensor) -> Result<()> {
    x.expect("flag_nonfinite: x (1)", &[1])?;
    step.expect("flag_nonfinite: step (8)", &[8])?;
    check_slot("flag_nonfinite", &state.shape, slot)?;
    let p = Params { slot: slot as u32 };
    recording.dispatch(&SHADER, p, &[x, step, state], [1, 1, 1], cost(p))
}

/// The least work.
pub fn cost(_: Params) -> Cost {
    Cost { operations: 1, bytes: 16 }
}

/// The twin.
pub fn reference(x: &Array, step: &Array, slot: usize, state: &Array) -> Array {
    let mut out = state.clone();
    if !x.data[0].is_finite() && out.data[slot] == 0.0 {
        out.data[slot] = step.data[0] + 1.0;
    }
    out
}

/// NaN, both infinities, the largest float, zero; a free slot and one that is taken.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::from(f32::MAX), 0.0] {
        for (slot, taken) in [(0, 0.0), (2, 0.0), (4, 9.0)] {
            let mut state = Array::from_fn(&[5], |i| 1.0 + i as f64);
            state.data[slot] = taken;
            let step = Array::from_fn(&[8], |i| 41.0 + i as f64);
            let value = Array::scalar(x);
            let expected = reference(&value, &step, slot, &state);
            let tolerance = Tolerance::EXACT;
            cases.push(Case {
                name: format!("{x} into slot {slot} holding {taken}"),
                inputs: vec![(value, DType::F32), (step, DType::U32)],
                outputs: vec![Output { expected, initial: Some(state), dtype: DType::F32, tolerance }],
                scratch: Vec::new(),
                record: Box::new(move |r, i, o, _| record(r, &i[0], &i[1], slot, &o[0])),
            });
        }
    }
    cases
}
