//! Gradient of a convolution with 3 x 3 kernels, stride 1 and a border of 1, by its weights, by Winograd's F(3 x 3, 2 x 2) on
//! subgroups of 8 lanes, with the sums in an array: recorded where it pays and the recording's variants name it, for drivers
//! that keep such an array in memory (`product::offered` says which).
//! Source: Lavin and Gray, 2016.

use super::conv2d::{Convolution, Geometry};
use super::{Case, Kernel, conv2d_weight_grad, shared};
use crate::base::Array;
use crate::gpu::{Shader, Variant, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conv2d_weight_grad_winograd",
    source: include_str!("../../shaders/matmul/conv2d_weight_grad_winograd.wgsl"),
    shared: &[shared::WINOGRAD, shared::HALVES, shared::PANEL],
    params: size_of::<conv2d_weight_grad::Params>(),
    bindings: &[read("x"), read("dy"), write("part")],
    variants: &[Variant::subgroup("16", &[])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: conv2d_weight_grad::FIELDS, cases };

/// Whether this form computes a convolution's weight gradient.
pub(super) fn fits(geometry: &Geometry) -> bool {
    geometry.kernel == [3, 3] && geometry.convolution == Convolution { stride: 1, padding: 1 }
}

/// Squares of 4 x 4 pixels.
pub(super) fn squares(geometry: &Geometry) -> usize {
    geometry.input[0] * geometry.input[1].div_ceil(4) * geometry.input[2].div_ceil(4)
}

/// Whether it computes little enough in vain to pay beside the form that walks along lines in fours.
pub(super) fn pays(geometry: &Geometry) -> bool {
    let [rows, height, width, channels] = geometry.input;
    let lanes = channels.div_ceil(4).next_multiple_of(4) * 4;
    let lines = rows * height * width.next_multiple_of(4) * channels.next_multiple_of(4);
    3 * squares(geometry) * 16 * lanes <= 4 * lines
}

/// The grid: two blocks of 16 channels, each of one part, share a group.
pub(super) fn grid(geometry: &Geometry, parts: u32) -> [u32; 3] {
    let blocks = geometry.input[3].div_ceil(16) as u32;
    [(blocks * parts).div_ceil(2), geometry.output[3].div_ceil(16) as u32, 1]
}

fn cases() -> Vec<Case> {
    conv2d_weight_grad::cases_of(fits, Array::clone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv2d;

    #[test]
    fn lines_in_fours_keep_what_squares_would_compute_in_vain() {
        let taken =
            |[rows, side, channels]: [usize; 3]| pays(&conv2d::of_row([rows, side, side, channels, 3, 3, 64, 1, 1]));
        let full = [[32, 32, 16], [32, 8, 64], [16, 4, 512], [4, 28, 128], [4, 14, 256], [4, 13, 384], [4, 7, 512]];
        assert!(full.into_iter().all(taken));
        // Half of a square; 3 and 17 channels, which leave lanes idle.
        assert!(![[16, 2, 512], [32, 32, 3], [32, 32, 17], [4, 5, 64]].into_iter().any(taken));
    }
}
