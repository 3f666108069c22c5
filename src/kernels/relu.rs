//! Rectified linear unit and its derivative. Shapes: `x`, `u` → `out`, any, the same.

use super::{Case, Kernel, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::recording::grid;
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `relu.wgsl`.
    pub struct Params {
        /// Physical elements / 4.
        pub count: u32,
        /// 0 forward, 1 derivative.
        pub mode: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "relu",
    source: include_str!("../../shaders/pointwise/relu.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("x"), read("u"), write("out")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)]), Variant::base("256", &[("WIDTH", 256.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out = max(x, 0)`.
///
/// # Errors
/// When the shapes differ.
pub fn record(recording: &mut Recording, x: &Tensor, out: &Tensor) -> Result<()> {
    dispatch(recording, 0, x, x, out)
}

/// Records `out = u where x > 0, else 0`.
///
/// # Errors
/// When the shapes differ.
pub fn record_derivative(recording: &mut Recording, x: &Tensor, u: &Tensor, out: &Tensor) -> Result<()> {
    u.expect("relu: u, as x", x.shape.sizes())?;
    dispatch(recording, 1, x, u, out)
}

fn dispatch(recording: &mut Recording, mode: u32, x: &Tensor, u: &Tensor, out: &Tensor) -> Result<()> {
    out.expect("relu: out, as x", x.shape.sizes())?;
    let count = x.shape.physical() / 4;
    let width = recording.variant(&SHADER).constant("WIDTH");
    let p = Params { count: count as u32, mode };
    recording.dispatch(&SHADER, p, &[x, u, out], grid(count, width), cost(p))
}

/// The least work: read each input once, write the output; one comparison a value.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.count);
    Cost { operations: values, bytes: 4 * values * (2 + u64::from(p.mode)) }
}

/// The twin of mode 0.
pub fn reference(x: &Array) -> Array {
    x.map(|v| v.max(0.0))
}

/// The twin of mode 1.
pub fn reference_derivative(x: &Array, u: &Array) -> Array {
    x.zip(u, |v, u| if v > 0.0 { u } else { 0.0 })
}

/// One value, around a workgroup's width, a prime, a real layer.
fn cases() -> Vec<Case> {
    let sizes: [&[usize]; 5] = [&[1, 5], &[1, 255], &[7, 257], &[2, 3, 5, 7], &[2, 32, 32, 16]];
    let mut cases = Vec::new();
    for (i, s) in sizes.into_iter().enumerate() {
        let x = Array::normal(s, 1.0, 7 + i as u64);
        let u = Array::normal(s, 1.0, 100 + 7 + i as u64);
        let name = format!("{}", x.shape);
        cases.push(Case::new(
            format!("forward {name}"),
            vec![x.clone()],
            reference(&x),
            Tolerance::EXACT,
            |r, i, o, _| record(r, &i[0], &o[0]),
        ));
        let expected = reference_derivative(&x, &u);
        cases.push(Case::new(format!("derivative {name}"), vec![x, u], expected, Tolerance::EXACT, |r, i, o, _| {
            record_derivative(r, &i[0], &i[1], &o[0])
        }));
    }
    cases
}
