//! A Sinkhorn pass that folds rows with subgroup operations: recorded by [`sinkhorn_pass::record`] in place of
//! `sinkhorn_pass.wgsl` where the recording's variants name it (`choose::preferred` says when).

use super::{Kernel, shared, sinkhorn_pass};
use crate::gpu::{Shader, Variant, read, write};

/// The shader. The first variant wants subgroups of at least 8 lanes.
pub static SHADER: Shader = Shader {
    name: "sinkhorn_pass_subgroup",
    source: include_str!("../../shaders/assign/sinkhorn_pass_subgroup.wgsl"),
    shared: &[shared::TRANSPORT, shared::QUADS, shared::SINKHORN],
    params: size_of::<sinkhorn_pass::Params>(),
    bindings: &[read("scores"), read("bias"), read("rows"), read("clusters"), write("sums")],
    variants: &[
        Variant::subgroup("8x4 lone", &[("WIDTH", 8.0), ("QUADS", 4.0), ("LONE", 1.0)]),
        Variant::subgroup("32x1", &[("WIDTH", 32.0), ("QUADS", 1.0), ("LONE", 0.0)]),
        Variant::subgroup("32x4", &[("WIDTH", 32.0), ("QUADS", 4.0), ("LONE", 0.0)]),
        Variant::subgroup("64x4", &[("WIDTH", 64.0), ("QUADS", 4.0), ("LONE", 0.0)]),
        Variant::subgroup("128x4", &[("WIDTH", 128.0), ("QUADS", 4.0), ("LONE", 0.0)]),
        Variant::subgroup("256x4", &[("WIDTH", 256.0), ("QUADS", 4.0), ("LONE", 0.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: sinkhorn_pass::FIELDS, cases: sinkhorn_pass::cases };
