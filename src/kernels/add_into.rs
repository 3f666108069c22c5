//! Sum of micro-batches' gradients. Shapes: `step (8)`, `part (n)`, `total (n)` updated.

use super::flat::{VARIANTS, flat_grid};
use super::{Case, Kernel, Output, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, DType, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, read_write};

params! {
    /// Uniforms of `add_into.wgsl`.
    pub struct Params {
        /// Physical elements / 4.
        pub count: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "add_into",
    source: include_str!("../../shaders/optimise/add_into.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("step_words"), read("part"), read_write("total")],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `total += part`; where word 4 of `step` is 0 (the first micro-batch), `total = part`.
///
/// # Errors
/// When the shapes differ.
pub fn record(recording: &mut Recording, step: &Tensor, part: &Tensor, total: &Tensor) -> Result<()> {
    step.expect("add_into: step (8)", &[8])?;
    total.expect("add_into: total, as part", part.shape.sizes())?;
    let count = part.shape.physical() / 4;
    let p = Params { count: count as u32 };
    let groups = flat_grid(recording, &SHADER, count);
    recording.dispatch(&SHADER, p, &[step, part, total], groups, cost(p))
}

/// The least work: read both, write one, one addition.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.count);
    Cost { operations: values, bytes: 12 * values }
}

/// The twin.
pub fn reference(first: bool, part: &Array, total: &Array) -> Array {
    part.zip(total, |p, t| if first { p } else { t + p })
}

/// Micro-batches 0 to 2 onto a total that is not clean; two additions of values of size 1: 2 roundings, 2e-7.
fn cases() -> Vec<Case> {
    [64, 192, 64 * 257]
        .into_iter()
        .map(|n| {
            let initial = Array::normal(&[n], 100.0, 1);
            let mut total = initial.clone();
            let mut inputs = Vec::new();
            for k in 0..3u32 {
                let step = Array::from_fn(&[8], |i| if i == 4 { f64::from(k) } else { 7.0 });
                let part = Array::normal(&[n], 1.0, 10 + u64::from(k));
                total = reference(k == 0, &part, &total);
                inputs.extend([(step, DType::U32), (part, DType::F32)]);
            }
            let tolerance = Tolerance::largest(2e-7);
            Case {
                name: format!("{n} floats, three micro-batches"),
                inputs,
                outputs: vec![Output { expected: total, initial: Some(initial), dtype: DType::F32, tolerance }],
                scratch: Vec::new(),
                record: Box::new(|r, i, o, _| (0..3).try_for_each(|k| record(r, &i[2 * k], &i[2 * k + 1], &o[0]))),
            }
        })
        .collect()
}
