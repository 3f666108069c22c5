//! Gradient of a convolution by its weights for kernels 3 wide of stride 1, on subgroups of 8 lanes and costly loads:
//! recorded by [`conv2d_weight_grad::record`] where it fits and the recording's variants name it
//! (`choose::preferred` says when).

use super::conv2d::Geometry;
use super::{Case, Kernel, conv2d_weight_grad, shared};
use crate::base::Array;
use crate::gpu::{Shader, Variant, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conv2d_weight_grad_sliding",
    source: include_str!("../../shaders/matmul/conv2d_weight_grad_sliding.wgsl"),
    shared: &[shared::LINES, shared::HALVES, shared::PANEL],
    params: size_of::<conv2d_weight_grad::Params>(),
    bindings: &[read("x"), read("dy"), write("part")],
    variants: &[Variant::subgroup("8", &[])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: conv2d_weight_grad::FIELDS, cases };

/// Whether this form computes a convolution's weight gradient.
pub(super) fn fits(geometry: &Geometry) -> bool {
    geometry.kernel[1] == 3 && geometry.convolution.stride == 1
}

/// The grid of this form and of [`conv2d_weight_grad_array`](super::conv2d_weight_grad_array): two blocks of slots, each of one
/// part, share a group.
pub(super) fn grid(geometry: &Geometry, parts: u32) -> [u32; 3] {
    let blocks = (geometry.kernel[0] * geometry.input[3].div_ceil(4)).div_ceil(4) as u32;
    [(blocks * parts).div_ceil(2), geometry.output[3].div_ceil(16) as u32, 1]
}

pub(super) fn cases() -> Vec<Case> {
    conv2d_weight_grad::cases_of(fits, Array::clone)
}
