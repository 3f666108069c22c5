//! Matrix product on cooperative matrices: recorded by [`matmul::record`] in place of `matmul.wgsl` where the recording's
//! variants name it and allow half-precision factors.

use super::{Case, Kernel, cooperative, matmul, shared};
use crate::gpu::{Shader, Variant, read, write};

/// One tile for each pair of transposes, in the order that [`matmul::form`] counts.
macro_rules! variants {
    ($(($name:literal, $side:literal, $below:literal, $beside:literal, $down:literal, $across:literal, $twice:literal)),+) => { &[$(
        variants!(concat!($name, " nn"), $side, $below, $beside, $down, $across, $twice, 0.0, 0.0),
        variants!(concat!($name, " nt"), $side, $below, $beside, $down, $across, $twice, 0.0, 1.0),
        variants!(concat!($name, " tn"), $side, $below, $beside, $down, $across, $twice, 1.0, 0.0),
        variants!(concat!($name, " tt"), $side, $below, $beside, $down, $across, $twice, 1.0, 1.0),
    )+] };
    ($name:expr, $side:literal, $below:literal, $beside:literal, $down:literal, $across:literal, $twice:literal, $a:literal, $b:literal) => {
        Variant::needing(
            $name,
            &[
                ("SIDE", $side),
                ("BELOW", $below),
                ("BESIDE", $beside),
                ("DOWN", $down),
                ("ACROSS", $across),
                ("TWICE", $twice),
                ("TRANSPOSE_A", $a),
                ("TRANSPOSE_B", $b),
            ],
            crate::gpu::cooperative::NEEDS,
        )
    };
}

/// The shader. Its variants come in fours, as those of [`matmul::SHADER`].
pub static SHADER: Shader = Shader {
    name: "matmul_coop",
    source: include_str!("../../shaders/matmul/matmul_coop.wgsl"),
    shared: &[shared::PATCHES_MATMUL, shared::PATCH, shared::SCALES, shared::ROUNDS, shared::COOPERATIVE],
    params: size_of::<matmul::Params>(),
    bindings: &[read("a"), read("b"), write("out")],
    variants: cooperative::matrices!(variants),
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: matmul::FIELDS, cases };

fn cases() -> Vec<Case> {
    matmul::cases_of(|_| true, cooperative::rounded).into_iter().map(cooperative::allowed).collect()
}
