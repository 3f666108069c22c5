//! Convolution with 3 x 3 kernels, a border of 1 and stride 1 or 2, and at stride 1 its gradient by the input, on subgroups of
//! 8 lanes, with the sums in an array and images of any size: recorded by [`conv2d::record`] and
//! [`conv2d_input_grad::record`] where it fits and the recording's variants name it, for drivers that keep such an array in
//! memory (`product::offered` says which).

use super::conv2d::{self, Convolution, Geometry, fold};
use super::{Case, Kernel, conv2d_input_grad, params, shared};
use crate::base::{Array, Result};
use crate::gpu::{Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `conv2d_strip.wgsl`.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// H of the input.
        pub height: u32,
        /// W of the input.
        pub width: u32,
        /// Channels that are summed over, in vectors of 4.
        pub inner: u32,
        /// Channels of the output.
        pub outer: u32,
        /// H of the output.
        pub out_height: u32,
        /// W of the output.
        pub out_width: u32,
    }
}

/// The shader, by 16 or 32 outputs a lane; the call chooses among all variants.
pub static SHADER: Shader = Shader {
    name: "conv2d_strip",
    source: include_str!("../../shaders/matmul/conv2d_strip.wgsl"),
    shared: &[shared::FOURS, shared::WINDOWS, shared::EIGHT, shared::PANEL, shared::CONV, shared::BLOCK],
    params: size_of::<Params>(),
    bindings: &[read("x"), read("w"), write("y")],
    variants: &[
        Variant::subgroup("16", &[]),
        Variant::subgroup("32", &[("WIDE", 1.0)]),
        Variant::subgroup("16 turned", &[("TURNED", 1.0)]),
        Variant::subgroup("32 turned", &[("TURNED", 1.0), ("WIDE", 1.0)]),
        Variant::subgroup("16 stride 2", &[("STRIDE", 2.0)]),
        Variant::subgroup("32 stride 2", &[("STRIDE", 2.0), ("WIDE", 1.0)]),
        Variant::subgroup("16 short", &[("SHORT", 1.0)]),
        Variant::subgroup("32 short", &[("SHORT", 1.0), ("WIDE", 1.0)]),
        Variant::subgroup("16 short turned", &[("SHORT", 1.0), ("TURNED", 1.0)]),
        Variant::subgroup("32 short turned", &[("SHORT", 1.0), ("TURNED", 1.0), ("WIDE", 1.0)]),
        Variant::subgroup("16 short stride 2", &[("SHORT", 1.0), ("STRIDE", 2.0)]),
        Variant::subgroup("32 short stride 2", &[("SHORT", 1.0), ("STRIDE", 2.0), ("WIDE", 1.0)]),
        Variant::subgroup("16 of one channel", &[("CHANNELS", 1.0)]),
        Variant::subgroup("16 of one channel, stride 2", &[("CHANNELS", 1.0), ("STRIDE", 2.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Whether this form computes a convolution.
pub(super) fn fits(geometry: &Geometry) -> bool {
    let Convolution { stride, padding } = geometry.convolution;
    geometry.kernel == [3, 3] && padding == 1 && stride <= 2
}

/// Whether this form computes a convolution's input gradient.
pub(super) fn turns(geometry: &Geometry) -> bool {
    fits(geometry) && geometry.convolution.stride == 1
}

/// Whether lanes take 32 outputs each, not 16: where blocks of 32 compute no more in vain.
pub(super) fn wide(outputs: usize) -> bool {
    outputs.div_ceil(16).is_multiple_of(2)
}

/// Whether strips of 2 rows take the place of those of 4: where they compute at most three quarters as many.
fn short(height: usize) -> bool {
    4 * height.next_multiple_of(2) <= 3 * height.next_multiple_of(4)
}

/// Groups for the outputs `[R, H, W, C]` by strips of 2 rows or of 4, each of 64 pixels.
fn groups([rows, height, width, _]: [usize; 4], short: bool) -> usize {
    let (down, together) = if short { (2, 32) } else { (4, 16) };
    (rows * height.div_ceil(down) * width).div_ceil(together)
}

/// Pixels that are computed for a convolution of stride 1, those in vain with them.
pub(super) fn computed(geometry: &Geometry) -> usize {
    64 * groups(geometry.output, short(geometry.output[1]))
}

/// Parameters for a tensor that is read and one that is written, `(R, H, W, channels)` both.
fn params(input: [usize; 4], output: [usize; 4]) -> Params {
    Params {
        rows: input[0] as u32,
        height: input[1] as u32,
        width: input[2] as u32,
        inner: input[3].div_ceil(4) as u32,
        outer: output[3] as u32,
        out_height: output[1] as u32,
        out_width: output[2] as u32,
    }
}

/// Records `y = x ∗ w`, or, where `turned`, the input gradient `y` of an upstream gradient `x`.
pub(super) fn record(
    recording: &mut Recording,
    geometry: &Geometry,
    [x, w, y]: [&Tensor; 3],
    turned: bool,
) -> Result<()> {
    let (input, output) = if turned { (geometry.output, geometry.input) } else { (geometry.input, geometry.output) };
    let strided = geometry.convolution.stride == 2;
    let single = !turned && input[3] == 1;
    let wide = !single && wide(output[3]);
    let short = !single && short(output[1]);
    let variant = match single {
        true => 12 + usize::from(strided),
        false => 6 * usize::from(short) + 2 * usize::from(turned) + 4 * usize::from(strided) + usize::from(wide),
    };
    let [groups, folds] = fold(groups(output, short));
    let grid = [groups, output[3].div_ceil(if wide { 32 } else { 16 }) as u32, folds];
    let p = params(input, output);
    recording.dispatch_variant(&SHADER, variant, p, &[x, w, y], grid, geometry.cost())
}

/// The cases of the convolution and of its gradient that this form computes.
pub(super) fn cases() -> Vec<Case> {
    let gradient = conv2d_input_grad::cases_of(turns, Array::clone);
    conv2d::cases_of(fits, Array::clone).into_iter().chain(gradient).collect()
}
