//! Matrix product with tiles in workgroup memory, for GPUs: recorded by [`matmul::record`] in place of `matmul.wgsl` where
//! the recording's variants name it (`choose::preferred` says when).

use super::{Kernel, matmul, shared, tile};
use crate::gpu::{Shader, Variant, read, write};

/// One tile for each pair of transposes, in the order that [`matmul::form`] counts.
macro_rules! variants {
    ($(($name:literal, $rows:literal, $columns:literal, $lanes:literal, $wide:literal)),+) => { &[$(
        variants!(concat!($name, " nn"), $rows, $columns, $lanes, $wide, 0.0, 0.0),
        variants!(concat!($name, " nt"), $rows, $columns, $lanes, $wide, 0.0, 1.0),
        variants!(concat!($name, " tn"), $rows, $columns, $lanes, $wide, 1.0, 0.0),
        variants!(concat!($name, " tt"), $rows, $columns, $lanes, $wide, 1.0, 1.0),
    )+] };
    ($name:expr, $rows:literal, $columns:literal, $lanes:literal, $wide:literal, $a:literal, $b:literal) => {
        Variant::base($name, &[
            ("ROWS", $rows),
            ("COLUMNS", $columns),
            ("LANES", $lanes),
            ("WIDE", $wide),
            ("TRANSPOSE_A", $a),
            ("TRANSPOSE_B", $b),
        ])
    };
}

/// The shader. Its variants come in fours, as those of [`matmul::SHADER`].
pub static SHADER: Shader = Shader {
    name: "matmul_tiled",
    source: include_str!("../../shaders/matmul/matmul_tiled.wgsl"),
    shared: &[shared::PATCHES_MATMUL, shared::PATCH, shared::TILE],
    params: size_of::<matmul::Params>(),
    bindings: &[read("a"), read("b"), write("out")],
    variants: tile::tiles!(variants),
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: matmul::FIELDS, cases: matmul::cases };
