//! `out = factor·s` in every place. Shapes: `s (1)` → `out` any.

use super::flat::{VARIANTS, flat_grid};
use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result, Shape};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `broadcast.wgsl`.
    pub struct Params {
        /// Physical elements / 4.
        pub count: u32,
        /// Logical columns.
        pub last: u32,
        /// Physical columns / 4.
        pub stride: u32,
        /// Multiplies the number.
        pub factor: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "broadcast",
    source: include_str!("../../shaders/pointwise/broadcast.wgsl"),
    shared: &[shared::WALK],
    params: size_of::<Params>(),
    bindings: &[read("s"), write("out")],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out = factor·s`.
///
/// # Errors
/// When `s` is not a scalar.
pub fn record(recording: &mut Recording, s: &Tensor, factor: f32, out: &Tensor) -> Result<()> {
    s.expect("broadcast: s (1)", &[1])?;
    let count = out.shape.physical() / 4;
    let groups = flat_grid(recording, &SHADER, count);
    let (last, stride) = (out.shape.last() as u32, out.shape.stride() as u32 / 4);
    let p = Params { count: count as u32, last, stride, factor };
    recording.dispatch(&SHADER, p, &[s, out], groups, cost(p))
}

/// The least work: one write a value.
pub fn cost(p: Params) -> Cost {
    Cost { operations: 0, bytes: 16 * u64::from(p.count) }
}

/// The twin.
pub fn reference(s: &Array, factor: f64, shape: &Shape) -> Array {
    Array::full(shape.sizes(), factor * s.data[0])
}

/// One number and its three pad lanes: every value of a larger answer is the same, which `compare` refuses as proving
/// nothing. Rows and columns are covered by the operation's example, device against interpreter.
fn cases() -> Vec<Case> {
    let make = |value: f64| {
        let s = Array::scalar(value);
        let expected = reference(&s, 0.5, &Shape::scalar());
        Case::new(format!("{value}"), vec![s], expected, Tolerance::element(1e-7, 0.0), |r, i, o, _| {
            record(r, &i[0], 0.5, &o[0])
        })
    };
    [1.5, -3.25].into_iter().map(make).collect()
}
