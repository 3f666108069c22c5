//! `out = factor·max(x, 1e-30)^exponent`. Shapes: any, the same.

use super::flat::{VARIANTS, flat_grid};
use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `power.wgsl`.
    pub struct Params {
        /// Physical elements / 4.
        pub count: u32,
        /// Groups of four a row.
        pub quads: u32,
        /// Values in a row's last group of four.
        pub last: u32,
        /// Multiplies the power.
        pub factor: f32,
        /// The exponent.
        pub exponent: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "power",
    source: include_str!("../../shaders/pointwise/power.wgsl"),
    shared: &[shared::WALK],
    params: size_of::<Params>(),
    bindings: &[read("x"), write("out")],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out = factor·max(x, 1e-30)^exponent`.
///
/// # Errors
/// When the shapes differ.
pub fn record(recording: &mut Recording, x: &Tensor, exponent: f32, factor: f32, out: &Tensor) -> Result<()> {
    out.expect("power: out, as x", x.shape.sizes())?;
    let count = x.shape.physical() / 4;
    let groups = flat_grid(recording, &SHADER, count);
    let (quads, last) = ((x.shape.stride() / 4) as u32, ((x.shape.last() - 1) % 4 + 1) as u32);
    let p = Params { count: count as u32, quads, last, factor, exponent };
    recording.dispatch(&SHADER, p, &[x, out], groups, cost(p))
}

/// The least work: one read, one write; a power, a maximum and a product a value.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.count);
    Cost { operations: 3 * values, bytes: 8 * values }
}

/// The twin.
pub fn reference(x: &Array, exponent: f64, factor: f64) -> Array {
    x.map(|x| factor * x.max(1e-30).powf(exponent))
}

/// One value, around a workgroup's width, a prime, a real layer.
const SIZES: [&[usize]; 4] = [&[1], &[1, 255], &[7, 257], &[2, 32, 32, 16]];

/// WGSL's power is exp2 of a product with log2, which between a half and two is off by 2^-21: 1e-6 covers both.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, s) in SIZES.into_iter().enumerate() {
        for (exponent, factor) in [(-0.5, 0.01), (0.5, 50.0), (-1.5, -0.005)] {
            let x = Array::normal(s, 1.0, i as u64).map(|v| v.abs() + 0.01);
            let expected = reference(&x, exponent, factor);
            let name = format!("{} ^ {exponent}", x.shape);
            cases.push(Case::new(name, vec![x], expected, Tolerance::element(2e-6, 0.0), move |r, i, o, _| {
                record(r, &i[0], exponent as f32, factor as f32, &o[0])
            }));
        }
    }
    cases
}
