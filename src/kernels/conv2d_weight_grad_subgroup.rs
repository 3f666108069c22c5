//! Gradient of a convolution by its weights for subgroups of 8 lanes and costly loads: recorded by [`conv2d_weight_grad::record`] in place of
//! `conv2d_weight_grad.wgsl` where the recording's variants name it (`choose::preferred` says when).

use super::conv2d::Geometry;
use super::{Kernel, conv2d_weight_grad, shared};
use crate::gpu::{Shader, Variant, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conv2d_weight_grad_subgroup",
    source: include_str!("../../shaders/matmul/conv2d_weight_grad_subgroup.wgsl"),
    shared: &[shared::LANES, shared::PANEL],
    params: size_of::<conv2d_weight_grad::Params>(),
    bindings: &[read("x"), read("dy"), write("part")],
    variants: &[Variant::subgroup("8", &[("SINGLE", 0.0)]), Variant::subgroup("8 of one channel", &[("SINGLE", 1.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel =
    Kernel { shader: &SHADER, fields: conv2d_weight_grad::FIELDS, cases: conv2d_weight_grad::cases };

/// Whether a lane can have all taps of a kernel, since the images have one channel.
pub(super) fn single(geometry: &Geometry) -> bool {
    geometry.input[3] == 1 && geometry.kernel[0] * geometry.kernel[1] <= 12
}

/// Whether slots fill its lanes and lines are short: then it is faster than sliding along them (measured on Mesa 22.3: 64
/// channels of 8 x 8 pixels 34 instead of 30 GFLOP/s, 32 of 7 x 7 pixels 34 instead of 26, equal at 16 x 16).
pub(super) fn fills(geometry: &Geometry) -> bool {
    let slots = geometry.kernel[0] * geometry.kernel[1] * geometry.input[3].div_ceil(4);
    slots.is_multiple_of(conv2d_weight_grad::SLOTS as usize) && geometry.output[2] < 16
}
