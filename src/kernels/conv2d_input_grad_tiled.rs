//! Gradient of a convolution by its input with tiles in workgroup memory, for GPUs: recorded by
//! [`conv2d_input_grad::record`] in place of `conv2d_input_grad.wgsl` where the recording's variants name it
//! (`choose::preferred` says when).

use super::conv2d::{Geometry, fold};
use super::conv2d_input_grad::{self, Params, phases};
use super::{Kernel, shared, tile};
use crate::base::Result;
use crate::gpu::{Recording, Shader, Tensor, Variants, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conv2d_input_grad_tiled",
    source: include_str!("../../shaders/matmul/conv2d_input_grad_tiled.wgsl"),
    shared: &[shared::PATCHES_INPUT_GRAD, shared::TAPS, shared::PHASE, shared::PATCH, shared::TILE],
    params: size_of::<Params>(),
    bindings: &[read("dy"), read("w"), write("dx")],
    variants: tile::VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel =
    Kernel { shader: &SHADER, fields: conv2d_input_grad::FIELDS, cases: conv2d_input_grad::cases };

/// Records `dx` for `y = x ∗ w` in tiles, by this shader or by that of cooperative matrices.
pub(super) fn record(
    recording: &mut Recording,
    shader: &'static Shader,
    forms: &Variants,
    geometry: &Geometry,
    p: Params,
    tensors: [&Tensor; 3],
) -> Result<()> {
    let (channels, [phases, pixels]) = (geometry.input[3], phases(geometry));
    let tile = tile::choose(shader, forms.index(shader), 1, [pixels, channels], phases, false);
    let [across, folds] = fold(pixels.div_ceil(tile.rows));
    let grid = [across, channels.div_ceil(tile.columns) as u32 * folds, phases as u32];
    recording.dispatch_variant_constant(shader, tile.variant, p, &tensors, grid, geometry.cost())
}
