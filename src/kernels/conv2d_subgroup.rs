//! Convolution for subgroups of 8 lanes and costly loads: recorded by [`conv2d::record`] in place of
//! `conv2d.wgsl` where the recording's variants name it (`choose::preferred` says when).

use super::{Kernel, conv2d, shared};
use crate::gpu::{Shader, Variant, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conv2d_subgroup",
    source: include_str!("../../shaders/matmul/conv2d_subgroup.wgsl"),
    shared: &[shared::LANES, shared::PANEL],
    params: size_of::<conv2d::Params>(),
    bindings: &[read("x"), read("w"), write("y")],
    variants: &[Variant::subgroup("8", &[("SINGLE", 0.0)]), Variant::subgroup("8 of one channel", &[("SINGLE", 1.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: conv2d::FIELDS, cases: conv2d::cases };

/// Pixels of one workgroup.
pub const PIXELS: usize = 96;
