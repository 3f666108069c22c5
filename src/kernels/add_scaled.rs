//! `out = a + factor·scale·b` with a scale on the device. Shapes: `a`, `b` any, the same, `scale (1)`.

use super::flat::{VARIANTS, flat_grid};
use super::{Case, Kernel, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `add_scaled.wgsl`.
    pub struct Params {
        /// Physical elements / 4.
        pub count: u32,
        /// Multiplies the scale.
        pub factor: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "add_scaled",
    source: include_str!("../../shaders/pointwise/add_scaled.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("a"), read("b"), read("scale"), write("out")],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out = a + factor·scale·b`.
///
/// # Errors
/// When the shapes differ or `scale` is not a scalar.
pub fn record(
    recording: &mut Recording,
    a: &Tensor,
    b: &Tensor,
    scale: &Tensor,
    factor: f32,
    out: &Tensor,
) -> Result<()> {
    b.expect("add_scaled: b, as a", a.shape.sizes())?;
    scale.expect("add_scaled: scale (1)", &[1])?;
    out.expect("add_scaled: out, as a", a.shape.sizes())?;
    let count = a.shape.physical() / 4;
    let groups = flat_grid(recording, &SHADER, count);
    let p = Params { count: count as u32, factor };
    recording.dispatch(&SHADER, p, &[a, b, scale, out], groups, cost(p))
}

/// The least work: two reads, one write, a multiply-add a value.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.count);
    Cost { operations: 2 * values, bytes: 12 * values }
}

/// The twin.
pub fn reference(a: &Array, b: &Array, scale: f64, factor: f64) -> Array {
    a.zip(b, |a, b| a + factor * scale * b)
}

/// One value, around a workgroup's width, a prime, a real layer.
const SIZES: [&[usize]; 4] = [&[1], &[1, 255], &[7, 257], &[2, 32, 32, 16]];

/// Two products and a sum round to 2e-7 of the terms.
fn cases() -> Vec<Case> {
    let make = |(i, s): (usize, &[usize])| {
        let (a, b) = (Array::normal(s, 1.0, i as u64), Array::normal(s, 1.0, 50 + i as u64));
        let scale = Array::scalar(0.25);
        let expected = reference(&a, &b, 0.25, -1.5);
        let name = format!("{}", a.shape);
        Case::new(name, vec![a, b, scale], expected, Tolerance::element(1e-6, 1e-6), |r, i, o, _| {
            record(r, &i[0], &i[1], &i[2], -1.5, &o[0])
        })
    };
    SIZES.into_iter().enumerate().map(make).collect()
}
