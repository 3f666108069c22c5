//! Matrix product of large matrices for subgroups of 8 lanes and costly loads: recorded by [`matmul::record`] where the
//! recording's variants name it (`choose::preferred` says when) and the product is large, or `matmul_subgroup.wgsl` is
//! not named beside it.

use super::{Kernel, matmul, shared};
use crate::gpu::{Shader, Variant, read, write};

/// The shader: one variant for each pair of transposes, chosen by the call.
pub static SHADER: Shader = Shader {
    name: "matmul_wide",
    source: include_str!("../../shaders/matmul/matmul_wide.wgsl"),
    shared: &[shared::PANEL_AT, shared::FACTORS, shared::LANES, shared::PANEL],
    params: size_of::<matmul::Params>(),
    bindings: &[read("a"), read("b"), write("out")],
    variants: &[
        Variant::subgroup("8 nn", &[("TRANSPOSE_A", 0.0), ("TRANSPOSE_B", 0.0)]),
        Variant::subgroup("8 nt", &[("TRANSPOSE_A", 0.0), ("TRANSPOSE_B", 1.0)]),
        Variant::subgroup("8 tn", &[("TRANSPOSE_A", 1.0), ("TRANSPOSE_B", 0.0)]),
        Variant::subgroup("8 tt", &[("TRANSPOSE_A", 1.0), ("TRANSPOSE_B", 1.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: matmul::FIELDS, cases: matmul::cases };

/// Rows and columns of one workgroup.
pub(super) const TILE: [usize; 2] = [64, 64];

/// Multiply-adds from which on this form pays for its pipeline, which takes seconds to compile.
pub(super) const LARGE: usize = 1 << 26;
