//! What kernels with one workgroup a row share: variants, grid, and the twins' softmax.

use crate::base::Array;
use crate::base::compare::Tolerance;
use crate::gpu::recording::grid;
use crate::gpu::{Recording, Shader, Variant};

/// Lanes a row. Eight are one vector of the software adapter, where 64 were 5 to 10 times slower (each barrier costs a
/// switch of every lane), and enough for tens of columns anywhere; 64 suit a GPU with hundreds.
pub const WIDTHS: &[Variant] = &[Variant::base("8", &[("WIDTH", 8.0)]), Variant::base("64", &[("WIDTH", 64.0)])];

/// One workgroup a row.
pub fn row_grid(rows: usize) -> [u32; 3] {
    grid(rows, 1)
}

/// Columns that 8 lanes hold in four vec4 each.
pub(super) const HELD: usize = 128;

/// The form of a shader that stands in for another's where the recording's variants name it, and its grid: each workgroup
/// goes through `ROWS` rows. The first holds [`HELD`] columns, the second goes on to more; from more than so many on there
/// is none.
pub(super) fn by_subgroups(
    recording: &Recording,
    shader: &Shader,
    rows: usize,
    columns: usize,
) -> Option<(usize, [u32; 3])> {
    let variant = recording.variants.get(shader)?.max(usize::from(columns > HELD));
    let each = shader.variants[variant].constant("ROWS");
    // Mesa's llvmpipe ends all loops of an invocation after 65,535 iterations in total.
    (each as usize * (2 + columns.div_ceil(HELD)) <= 50_000).then(|| (variant, grid(rows, each)))
}

/// WGSL lets exp err by (3 + 2|x|) units in the last place: with x down to −20 where a term still matters that is
/// 2.6e-6 of it, a logarithm adds 3 units, a sum of a thousand terms a few more; 1e-5 relative covers them. A
/// difference of logits of size 10 adds 1e-6 absolute.
pub const EXPONENTIAL: Tolerance = Tolerance::element(1e-5, 2e-6);

/// Products and sums of up to a thousand terms of size 1 with cancellation: √1000·2⁻²⁴ is 2e-6 of the largest.
pub const SUMS: Tolerance = Tolerance::largest(5e-6);

/// `softmax(x · factor)` of each row, in float64.
pub fn softmax_rows(x: &Array, factor: f64) -> Array {
    let mut out = log_softmax_rows(x, factor);
    out.data.iter_mut().for_each(|v| *v = v.exp());
    out
}

/// `log softmax(x · factor)` of each row, in float64.
pub fn log_softmax_rows(x: &Array, factor: f64) -> Array {
    let mut out = x.map(|v| v * factor);
    for row in out.data.chunks_exact_mut(x.shape.last()) {
        let highest = row.iter().copied().fold(f64::MIN, f64::max);
        let log_sum = row.iter().map(|v| (v - highest).exp()).sum::<f64>().ln();
        row.iter_mut().for_each(|v| *v -= highest + log_sum);
    }
    out
}
