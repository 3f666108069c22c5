//! Gradient of a convolution by its input for subgroups of 8 lanes and costly loads: recorded by [`conv2d_input_grad::record`] in place of
//! `conv2d_input_grad.wgsl` where the recording's variants name it (`choose::preferred` says when).

use super::{Kernel, conv2d_input_grad, shared};
use crate::gpu::{Shader, Variant, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conv2d_input_grad_subgroup",
    source: include_str!("../../shaders/matmul/conv2d_input_grad_subgroup.wgsl"),
    shared: &[shared::PHASE, shared::PHASE_PIXELS, shared::LANES, shared::PANEL],
    params: size_of::<conv2d_input_grad::Params>(),
    bindings: &[read("dy"), read("w"), write("dx")],
    variants: &[Variant::subgroup("8", &[])],
};

/// The registry's entry.
pub const KERNEL: Kernel =
    Kernel { shader: &SHADER, fields: conv2d_input_grad::FIELDS, cases: conv2d_input_grad::cases };

/// Pixels of one workgroup.
pub const PIXELS: usize = 96;
