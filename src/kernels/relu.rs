//! Rectified linear unit. Shapes: `x` → `out`, any, the same.

use super::flat::{VARIANTS, flat_grid};
use super::{Case, Kernel, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `relu.wgsl`.
    pub struct Params {
        /// Physical elements / 4.
        pub count: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "relu",
    source: include_str!("../../shaders/pointwise/relu.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("x"), write("out")],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out = max(x, 0)`.
///
/// # Errors
/// When the shapes differ.
pub fn record(recording: &mut Recording, x: &Tensor, out: &Tensor) -> Result<()> {
    out.expect("relu: out, as x", x.shape.sizes())?;
    let count = x.shape.physical() / 4;
    let groups = flat_grid(recording, &SHADER, count);
    let p = Params { count: count as u32 };
    recording.dispatch(&SHADER, p, &[x, out], groups, cost(p))
}

/// The least work: every value read and written once; one comparison a value.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.count);
    Cost { operations: values, bytes: 8 * values }
}

/// The twin.
pub fn reference(x: &Array) -> Array {
    x.map(|v| v.max(0.0))
}

/// One value, around a workgroup's width and its values, a prime, a real layer.
fn cases() -> Vec<Case> {
    let sizes: [&[usize]; 6] = [&[1, 5], &[1, 255], &[7, 257], &[1, 2049], &[2, 3, 5, 7], &[2, 32, 32, 16]];
    let one = |(i, s): (usize, &[usize])| {
        let x = Array::normal(s, 1.0, 7 + i as u64);
        let expected = reference(&x);
        Case::new(format!("{}", x.shape), vec![x], expected, Tolerance::EXACT, |r, i, o, _| record(r, &i[0], &o[0]))
    };
    sizes.into_iter().enumerate().map(one).collect()
}
