//! Convolution with 3 x 3 kernels, stride 1 and a border of 1, and its gradient by the input, by Winograd's F(4, 3) on
//! subgroups of 8 lanes and costly loads: it, or [`conv2d_winograd_array`], is recorded by [`conv2d::record`] and [`conv2d_input_grad::record`] where it
//! fits and the recording's variants name it (`choose::preferred` says when).

use super::conv2d::{self, Convolution, Geometry, fold};
use super::{Case, Kernel, conv2d_input_grad, conv2d_strip, conv2d_subgroup, conv2d_winograd_array, params, shared};
use crate::base::{Array, Result};
use crate::gpu::{Recording, Shader, Tensor, Variant, Variants, read, write};

params! {
    /// Uniforms of `conv2d_winograd.wgsl`, whose strips are 8 x 8 pixels, and `conv2d_winograd_array.wgsl`, whose are 2 x 8.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// H, of input and output.
        pub height: u32,
        /// W, of input and output.
        pub width: u32,
        /// Channels that are summed over, in vectors of 4.
        pub inner: u32,
        /// Channels of the output.
        pub outer: u32,
        /// Strips in a row of the image.
        pub across: u32,
        /// Strips in a column of the image.
        pub down: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conv2d_winograd",
    source: include_str!("../../shaders/matmul/conv2d_winograd.wgsl"),
    shared: &[shared::PANEL, shared::CONV],
    params: size_of::<Params>(),
    bindings: &[read("x"), read("w"), write("y")],
    // In pairs, forward and for the gradient: the call chooses between the two. The first pair is for images of at most 8 columns;
    // naming it leaves the choice between the pairs to the width.
    variants: &[
        Variant::subgroup("narrow", &[("EDGES", 0.0), ("TURNED", 0.0)]),
        Variant::subgroup("narrow turned", &[("EDGES", 0.0), ("TURNED", 1.0)]),
        Variant::subgroup("wide", &[("EDGES", 1.0), ("TURNED", 0.0)]),
        Variant::subgroup("wide turned", &[("EDGES", 1.0), ("TURNED", 1.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Whether this form computes a convolution and its input gradient.
pub(super) fn fits(geometry: &Geometry) -> bool {
    geometry.kernel == [3, 3] && geometry.convolution == Convolution { stride: 1, padding: 1 }
}

/// Strips of 8 rows in a row and in a column of an image, of 8 columns, or of 2 for the form with its sums in an array.
fn strips(geometry: &Geometry, array: bool) -> [usize; 2] {
    [geometry.input[2].div_ceil(if array { 2 } else { 8 }), geometry.input[1].div_ceil(8)]
}

/// The shader to record where the variants name it: `conv2d_winograd_array` before this one. If they also name
/// `conv2d_subgroup` or `conv2d_strip`, which compute fewer pixels in vain but take twice or four thirds as long for one, blocks
/// may compute no more than so many times their pixels, and one round of channels is left to those, which have variants for
/// one channel, and no weights and pixels to transform for a single use.
pub(super) fn taken(forms: &Variants, geometry: &Geometry) -> Option<&'static Shader> {
    let shader = [&conv2d_winograd_array::SHADER, &SHADER].into_iter().find(|shader| forms.names(shader))?;
    let array = shader.name == conv2d_winograd_array::SHADER.name;
    let [rows, height, width, channels] = geometry.input;
    let [across, down] = strips(geometry, array);
    // Strips of 8 x 8 pixels go in pairs.
    let computed = if array { rows * down * across * 16 } else { (rows * down).next_multiple_of(2) * across * 64 };
    let strips = forms.names(&conv2d_strip::SHADER);
    let most = if strips {
        conv2d_strip::computed(geometry) * 4 / 3
    } else if forms.names(&conv2d_subgroup::SHADER) {
        2 * rows * height * width
    } else {
        usize::MAX
    };
    let few = (channels == 1 && forms.names(&conv2d_subgroup::SHADER)) || (channels <= 4 && strips);
    (fits(geometry) && computed <= most && !few).then_some(shader)
}

/// Records `y = x ∗ w` by the shader that is [`taken`], or, where `turned`, the input gradient `y` of an upstream
/// gradient `x`.
pub(super) fn record(
    recording: &mut Recording,
    shader: &'static Shader,
    forms: &Variants,
    geometry: &Geometry,
    [x, w, y]: [&Tensor; 3],
    turned: bool,
) -> Result<()> {
    let [rows, height, width, channels] = geometry.input;
    let outputs = geometry.output[3];
    let (inner, outer) = if turned { (outputs, channels) } else { (channels, outputs) };
    let array = shader.name == conv2d_winograd_array::SHADER.name;
    let [across, down] = strips(geometry, array);
    let p = Params {
        rows: rows as u32,
        height: height as u32,
        width: width as u32,
        inner: inner.div_ceil(4) as u32,
        outer: outer as u32,
        across: across as u32,
        down: down as u32,
    };
    let edges = !array && (across > 1 || forms.index(shader) > 1);
    let variant = 2 * usize::from(edges) + usize::from(turned);
    let groups = if array { (rows * down * across).div_ceil(8) } else { (rows * down).div_ceil(2) * across };
    let [groups, folds] = fold(groups);
    let grid = [groups, outer.div_ceil(16) as u32, folds];
    recording.dispatch_variant(shader, variant, p, &[x, w, y], grid, geometry.cost())
}

/// The cases of the convolution and of its gradient that this form computes.
pub(super) fn cases() -> Vec<Case> {
    let gradient = conv2d_input_grad::cases_of(fits, Array::clone);
    conv2d::cases_of(fits, Array::clone).into_iter().chain(gradient).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_give_way_to_strips_where_they_compute_more() {
        let shaders = [&conv2d_winograd_array::SHADER, &conv2d_strip::SHADER, &conv2d_subgroup::SHADER];
        let forms = Variants { kernels: shaders.map(|s| (s.name, 0)).into_iter().collect(), ..Variants::default() };
        let blocks = |[rows, side, channels]: [usize; 3]| {
            let geometry = conv2d::of_row([rows, side, side, channels, 3, 3, 64, 1, 1]);
            taken(&forms, &geometry).is_some()
        };
        // What they fill, or nearly, and images of 7 x 7.
        let full = [[32, 32, 16], [32, 8, 64], [4, 56, 64], [4, 28, 128], [4, 14, 256], [4, 13, 384], [8, 7, 512]];
        assert!(full.into_iter().all(blocks));
        assert!(![[16, 4, 512], [16, 2, 512], [8, 9, 64]].into_iter().any(blocks));
        // Up to four channels have strips of their own.
        assert!(![[32, 32, 1], [32, 32, 3]].into_iter().any(blocks));
    }
}
