//! Gradient of a convolution by its input for 3 x 3 kernels, a border of 1 and stride 2, on subgroups of 8 lanes, with the sums
//! in an array: recorded by [`conv2d_input_grad::record`] where it fits and the recording's variants name it, for drivers
//! that keep such an array in memory (`product::offered` says which).

use super::conv2d::{Geometry, fold};
use super::conv2d_strip::{self, Params};
use super::{Case, Kernel, conv2d_input_grad, shared};
use crate::base::{Array, Result};
use crate::gpu::{Recording, Shader, Tensor, Variant, read, write};

/// The shader. Named is a form of at most 16 or 32 channels a lane (`product::arrays` says for which adapter); the call takes 16
/// where 32 would compute more in vain, and chooses the length of the strips.
pub static SHADER: Shader = Shader {
    name: "conv2d_input_grad_strip",
    source: include_str!("../../shaders/matmul/conv2d_input_grad_strip.wgsl"),
    shared: &[shared::PANEL, shared::THREE, shared::STRIP],
    params: size_of::<Params>(),
    bindings: &[read("x"), read("w"), write("y")],
    variants: &[
        Variant::subgroup("16", &[("WIDE", 0.0)]),
        Variant::subgroup("32", &[("WIDE", 1.0)]),
        Variant::subgroup("16 short", &[("SHORT", 1.0), ("WIDE", 0.0)]),
        Variant::subgroup("32 short", &[("SHORT", 1.0), ("WIDE", 1.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: conv2d_strip::FIELDS, cases };

/// Whether this form computes a convolution's input gradient.
pub(super) fn fits(geometry: &Geometry) -> bool {
    conv2d_strip::fits(geometry) && geometry.convolution.stride == 2
}

/// Records `dx` for `y = x ∗ w` in the form `named`; `tensors` are `dy`, `w` and `dx`.
pub(super) fn record(
    recording: &mut Recording,
    named: usize,
    geometry: &Geometry,
    tensors: [&Tensor; 3],
) -> Result<()> {
    let p = conv2d_strip::params(geometry.output, geometry.input);
    let [rows, height, width, channels] = geometry.input;
    let short = conv2d_strip::short(height, 8);
    let (strip, together) = if short { (4, 32) } else { (8, 16) };
    // The even columns are as many as the odd ones, or one more.
    let [groups, folds] = fold((rows * height.div_ceil(strip) * width.div_ceil(2)).div_ceil(together));
    let wide = SHADER.variants[named].constant("WIDE") == 1 && conv2d_strip::wide(channels);
    let grid = [2 * channels.div_ceil(if wide { 32 } else { 16 }) as u32, groups, folds];
    let variant = 2 * usize::from(short) + usize::from(wide);
    recording.dispatch_variant(&SHADER, variant, p, &tensors, grid, geometry.cost())
}

fn cases() -> Vec<Case> {
    conv2d_input_grad::cases_of(fits, Array::clone)
}
