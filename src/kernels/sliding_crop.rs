//! [`resized_crop`] for lists of at most three source pixels: enlarging, or shrinking by less than 3/2. Shapes and
//! parameters are the same.

use super::resized_crop::{self, FIELDS, Params};
use super::{Case, Kernel};
use crate::gpu::{Shader, Variant, read, write};

/// The most source pixels of an output row or column that the kernel can do.
pub const MOST_TAPS: usize = 3;

/// The shader.
pub static SHADER: Shader = Shader {
    name: "sliding_crop",
    source: include_str!("../../shaders/input/sliding_crop.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("bytes"), read("draws"), read("taps"), write("out")],
    variants: &[
        Variant::base("64 x 16", &[("WIDTH", 64.0), ("ROWS", 16.0)]),
        Variant::base("32 x 32", &[("WIDTH", 32.0), ("ROWS", 32.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

fn cases() -> Vec<Case> {
    resized_crop::cases_of(&SHADER, MOST_TAPS)
}
