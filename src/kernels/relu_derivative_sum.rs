//! Derivative of the rectified linear unit, applied to the sum of two gradients. Shapes: `x`, `a`, `b` → `out`, any, the
//! same.

use super::flat::{VARIANTS, flat_grid};
use super::{Case, Kernel, params, relu_derivative};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `relu_derivative_sum.wgsl`.
    pub struct Params {
        /// Physical elements / 4.
        pub count: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "relu_derivative_sum",
    source: include_str!("../../shaders/pointwise/relu_derivative_sum.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("x"), read("a"), read("b"), write("out")],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out = a + b where x > 0, else 0`.
///
/// # Errors
/// When the shapes differ.
pub fn record(recording: &mut Recording, x: &Tensor, a: &Tensor, b: &Tensor, out: &Tensor) -> Result<()> {
    a.expect("relu_derivative_sum: a, as x", x.shape.sizes())?;
    b.expect("relu_derivative_sum: b, as x", x.shape.sizes())?;
    out.expect("relu_derivative_sum: out, as x", x.shape.sizes())?;
    let count = x.shape.physical() / 4;
    let groups = flat_grid(recording, &SHADER, count);
    let p = Params { count: count as u32 };
    recording.dispatch(&SHADER, p, &[x, a, b, out], groups, cost(p))
}

/// The least work: three reads, one write, one addition and one comparison a value.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.count);
    Cost { operations: 2 * values, bytes: 16 * values }
}

/// The twin.
pub fn reference(x: &Array, a: &Array, b: &Array) -> Array {
    relu_derivative::reference(x, &a.zip(b, |a, b| a + b))
}

/// One value, around a workgroup's width and its values, a prime, a real layer; one rounded addition of values of order one.
fn cases() -> Vec<Case> {
    let sizes: [&[usize]; 6] = [&[1, 5], &[1, 255], &[7, 257], &[1, 2049], &[2, 3, 5, 7], &[2, 32, 32, 16]];
    let one = |(i, s): (usize, &[usize])| {
        let x = Array::normal(s, 1.0, 7 + i as u64);
        let (a, b) = (Array::normal(s, 1.0, 107 + i as u64), Array::normal(s, 1.0, 207 + i as u64));
        let expected = reference(&x, &a, &b);
        Case::new(format!("{}", x.shape), vec![x, a, b], expected, Tolerance::element(2e-7, 2e-7), |r, i, o, _| {
            record(r, &i[0], &i[1], &i[2], &o[0])
        })
    };
    sizes.into_iter().enumerate().map(one).collect()
}
