//! Derivative of the rectified linear unit, applied to a tangent or a gradient. Shapes: `x`, `u` → `out`, any, the same.

use super::flat::{VARIANTS, flat_grid};
use super::{Case, Kernel, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `relu_derivative.wgsl`.
    pub struct Params {
        /// Physical elements / 4.
        pub count: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "relu_derivative",
    source: include_str!("../../shaders/pointwise/relu_derivative.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("x"), read("u"), write("out")],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out = u where x > 0, else 0`.
///
/// # Errors
/// When the shapes differ.
pub fn record(recording: &mut Recording, x: &Tensor, u: &Tensor, out: &Tensor) -> Result<()> {
    u.expect("relu_derivative: u, as x", x.shape.sizes())?;
    out.expect("relu_derivative: out, as x", x.shape.sizes())?;
    let count = x.shape.physical() / 4;
    let groups = flat_grid(recording, &SHADER, count);
    let p = Params { count: count as u32 };
    recording.dispatch(&SHADER, p, &[x, u, out], groups, cost(p))
}

/// The least work: two reads, one write, one comparison a value.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.count);
    Cost { operations: values, bytes: 12 * values }
}

/// The twin.
pub fn reference(x: &Array, u: &Array) -> Array {
    x.zip(u, |v, u| if v > 0.0 { u } else { 0.0 })
}

/// One value, around a workgroup's width and its values, a prime, a real layer.
fn cases() -> Vec<Case> {
    let sizes: [&[usize]; 6] = [&[1, 5], &[1, 255], &[7, 257], &[1, 2049], &[2, 3, 5, 7], &[2, 32, 32, 16]];
    let one = |(i, s): (usize, &[usize])| {
        let x = Array::normal(s, 1.0, 7 + i as u64);
        let u = Array::normal(s, 1.0, 107 + i as u64);
        let expected = reference(&x, &u);
        Case::new(format!("{}", x.shape), vec![x, u], expected, Tolerance::EXACT, |r, i, o, _| {
            record(r, &i[0], &i[1], &o[0])
        })
    };
    sizes.into_iter().enumerate().map(one).collect()
}
