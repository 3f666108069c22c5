//! Euclidean norm of a flat buffer, in two stages. Shapes: `x` any → `out (1)`.

use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result, Shape};
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `gradient_norm.wgsl`.
    pub struct Params {
        /// Physical elements of `x`.
        pub count: u32,
        /// Elements a group.
        pub chunk: u32,
        /// 0 squares, 1 root.
        pub mode: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "gradient_norm",
    source: include_str!("../../shaders/optimise/gradient_norm.wgsl"),
    shared: &[shared::REDUCE],
    params: size_of::<Params>(),
    bindings: &[read("x"), write("out")],
    variants: &[
        Variant::base("64", &[("WIDTH", 64.0)]),
        Variant::base("256", &[("WIDTH", 256.0)]),
        Variant::base("8", &[("WIDTH", 8.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Elements that one group adds.
const CHUNK: usize = 16_384;

/// The shape of the partial sums that [`record`] needs.
pub fn scratch(x: &Shape) -> Shape {
    Shape::new(&[x.physical().div_ceil(CHUNK)])
}

/// Records `out = √Σ x²`.
///
/// # Errors
/// When `out` is not a scalar or `partial` is not [`scratch`]'s shape.
pub fn record(recording: &mut Recording, x: &Tensor, partial: &Tensor, out: &Tensor) -> Result<()> {
    out.expect("gradient_norm: out (1)", &[1])?;
    partial.expect("gradient_norm: partial", scratch(&x.shape).sizes())?;
    let count = x.shape.physical();
    let groups = count.div_ceil(CHUNK);
    let p = Params { count: count as u32, chunk: CHUNK as u32, mode: 0 };
    recording.dispatch(&SHADER, p, &[x, partial], [groups as u32, 1, 1], cost(p))?;
    let p = Params { count: groups as u32, chunk: groups as u32, mode: 1 };
    recording.dispatch(&SHADER, p, &[partial, out], [1, 1, 1], cost(p))
}

/// The least work: every value read once, a multiply-add each.
pub fn cost(p: Params) -> Cost {
    Cost { operations: 2 * u64::from(p.count), bytes: 4 * u64::from(p.count) }
}

/// The twin.
pub fn reference(x: &Array) -> Array {
    Array::scalar(x.data.iter().map(|v| v * v).sum::<f64>().sqrt())
}

/// Sums of squares do not cancel: a lane's chain of 256 additions and the tree err by at most 1e-5 of the sum.
fn cases() -> Vec<Case> {
    [1, 64, 65, 16_384, 16_385, 100_032]
        .into_iter()
        .map(|n| {
            let x = Array::normal(&[n], 1.0, n as u64);
            let (expected, partial) = (reference(&x), scratch(&x.shape));
            Case::new(format!("{n} floats"), vec![x], expected, Tolerance::element(1e-5, 0.0), |r, i, o, s| {
                record(r, &i[0], &s[0], &o[0])
            })
            .with_scratch(vec![partial])
        })
        .collect()
}
