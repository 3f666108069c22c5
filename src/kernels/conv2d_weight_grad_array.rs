//! Gradient of a convolution by its weights, as in [`conv2d_weight_grad_sliding`] with the sums in an array: recorded where it
//! fits and the recording's variants name it, for drivers that keep such an array in memory (`product::offered` says which).

use super::conv2d::Geometry;
use super::{Case, Kernel, conv2d_strip, conv2d_weight_grad, shared};
use crate::base::Array;
use crate::gpu::{Shader, Variant, read, write};

/// The shader, by 16 or 32 outputs a lane; the call chooses among all variants.
pub static SHADER: Shader = Shader {
    name: "conv2d_weight_grad_array",
    source: include_str!("../../shaders/matmul/conv2d_weight_grad_array.wgsl"),
    shared: &[shared::LANES, shared::PANEL],
    params: size_of::<conv2d_weight_grad::Params>(),
    bindings: &[read("x"), read("dy"), write("part")],
    variants: &[
        Variant::subgroup("16", &[("STRIDE", 1.0), ("WIDE", 0.0), ("SINGLE", 0.0)]),
        Variant::subgroup("32", &[("STRIDE", 1.0), ("WIDE", 1.0), ("SINGLE", 0.0)]),
        Variant::subgroup("16 stride 2", &[("STRIDE", 2.0), ("WIDE", 0.0), ("SINGLE", 0.0)]),
        Variant::subgroup("32 stride 2", &[("STRIDE", 2.0), ("WIDE", 1.0), ("SINGLE", 0.0)]),
        Variant::subgroup("16 of one channel", &[("STRIDE", 1.0), ("WIDE", 0.0), ("SINGLE", 1.0)]),
        Variant::subgroup("16 of one channel, stride 2", &[("STRIDE", 2.0), ("WIDE", 0.0), ("SINGLE", 1.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: conv2d_weight_grad::FIELDS, cases };

/// Whether this form computes a convolution's weight gradient.
pub(super) fn fits(geometry: &Geometry) -> bool {
    geometry.kernel[1] == 3 && geometry.convolution.stride <= 2
}

/// The variant for a shape, and blocks of slots and of outputs.
pub(super) fn plan(geometry: &Geometry) -> (usize, [u32; 2]) {
    let [channels, outputs] = [geometry.input[3], geometry.output[3]];
    let single = channels == 1;
    let wide = !single && conv2d_strip::wide(outputs);
    let strided = usize::from(geometry.convolution.stride == 2);
    let variant = if single { 4 + strided } else { 2 * strided + usize::from(wide) };
    let slots = geometry.kernel[0] * channels.div_ceil(4);
    (variant, [slots.div_ceil(8) as u32, outputs.div_ceil(if wide { 32 } else { 16 }) as u32])
}

fn cases() -> Vec<Case> {
    conv2d_weight_grad::cases_of(fits, Array::clone)
}
