//! Matrix product of few rows on subgroups of 8 lanes: recorded by [`matmul::record`] where the recording's variants name it, the first
//! factor is not transposed, and it pays beside the other forms that they name.

use super::{Case, Kernel, matmul, shared};
use crate::base::Array;
use crate::gpu::{Shader, Variant, read, write};

/// The shader: the call chooses its variant by the rows and the second factor's transpose.
pub static SHADER: Shader = Shader {
    name: "matmul_rows",
    source: include_str!("../../shaders/matmul/matmul_rows.wgsl"),
    shared: &[shared::FACTORS, shared::HALVES, shared::PANEL],
    params: size_of::<matmul::Params>(),
    bindings: &[read("a"), read("b"), write("out")],
    variants: &[
        Variant::subgroup("4 nn", &[("ROWS", 4.0), ("TRANSPOSE_B", 0.0)]),
        Variant::subgroup("4 nt", &[("ROWS", 4.0), ("TRANSPOSE_B", 1.0)]),
        Variant::subgroup("8 nn", &[("ROWS", 8.0), ("TRANSPOSE_B", 0.0)]),
        Variant::subgroup("8 nt", &[("ROWS", 8.0), ("TRANSPOSE_B", 1.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: matmul::FIELDS, cases };

/// Most rows of the answer where another form is named too: that one loads less for more rows.
const MOST: usize = 16;

/// Whether this form computes a product.
pub(super) fn fits(transpose_a: bool) -> bool {
    !transpose_a
}

/// Whether it is the fastest of those on subgroups.
pub(super) fn pays(rows: usize) -> bool {
    rows <= MOST
}

/// The variant for so many rows, and the rows and columns of one workgroup.
pub(super) fn plan(rows: usize, transpose_b: bool) -> (usize, [usize; 2]) {
    let tall = usize::from(rows > 4);
    (2 * tall + usize::from(transpose_b), [[4, 8][tall], 32])
}

fn cases() -> Vec<Case> {
    matmul::cases_of(fits, Array::clone)
}
