//! Gradient of a convolution by its weights, as in [`conv2d_weight_grad_sliding`] with the sums in an array: recorded where it
//! fits and the recording's variants name it, for drivers that keep such an array in memory (`product::offered` says which).

use super::{Kernel, conv2d_weight_grad, conv2d_weight_grad_sliding, shared};
use crate::gpu::{Shader, Variant, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conv2d_weight_grad_array",
    source: include_str!("../../shaders/matmul/conv2d_weight_grad_array.wgsl"),
    shared: &[shared::PANEL],
    params: size_of::<conv2d_weight_grad::Params>(),
    bindings: &[read("x"), read("dy"), write("part")],
    variants: &[Variant::needing("8", &[], wgpu::Features::SUBGROUP)],
};

/// The registry's entry.
pub const KERNEL: Kernel =
    Kernel { shader: &SHADER, fields: conv2d_weight_grad::FIELDS, cases: conv2d_weight_grad_sliding::cases };
