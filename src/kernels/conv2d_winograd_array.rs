//! Convolution with 3 x 3 kernels, stride 1 and a border of 1, and its gradient by the input, by Winograd's F(2 x 2, 3 x 3) on
//! subgroups of 8 lanes, with the sums in an array: recorded in place of [`conv2d_winograd`] where the recording's variants
//! name it, for drivers that keep such an array in memory (`product::offered` says which).
//! Source: Lavin and Gray, 2016.

use super::{Kernel, conv2d_winograd, shared};
use crate::gpu::{Shader, Variant, read, write};

/// The shader: forward and for the gradient; the call chooses.
pub static SHADER: Shader = Shader {
    name: "conv2d_winograd_array",
    source: include_str!("../../shaders/matmul/conv2d_winograd_array.wgsl"),
    shared: &[shared::WINOGRAD, shared::PANEL, shared::CONV],
    params: size_of::<conv2d_winograd::Params>(),
    bindings: &[read("x"), read("w"), write("y")],
    variants: &[Variant::subgroup("forward", &[("TURNED", 0.0)]), Variant::subgroup("turned", &[("TURNED", 1.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: conv2d_winograd::FIELDS, cases: conv2d_winograd::cases };
