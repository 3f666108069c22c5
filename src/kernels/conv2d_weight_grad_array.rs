//! Gradient of a convolution by its weights, as in [`conv2d_weight_grad_sliding`] with the sums in an array: recorded where it
//! fits and the recording's variants name it, for drivers that keep such an array in memory (`product::offered` says which).

use super::conv2d::Geometry;
use super::{Case, Kernel, conv2d_weight_grad, shared};
use crate::base::Array;
use crate::gpu::{Shader, Variant, read, write};

/// The shader, by stride and length of lines; the call chooses among all variants.
pub static SHADER: Shader = Shader {
    name: "conv2d_weight_grad_array",
    source: include_str!("../../shaders/matmul/conv2d_weight_grad_array.wgsl"),
    shared: &[shared::LINES, shared::HALVES, shared::FOURS, shared::WINDOWS, shared::PANEL],
    params: size_of::<conv2d_weight_grad::Params>(),
    bindings: &[read("x"), read("dy"), write("part")],
    variants: &[
        Variant::subgroup("16", &[]),
        Variant::subgroup("16 stride 2", &[("STRIDE", 2.0)]),
        Variant::subgroup("16 short", &[("SHORT", 1.0)]),
        Variant::subgroup("16 short stride 2", &[("SHORT", 1.0), ("STRIDE", 2.0)]),
        Variant::subgroup("16 of one channel", &[("CHANNELS", 1.0)]),
        Variant::subgroup("16 of one channel, stride 2", &[("CHANNELS", 1.0), ("STRIDE", 2.0)]),
        Variant::subgroup("16 of three channels", &[("CHANNELS", 3.0)]),
        Variant::subgroup("16 of three channels, stride 2", &[("CHANNELS", 3.0), ("STRIDE", 2.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: conv2d_weight_grad::FIELDS, cases };

/// Whether this form computes a convolution's weight gradient.
pub(super) fn fits(geometry: &Geometry) -> bool {
    geometry.kernel[1] == 3 && geometry.convolution.stride <= 2
}

/// The variant for a shape.
pub(super) fn variant(geometry: &Geometry) -> usize {
    let kind = match geometry.input[3] {
        1 => 4,
        3 => 6,
        _ => 2 * usize::from(geometry.output[2] <= 2),
    };
    kind + usize::from(geometry.convolution.stride == 2)
}

fn cases() -> Vec<Case> {
    conv2d_weight_grad::cases_of(fits, Array::clone)
}
