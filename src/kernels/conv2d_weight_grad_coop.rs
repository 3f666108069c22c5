//! Gradient of a convolution by its weights on cooperative matrices: recorded by [`conv2d_weight_grad::record`] in place of
//! `conv2d_weight_grad.wgsl` where the recording's variants name it and allow half-precision factors.

use super::{Case, Kernel, conv2d_weight_grad, cooperative, shared};
use crate::gpu::{Shader, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conv2d_weight_grad_coop",
    source: include_str!("../../shaders/matmul/conv2d_weight_grad_coop.wgsl"),
    shared: &[shared::PATCHES_WEIGHT_GRAD, shared::PATCH, shared::SCALES, shared::ROUNDS, shared::COOPERATIVE],
    params: size_of::<conv2d_weight_grad::Params>(),
    bindings: &[read("x"), read("dy"), write("part")],
    variants: cooperative::VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: conv2d_weight_grad::FIELDS, cases };

fn cases() -> Vec<Case> {
    conv2d_weight_grad::cases_of(|_| true, cooperative::rounded).into_iter().map(cooperative::allowed).collect()
}
