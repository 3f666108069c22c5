//! Convolution with tiles in workgroup memory, for GPUs: recorded by [`conv2d::record`] in place of `conv2d.wgsl` where the
//! recording's variants name it (`choose::preferred` says when).

use super::conv2d::{self, Geometry, Params, fold};
use super::{Kernel, shared, tile};
use crate::base::Result;
use crate::gpu::{Recording, Shader, Tensor, Variants, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conv2d_tiled",
    source: include_str!("../../shaders/matmul/conv2d_tiled.wgsl"),
    shared: &[shared::PATCHES_FORWARD, shared::TAPS, shared::PATCH, shared::TILE],
    params: size_of::<Params>(),
    bindings: &[read("x"), read("w"), write("y")],
    variants: tile::VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: conv2d::FIELDS, cases: conv2d::cases };

/// Records `y = x ∗ w` in tiles, by this shader or by that of cooperative matrices.
pub(super) fn record(
    recording: &mut Recording,
    shader: &'static Shader,
    forms: &Variants,
    geometry: &Geometry,
    p: Params,
    tensors: [&Tensor; 3],
) -> Result<()> {
    let (pixels, outputs) = (geometry.output[..3].iter().product::<usize>(), geometry.output[3]);
    let tile = tile::choose(shader, forms.index(shader), 1, [pixels, outputs], 1, false);
    let [across, folds] = fold(pixels.div_ceil(tile.rows));
    let grid = [across, outputs.div_ceil(tile.columns) as u32, folds];
    recording.dispatch_variant_constant(shader, tile.variant, p, &tensors, grid, geometry.cost())
}
