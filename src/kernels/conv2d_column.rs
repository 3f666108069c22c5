//! Convolution with 3 x 3 kernels, stride 1 and a border of 1, and its gradient by the input, on subgroups of 8 lanes, with
//! the sums in an array: recorded in place of [`conv2d_winograd`] where the recording's variants name it, for drivers that
//! keep such an array in memory (`product::offered` says which).

use super::{Kernel, conv2d_winograd, shared};
use crate::gpu::{Shader, Variant, read, write};

/// The shader, in the pairs of [`conv2d_winograd`], then the same by 32 outputs a lane.
pub static SHADER: Shader = Shader {
    name: "conv2d_column",
    source: include_str!("../../shaders/matmul/conv2d_column.wgsl"),
    shared: &[shared::PANEL, shared::CONV, shared::BLOCK],
    params: size_of::<conv2d_winograd::Params>(),
    bindings: &[read("x"), read("w"), write("y")],
    variants: &[
        Variant::subgroup("narrow", &[("EDGES", 0.0), ("TURNED", 0.0), ("WIDE", 0.0)]),
        Variant::subgroup("narrow turned", &[("EDGES", 0.0), ("TURNED", 1.0), ("WIDE", 0.0)]),
        Variant::subgroup("wide", &[("EDGES", 1.0), ("TURNED", 0.0), ("WIDE", 0.0)]),
        Variant::subgroup("wide turned", &[("EDGES", 1.0), ("TURNED", 1.0), ("WIDE", 0.0)]),
        Variant::subgroup("narrow, 32", &[("EDGES", 0.0), ("TURNED", 0.0), ("WIDE", 1.0)]),
        Variant::subgroup("narrow turned, 32", &[("EDGES", 0.0), ("TURNED", 1.0), ("WIDE", 1.0)]),
        Variant::subgroup("wide, 32", &[("EDGES", 1.0), ("TURNED", 0.0), ("WIDE", 1.0)]),
        Variant::subgroup("wide turned, 32", &[("EDGES", 1.0), ("TURNED", 1.0), ("WIDE", 1.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: conv2d_winograd::FIELDS, cases: conv2d_winograd::cases };
