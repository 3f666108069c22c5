//! Entropy terms `m·log(m + 1e-20)` and their derivative. Shapes: `m`, `u` → `out`, any, the same.

use super::focal::FLOOR;
use super::{Case, Kernel, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::recording::grid;
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `entropy.wgsl`.
    pub struct Params {
        /// Physical elements / 4.
        pub count: u32,
        /// 0 the terms, 1 their derivative.
        pub shift: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "entropy",
    source: include_str!("../../shaders/pointwise/entropy.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("m"), read("u"), write("out")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)]), Variant::base("256", &[("WIDTH", 256.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out = m·log(m + 1e-20)`.
///
/// # Errors
/// When the shapes differ.
pub fn record(recording: &mut Recording, m: &Tensor, out: &Tensor) -> Result<()> {
    dispatch(recording, m, m, 0.0, out)
}

/// Records `out = u·(log(m + 1e-20) + m/(m + 1e-20))`.
///
/// # Errors
/// When the shapes differ.
pub fn record_derivative(recording: &mut Recording, m: &Tensor, u: &Tensor, out: &Tensor) -> Result<()> {
    u.expect("entropy: u, as m", m.shape.sizes())?;
    dispatch(recording, m, u, 1.0, out)
}

fn dispatch(recording: &mut Recording, m: &Tensor, u: &Tensor, shift: f32, out: &Tensor) -> Result<()> {
    out.expect("entropy: out, as m", m.shape.sizes())?;
    let count = m.shape.physical() / 4;
    let width = recording.variant(&SHADER).constant("WIDTH");
    let p = Params { count: count as u32, shift };
    recording.dispatch(&SHADER, p, &[m, u, out], grid(count, width), cost(p))
}

/// The least work: two reads, one write; a logarithm, a quotient and a product a value.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.count);
    Cost { operations: 5 * values, bytes: 12 * values }
}

/// The twin of [`record`].
pub fn reference(m: &Array) -> Array {
    m.map(|m| m * (m + FLOOR).ln())
}

/// The twin of [`record_derivative`].
pub fn reference_derivative(m: &Array, u: &Array) -> Array {
    m.zip(u, |m, u| u * ((m + FLOOR).ln() + m / (m + FLOOR)))
}

/// One value, around a workgroup's width, a prime, a real layer.
const SIZES: [&[usize]; 4] = [&[1], &[1, 255], &[7, 257], &[2, 32, 32, 16]];

/// WGSL's logarithm errs by 3 units in the last place, or by 2^-21 between a half and two; shares lie below one.
fn cases() -> Vec<Case> {
    let tolerance = Tolerance::element(1e-6, 2e-6);
    let mut cases = Vec::new();
    for (i, s) in SIZES.into_iter().enumerate() {
        let mut m = Array::normal(s, 0.3, i as u64).map(f64::abs);
        // A label that nobody uses.
        m.data[0] = 0.0;
        let u = Array::normal(s, 1.0, 50 + i as u64);
        let expected = [reference(&m), reference_derivative(&m, &u)];
        let name = format!("{}", m.shape);
        let [terms, derivative] = expected;
        cases.push(Case::new(format!("terms {name}"), vec![m.clone()], terms, tolerance, |r, i, o, _| {
            record(r, &i[0], &o[0])
        }));
        cases.push(Case::new(format!("derivative {name}"), vec![m, u], derivative, tolerance, |r, i, o, _| {
            record_derivative(r, &i[0], &i[1], &o[0])
        }));
    }
    cases
}
