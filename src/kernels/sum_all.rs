//! Sum of all elements times a factor, in two stages where one group does not suffice. Shapes: `x` any → `out (1)`.

use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result, Shape};
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `sum_all.wgsl`.
    pub struct Params {
        /// Physical elements of `x`.
        pub count: u32,
        /// Elements a group.
        pub chunk: u32,
        /// Physical elements that a lone group must write, else 0.
        pub outputs: u32,
        /// Multiplies the sum.
        pub factor: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "sum_all",
    source: include_str!("../../shaders/reduce/sum_all.wgsl"),
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

/// Records `out = factor · Σ x`.
///
/// # Errors
/// When `out` is not a scalar or `partial` is not [`scratch`]'s shape.
pub fn record(recording: &mut Recording, x: &Tensor, factor: f32, partial: &Tensor, out: &Tensor) -> Result<()> {
    out.expect("sum_all: out (1)", &[1])?;
    partial.expect("sum_all: partial", scratch(&x.shape).sizes())?;
    let count = x.shape.physical();
    let groups = count.div_ceil(CHUNK);
    let alone = Params { count: count as u32, chunk: CHUNK as u32, outputs: 4, factor };
    if groups == 1 {
        return recording.dispatch(&SHADER, alone, &[x, out], [1, 1, 1], cost(alone));
    }
    let p = Params { outputs: 0, factor: 1.0, ..alone };
    recording.dispatch(&SHADER, p, &[x, partial], [groups as u32, 1, 1], cost(p))?;
    let p = Params { count: groups as u32, chunk: groups as u32, ..alone };
    recording.dispatch(&SHADER, p, &[partial, out], [1, 1, 1], cost(p))
}

/// The least work: every value read once, one addition each.
pub fn cost(p: Params) -> Cost {
    Cost { operations: u64::from(p.count), bytes: 4 * u64::from(p.count) }
}

/// The twin.
pub fn reference(x: &Array, factor: f64) -> Array {
    Array::scalar(factor * x.data.iter().sum::<f64>())
}

/// One value, around a width, a chunk and one more, a real layer. Float32 sums of n normal values in a tree err by
/// about √n·2⁻²⁴ of the typical magnitude √n: 1e-5 of the sum of magnitudes' order is ample, 1e-4 absolute covers
/// cancellation.
fn cases() -> Vec<Case> {
    let sizes: [&[usize]; 5] = [&[1], &[65], &[7, 257], &[1, 16_385], &[2, 32, 32, 16]];
    sizes
        .into_iter()
        .enumerate()
        .map(|(i, s)| {
            let x = Array::normal(s, 1.0, i as u64);
            let partial = scratch(&x.shape);
            let expected = reference(&x, 0.5);
            Case::new(format!("{}", x.shape), vec![x], expected, Tolerance::element(1e-5, 1e-4), |r, i, o, s| {
                record(r, &i[0], 0.5, &s[0], &o[0])
            })
            .with_scratch(vec![partial])
        })
        .collect()
}
