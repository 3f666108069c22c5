//! Maximum and log-sum-exp of each row by subgroup operations: recorded by [`score_rows::record`] in place of
//! `score_rows.wgsl` where the recording's variants name it (`choose::preferred` says when).

use super::{Kernel, score_rows};
use crate::gpu::{Shader, Variant, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "score_rows_subgroup",
    source: include_str!("../../shaders/assign/score_rows_subgroup.wgsl"),
    shared: &[],
    params: size_of::<score_rows::Params>(),
    bindings: &[read("logits"), read("bias"), write("out")],
    variants: &[
        Variant::subgroup("8 lone", &[("WIDTH", 8.0), ("ROWS", 64.0), ("LONG", 0.0)]),
        Variant::subgroup("8 lone long", &[("WIDTH", 8.0), ("ROWS", 64.0), ("LONG", 1.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: score_rows::FIELDS, cases: score_rows::cases };
