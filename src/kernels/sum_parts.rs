//! Sum of partial results in their order. Shapes: `part (parts, …)` → `out (…)`, any shape of as many elements a part.

use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Error, Result};
use crate::gpu::recording::grid;
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `sum_parts.wgsl`.
    pub struct Params {
        /// Physical elements / 4 of one part.
        pub count: u32,
        /// Number of parts.
        pub parts: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "sum_parts",
    source: include_str!("../../shaders/reduce/sum_parts.wgsl"),
    shared: &[shared::PARTS],
    params: size_of::<Params>(),
    bindings: &[read("part"), write("out")],
    variants: &[
        Variant::base("64", &[("WIDTH", 64.0), ("QUADS", 1.0), ("SHARES", 1.0)]),
        Variant::base("8", &[("WIDTH", 8.0), ("QUADS", 4.0), ("SHARES", 1.0)]),
        Variant::base("256/16", &[("WIDTH", 256.0), ("QUADS", 1.0), ("SHARES", 16.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out = Σ part[g]`.
///
/// # Errors
/// When a part does not have the elements of `out`.
pub fn record(recording: &mut Recording, part: &Tensor, out: &Tensor) -> Result<()> {
    let parts = part.shape.sizes()[0];
    if part.shape.physical() != parts * out.shape.physical() {
        return Err(Error::Shape(format!("sum_parts: part {} is not a list of {}", part.shape, out.shape)));
    }
    let p = Params { count: (out.shape.physical() / 4) as u32, parts: parts as u32 };
    let [width, quads, shares] = ["WIDTH", "QUADS", "SHARES"].map(|name| recording.variant(&SHADER).constant(name));
    let groups = grid((p.count as usize * shares as usize).div_ceil(quads as usize), width);
    recording.dispatch_constant(&SHADER, p, &[part, out], groups, cost(p))
}

/// The least work: every part read once, one addition an element.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.count);
    Cost { operations: values * u64::from(p.parts), bytes: 4 * values * (u64::from(p.parts) + 1) }
}

/// The twin; `sizes` are those of one part.
pub fn reference(part: &Array, sizes: &[usize]) -> Array {
    let mut out = Array::zeros(sizes);
    for one in part.data.chunks_exact(out.data.len()) {
        out.data.iter_mut().zip(one).for_each(|(o, p)| *o += p);
    }
    out
}

/// One part, around a workgroup of vectors, a prime number of parts, a layer's weights. Sums of 37 values in float32
/// err by less than √37·2⁻²⁴ = 4e-7 of the largest.
fn cases() -> Vec<Case> {
    let table: [(usize, [usize; 2]); 5] = [(1, [1, 5]), (2, [3, 85]), (3, [1, 257]), (37, [3, 7]), (16, [144, 16])];
    table
        .into_iter()
        .map(|(parts, [rows, columns])| {
            let part = Array::normal(&[parts, rows, columns], 1.0, parts as u64);
            let expected = reference(&part, &[rows, columns]);
            Case::new(format!("{}", part.shape), vec![part], expected, Tolerance::largest(1e-6), |r, i, o, _| {
                record(r, &i[0], &o[0])
            })
        })
        .collect()
}
