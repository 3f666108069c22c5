//! Convolution on cooperative matrices: recorded by [`conv2d::record`] in place of
//! `conv2d.wgsl` where the recording's variants name it and allow half-precision factors.

use super::{Case, Kernel, conv2d, cooperative, shared};
use crate::gpu::{Shader, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conv2d_coop",
    source: include_str!("../../shaders/matmul/conv2d_coop.wgsl"),
    shared: &[
        shared::PATCHES_FORWARD,
        shared::TAPS,
        shared::PATCH,
        shared::SCALES,
        shared::ROUNDS,
        shared::COOPERATIVE,
    ],
    params: size_of::<conv2d::Params>(),
    bindings: &[read("x"), read("w"), write("y")],
    variants: cooperative::VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: conv2d::FIELDS, cases };

fn cases() -> Vec<Case> {
    conv2d::cases_of(|_| true, cooperative::rounded).into_iter().map(cooperative::allowed).collect()
}
