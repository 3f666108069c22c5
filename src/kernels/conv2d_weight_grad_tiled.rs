//! Gradient of a convolution by its weights with tiles in workgroup memory, for GPUs: recorded by
//! [`conv2d_weight_grad::record`] in place of `conv2d_weight_grad.wgsl` where the recording's variants name it
//! (`choose::preferred` says when).

use super::conv2d_weight_grad::{self, Params};
use super::{Kernel, shared, tile};
use crate::gpu::{Shader, Variants, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conv2d_weight_grad_tiled",
    source: include_str!("../../shaders/matmul/conv2d_weight_grad_tiled.wgsl"),
    shared: &[shared::PATCHES_WEIGHT_GRAD, shared::PATCH, shared::TILE],
    params: size_of::<Params>(),
    bindings: &[read("x"), read("dy"), write("part")],
    variants: tile::VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel =
    Kernel { shader: &SHADER, fields: conv2d_weight_grad::FIELDS, cases: conv2d_weight_grad::cases };

/// The variant of this shader or of that of cooperative matrices, and its groups across rows of the weights and outputs.
pub(super) fn plan(shader: &Shader, forms: &Variants, p: &Params) -> (usize, [u32; 2]) {
    let sizes = [p.kernel_height * p.kernel_width * p.channels * 4, p.outputs * 4];
    let tile = tile::choose(shader, forms.index(shader), 1, sizes.map(|n| n as usize), p.parts as usize, false);
    (tile.variant, [sizes[0].div_ceil(tile.rows as u32), sizes[1].div_ceil(tile.columns as u32)])
}
