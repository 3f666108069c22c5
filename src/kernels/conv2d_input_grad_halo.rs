//! Gradient of a convolution by its input on cooperative matrices, in single precision by factors in two halves:
//! recorded by [`conv2d_input_grad::record`] in place of `conv2d_input_grad.wgsl` where the recording's variants name it and the
//! shape fits.

use super::{Case, Kernel, conv2d_input_grad, cooperative, halo, shared};
use crate::base::Array;
use crate::gpu::{Shader, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conv2d_input_grad_halo",
    source: include_str!("../../shaders/matmul/conv2d_input_grad_halo.wgsl"),
    shared: &[shared::SCALES, shared::BAND, shared::HALO],
    params: size_of::<halo::Params>(),
    bindings: &[read("dy"), read("w"), write("dx")],
    variants: halo::TURNED,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: halo::FIELDS, cases };

fn cases() -> Vec<Case> {
    let fits = |g: &_| halo::fits(g, true);
    let rounded = conv2d_input_grad::cases_of(fits, cooperative::rounded);
    halo::both(conv2d_input_grad::cases_of(fits, Array::clone), rounded)
}
