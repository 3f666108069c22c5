//! `out = alpha·a + beta·b`. Shapes: any, the same.

use super::flat::{VARIANTS, flat_grid};
use super::{Case, Kernel, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `axpby.wgsl`.
    pub struct Params {
        /// Physical elements / 4.
        pub count: u32,
        /// Factor of `a`.
        pub alpha: f32,
        /// Factor of `b`.
        pub beta: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "axpby",
    source: include_str!("../../shaders/pointwise/axpby.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("a"), read("b"), write("out")],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out = alpha·a + beta·b`.
///
/// # Errors
/// When the shapes differ.
pub fn record(recording: &mut Recording, alpha: f32, a: &Tensor, beta: f32, b: &Tensor, out: &Tensor) -> Result<()> {
    b.expect("axpby: b, as a", a.shape.sizes())?;
    out.expect("axpby: out, as a", a.shape.sizes())?;
    let count = a.shape.physical() / 4;
    let groups = flat_grid(recording, &SHADER, count);
    let p = Params { count: count as u32, alpha, beta };
    recording.dispatch(&SHADER, p, &[a, b, out], groups, cost(p))
}

/// The least work: two reads, one write, three operations a value.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.count);
    Cost { operations: 3 * values, bytes: 12 * values }
}

/// The twin.
pub fn reference(alpha: f64, a: &Array, beta: f64, b: &Array) -> Array {
    a.zip(b, |a, b| alpha * a + beta * b)
}

/// One value, around a workgroup's width and its values, a prime, a real layer; two products and a sum round to 2e-7 of the terms.
fn cases() -> Vec<Case> {
    let sizes: [&[usize]; 5] = [&[1], &[1, 255], &[7, 257], &[1, 2049], &[2, 32, 32, 16]];
    let make = |(i, s): (usize, &[usize])| {
        let (a, b) = (Array::normal(s, 1.0, i as u64), Array::normal(s, 1.0, 50 + i as u64));
        let expected = reference(0.5, &a, -1.5, &b);
        let name = format!("{}", a.shape);
        Case::new(name, vec![a, b], expected, Tolerance::element(1e-6, 1e-6), |r, i, o, _| {
            record(r, 0.5, &i[0], -1.5, &i[1], &o[0])
        })
    };
    sizes.into_iter().enumerate().map(make).collect()
}
