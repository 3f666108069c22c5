//! Labels and what they cost by subgroup operations: recorded by [`assign_labels::record`] in place of
//! `assign_labels.wgsl` where the recording's variants name it (`choose::preferred` says when).

use super::{Kernel, assign_labels, shared};
use crate::gpu::{Shader, Variant};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "assign_labels_subgroup",
    source: include_str!("../../shaders/assign/assign_labels_subgroup.wgsl"),
    shared: &[shared::TRANSPORT, shared::QUADS],
    params: size_of::<assign_labels::Params>(),
    bindings: assign_labels::SHADER.bindings,
    variants: &[
        Variant::subgroup("8x4 lone", &[("WIDTH", 8.0), ("QUADS", 4.0), ("ROWS", 64.0), ("LONG", 0.0)]),
        Variant::subgroup("8x4 lone long", &[("WIDTH", 8.0), ("QUADS", 4.0), ("ROWS", 64.0), ("LONG", 1.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: assign_labels::FIELDS, cases: assign_labels::cases };
