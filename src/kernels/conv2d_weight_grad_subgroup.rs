//! Gradient of a convolution by its weights for subgroups of 8 lanes and costly loads: recorded by [`conv2d_weight_grad::record`] in place of
//! `conv2d_weight_grad.wgsl` where the recording's variants name it (`choose::preferred` says when).

use super::conv2d_winograd::form;
use super::{Kernel, conv2d_weight_grad, shared};
use crate::gpu::{Shader, Variant, read, write};

const ONE: Variant = form("8", &[("LINES", 1.0)]);
const TWO: Variant = form("8 by 2 lines", &[("LINES", 2.0)]);
const FOUR: Variant = form("8 by 4 lines", &[("LINES", 4.0)]);

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conv2d_weight_grad_subgroup",
    source: include_str!("../../shaders/matmul/conv2d_weight_grad_subgroup.wgsl"),
    shared: &[shared::PANEL],
    params: size_of::<conv2d_weight_grad::Params>(),
    bindings: &[read("x"), read("dy"), write("part")],
    variants: &[
        ONE,
        TWO,
        FOUR,
        ONE.in_windows("8 in windows", &["x", "dy"]),
        TWO.in_windows("8 by 2 lines in windows", &["x", "dy"]),
        FOUR.in_windows("8 by 4 lines in windows", &["x", "dy"]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel =
    Kernel { shader: &SHADER, fields: conv2d_weight_grad::FIELDS, cases: conv2d_weight_grad::cases };

/// The variant for images of a width, of three that are named as the first: 4 pixels lie in 2 or 4 lines where a line would leave
/// them empty. More lines take more addresses, so they have to save a twentieth each time.
pub(super) fn by_width(named: usize, width: usize) -> usize {
    let pixels = |columns: usize| width.next_multiple_of(columns) as f64;
    let best = (0..3).min_by(|a, b| {
        let time = |lines: usize| pixels(4 >> lines) * 1.05f64.powi(lines as i32);
        time(*a).total_cmp(&time(*b))
    });
    named / 3 * 3 + (named % 3).max(best.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lines_share_four_pixels() {
        let lines = |width| SHADER.variants[by_width(0, width)].constant("LINES");
        assert_eq!([1, 2, 3, 4, 5, 6, 7, 8, 14, 16].map(lines), [4, 2, 4, 1, 4, 2, 4, 1, 2, 1]);
        assert_eq!((by_width(3, 2), by_width(2, 16), by_width(5, 4)), (4, 2, 5));
    }
}
