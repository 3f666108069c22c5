//! The best clusters of each row by subgroup operations: recorded by [`top_candidates::record`] in place of
//! `top_candidates.wgsl` where the recording's variants name it (`choose::preferred` says when) and [`holds`] the shape.

use super::rows::HELD;
use super::{Kernel, shared, top_candidates};
use crate::gpu::{Shader, Variant};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "top_candidates_subgroup",
    source: include_str!("../../shaders/assign/top_candidates_subgroup.wgsl"),
    shared: &[shared::TRANSPORT, shared::QUADS],
    params: size_of::<top_candidates::Params>(),
    bindings: top_candidates::SHADER.bindings,
    variants: &[
        Variant::subgroup("8x4 lone", &[("WIDTH", 8.0), ("QUADS", 4.0), ("ROWS", 16.0), ("LONG", 0.0)]),
        Variant::subgroup("8x4 lone long", &[("WIDTH", 8.0), ("QUADS", 4.0), ("ROWS", 16.0), ("LONG", 1.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: top_candidates::FIELDS, cases };

/// Candidates that fit beside new columns, and new columns that fit beside them.
const KEPT: usize = 32;

/// Whether it finds the `count` best of so many columns.
pub fn holds(columns: usize, count: usize) -> bool {
    let turns = 1 + columns.saturating_sub(HELD).div_ceil(HELD - KEPT);
    let rows = SHADER.variants[0].constant("ROWS") as usize;
    // Mesa's llvmpipe ends all loops of an invocation after 65,535 iterations in total.
    (columns <= HELD || count <= KEPT) && rows * (1 + turns * (1 + count)) <= 50_000
}

fn cases() -> Vec<super::Case> {
    top_candidates::cases_where(holds)
}
