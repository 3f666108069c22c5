//! Convolution with 3 x 3 kernels, stride 1 and a border of 1, and its gradient by the input, on subgroups of 8 lanes, with
//! the sums in an array: recorded in place of [`conv2d_winograd`] where the recording's variants name it, for drivers that
//! keep such an array in memory (`product::offered` says which).

use super::{Kernel, conv2d_winograd, shared};
use crate::gpu::{Shader, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conv2d_column",
    source: include_str!("../../shaders/matmul/conv2d_column.wgsl"),
    shared: &[shared::PANEL, shared::THREE],
    params: size_of::<conv2d_winograd::Params>(),
    bindings: &[read("x"), read("w"), write("y")],
    variants: conv2d_winograd::FORMS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: conv2d_winograd::FIELDS, cases: conv2d_winograd::cases };
