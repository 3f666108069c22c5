//! What kernels share that go through a tensor `vec4` by `vec4`: variants, and their grid.

use crate::gpu::recording::grid;
use crate::gpu::{Recording, Shader, Variant};

/// Lanes a group, and vec4 values a lane, `WIDTH` apart. Software adapters take one vector of lanes that goes on for long:
/// beginning a group costs them as much as 2 values (docs/performance.md).
pub const VARIANTS: &[Variant] = &[
    Variant::base("64", &[("WIDTH", 64.0), ("QUADS", 1.0)]),
    Variant::base("256", &[("WIDTH", 256.0), ("QUADS", 1.0)]),
    Variant::base("8", &[("WIDTH", 8.0), ("QUADS", 64.0)]),
];

/// Groups for `count` vec4 values.
pub fn flat_grid(recording: &Recording, shader: &'static Shader, count: usize) -> [u32; 3] {
    let variant = recording.variant(shader);
    grid(count.div_ceil(variant.constant("QUADS") as usize), variant.constant("WIDTH"))
}
