//! Convolution on cooperative matrices, in single precision by factors in two halves: recorded by
//! [`conv2d::record`] in place of `conv2d.wgsl` where the recording's variants name it and the shape fits.

use super::{Case, Kernel, conv2d, cooperative, halo, shared};
use crate::base::Array;
use crate::gpu::{Shader, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conv2d_halo",
    source: include_str!("../../shaders/matmul/conv2d_halo.wgsl"),
    shared: &[shared::SCALES, shared::BAND, shared::HALO],
    params: size_of::<halo::Params>(),
    bindings: &[read("x"), read("w"), write("y")],
    variants: halo::FORWARD,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: halo::FIELDS, cases };

fn cases() -> Vec<Case> {
    let fits = |g: &_| halo::fits(g, false);
    halo::both(conv2d::cases_of(fits, Array::clone), conv2d::cases_of(fits, cooperative::rounded))
}
