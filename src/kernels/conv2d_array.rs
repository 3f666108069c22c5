//! Convolution with any kernel, stride and border, and its gradient by the input, on subgroups of 8 lanes, with the
//! sums in an array: recorded by [`conv2d::record`] and [`conv2d_input_grad::record`] where the recording's variants name it
//! and no form for kernels of 3 x 3 fits, for drivers that keep such an array in memory (`product::offered` says which).

use super::conv2d::{self, Convolution, Geometry, fold};
use super::{Case, Kernel, conv2d_input_grad, conv2d_strip, params, shared};
use crate::base::{Array, Result};
use crate::gpu::{Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `conv2d_array.wgsl`.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// H of the tensor that is read.
        pub height: u32,
        /// W of it.
        pub width: u32,
        /// Channels that are summed over, in vectors of 4.
        pub inner: u32,
        /// Channels of the output.
        pub outer: u32,
        /// H of the output.
        pub out_height: u32,
        /// W of the output.
        pub out_width: u32,
        /// kh.
        pub kernel_height: u32,
        /// kw.
        pub kernel_width: u32,
        /// Step between two outputs, in both directions.
        pub stride: u32,
        /// Zeros on each side, in both directions.
        pub padding: u32,
        /// Phases of the output's pixels, which differ in their taps.
        pub phases: u32,
    }
}

/// The shader, by 16 or 32 outputs a lane; the call chooses among all variants.
pub static SHADER: Shader = Shader {
    name: "conv2d_array",
    source: include_str!("../../shaders/matmul/conv2d_array.wgsl"),
    shared: &[shared::FOURS, shared::EIGHT, shared::PHASE, shared::TAPS, shared::PANEL, shared::CONV, shared::BLOCK],
    params: size_of::<Params>(),
    bindings: &[read("x"), read("w"), write("y")],
    variants: &[
        Variant::subgroup("16", &[]),
        Variant::subgroup("32", &[("WIDE", 1.0)]),
        Variant::subgroup("16 turned", &[("TURNED", 1.0)]),
        Variant::subgroup("32 turned", &[("TURNED", 1.0), ("WIDE", 1.0)]),
        Variant::subgroup("16 of three channels", &[("CHANNELS", 3.0)]),
        Variant::subgroup("32 of three channels", &[("CHANNELS", 3.0), ("WIDE", 1.0)]),
        Variant::subgroup("16 of one channel", &[("CHANNELS", 1.0)]),
        Variant::subgroup("32 of one channel", &[("CHANNELS", 1.0), ("WIDE", 1.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `y = x ∗ w`, or, where `turned`, the input gradient `y` of an upstream gradient `x`.
pub(super) fn record(
    recording: &mut Recording,
    geometry: &Geometry,
    [x, w, y]: [&Tensor; 3],
    turned: bool,
) -> Result<()> {
    let Convolution { stride, padding } = geometry.convolution;
    let (input, output) = if turned { (geometry.output, geometry.input) } else { (geometry.input, geometry.output) };
    let [phases, pixels] =
        if turned { conv2d_input_grad::phases(geometry) } else { [1, output[..3].iter().product::<usize>()] };
    let p = Params {
        rows: input[0] as u32,
        height: input[1] as u32,
        width: input[2] as u32,
        inner: input[3].div_ceil(4) as u32,
        outer: output[3] as u32,
        out_height: output[1] as u32,
        out_width: output[2] as u32,
        kernel_height: geometry.kernel[0] as u32,
        kernel_width: geometry.kernel[1] as u32,
        stride: stride as u32,
        padding: padding as u32,
        phases: phases as u32,
    };
    let kind = match input[3] {
        _ if turned => 2,
        3 => 4,
        1 => 6,
        _ => 0,
    };
    let wide = conv2d_strip::wide(output[3]);
    let [groups, folds] = fold(phases * pixels.div_ceil(64));
    let grid = [groups, output[3].div_ceil(if wide { 32 } else { 16 }) as u32, folds];
    recording.dispatch_variant(&SHADER, kind + usize::from(wide), p, &[x, w, y], grid, geometry.cost())
}

/// The cases of the convolution and of its gradient that this form computes.
fn cases() -> Vec<Case> {
    let gradient = conv2d_input_grad::cases_of(|_| true, Array::clone);
    conv2d::cases_of(|_| true, Array::clone).into_iter().chain(gradient).collect()
}
