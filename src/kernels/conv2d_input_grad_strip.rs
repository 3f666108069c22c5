//! Gradient of a convolution by its input for 3 x 3 kernels, a border of 1 and stride 2, on subgroups of 8 lanes, with the sums
//! in an array: recorded by [`conv2d_input_grad::record`] where it fits and the recording's variants name it, for drivers
//! that keep such an array in memory (`product::offered` says which).

use super::conv2d::{Geometry, fold};
use super::conv2d_strip::{self, Params};
use super::{Case, Kernel, conv2d_input_grad, shared};
use crate::base::{Array, Result};
use crate::gpu::{Engine, Recording, Shader, Tensor, Variant, adapter, read, write};

/// The shader. Named is a form of at most 16 or 32 channels a lane ([`most_channels`]); the call chooses among both lengths of
/// strips, and takes 16 where 32 would compute more in vain.
pub static SHADER: Shader = Shader {
    name: "conv2d_input_grad_strip",
    source: include_str!("../../shaders/matmul/conv2d_input_grad_strip.wgsl"),
    shared: &[shared::PANEL, shared::THREE, shared::STRIP],
    params: size_of::<Params>(),
    bindings: &[read("x"), read("w"), write("y")],
    variants: &[
        Variant::subgroup("16", &[]),
        Variant::subgroup("32", &[("WIDE", 1.0)]),
        Variant::subgroup("16 short", &[("SHORT", 1.0)]),
        Variant::subgroup("32 short", &[("SHORT", 1.0), ("WIDE", 1.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: conv2d_strip::FIELDS, cases };

/// Whether this form computes a convolution's input gradient.
pub(super) fn fits(geometry: &Geometry) -> bool {
    conv2d_strip::fits(geometry) && geometry.convolution.stride == 2
}

/// The form for an adapter. Mesa 25 takes 10 to 13 s to compile lanes of 32 channels, and 4 s for 16, which are 3 to 20 % slower
/// there; Mesa 26 takes 2.7 and 1.7 s.
pub(super) fn most_channels(engine: &Engine) -> usize {
    usize::from(adapter::mesa(engine.info()).is_none_or(|version| version >= 26))
}

/// Records `dx` for `y = x ∗ w` in a form of at most 16 (0) or 32 channels a lane; `tensors` are `dy`, `w` and `dx`.
pub(super) fn record(recording: &mut Recording, most: usize, geometry: &Geometry, tensors: [&Tensor; 3]) -> Result<()> {
    let p = conv2d_strip::params(geometry.output, geometry.input);
    let [rows, height, width, channels] = geometry.input;
    let short = conv2d_strip::short(height, 8);
    let (strip, together) = if short { (4, 32) } else { (8, 16) };
    // The even columns are as many as the odd ones, or one more.
    let [groups, folds] = fold((rows * height.div_ceil(strip) * width.div_ceil(2)).div_ceil(together));
    let wide = most % 2 == 1 && conv2d_strip::wide(channels);
    let grid = [groups, 2 * channels.div_ceil(if wide { 32 } else { 16 }) as u32, folds];
    let variant = 2 * usize::from(short) + usize::from(wide);
    recording.dispatch_variant(&SHADER, variant, p, &tensors, grid, geometry.cost())
}

fn cases() -> Vec<Case> {
    conv2d_input_grad::cases_of(fits, Array::clone)
}
