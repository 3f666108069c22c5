//! Gradient of a convolution by its input. Shapes: `dy (R, OH, OW, Cout)`, `w [kh, kw, pad4(C), Cout]` →
//! `dx (R, H, W, C)`.

use super::conv2d::{self, Convolution, Geometry, TOLERANCE};
use super::product::Product;
use super::{
    Case, Kernel, conv2d_array, conv2d_input_grad_coop, conv2d_input_grad_halo, conv2d_input_grad_subgroup,
    conv2d_input_grad_tiled, conv2d_strip, conv2d_winograd, halo, params, shared,
};
use crate::base::{Array, Result};
use crate::gpu::{Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `conv2d_input_grad.wgsl` and of its other forms.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// H.
        pub height: u32,
        /// W.
        pub width: u32,
        /// C.
        pub channels: u32,
        /// OH.
        pub out_height: u32,
        /// OW.
        pub out_width: u32,
        /// pad4(Cout) / 4.
        pub outputs: u32,
        /// kh.
        pub kernel_height: u32,
        /// kw.
        pub kernel_width: u32,
        /// Step between two outputs, in both directions.
        pub stride: u32,
        /// Zeros on each side, in both directions.
        pub padding: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conv2d_input_grad",
    source: include_str!("../../shaders/matmul/conv2d_input_grad.wgsl"),
    shared: &[shared::PHASE, shared::PHASE_PIXELS, shared::PANEL],
    params: size_of::<Params>(),
    bindings: &[read("dy"), read("w"), write("dx")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)]), Variant::base("32", &[("WIDTH", 32.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Phases of the pixels of `dx`, and the pixels of the first, which is the largest.
pub(super) fn phases(geometry: &Geometry) -> [usize; 2] {
    let ([rows, height, width, _], stride) = (geometry.input, geometry.convolution.stride);
    [stride * stride, rows * height.div_ceil(stride) * width.div_ceil(stride)]
}

/// Records `dx` for `y = x ∗ w`.
///
/// # Errors
/// When the shapes do not fit together.
pub fn record(recording: &mut Recording, dy: &Tensor, w: &Tensor, convolution: Convolution, dx: &Tensor) -> Result<()> {
    let geometry = conv2d::geometry("conv2d_input_grad", dx, w, convolution, dy)?;
    let forms = recording.of_class(Product::Convolution(&SHADER, geometry).class(), geometry.cost().operations);
    if let Some(shader) = conv2d_winograd::taken(&forms, &geometry) {
        return conv2d_winograd::record(recording, shader, &forms, &geometry, [dy, w, dx], true);
    }
    if forms.names(&conv2d_strip::SHADER) && conv2d_strip::turns(&geometry) {
        return conv2d_strip::record(recording, &geometry, [dy, w, dx], true);
    }
    if forms.names(&conv2d_array::SHADER) {
        return conv2d_array::record(recording, &geometry, [dy, w, dx], true);
    }
    if let Some(recorded) = halo::record(recording, &conv2d_input_grad_halo::SHADER, &forms, &geometry, [dy, w, dx]) {
        return recorded;
    }
    let [rows, height, width, channels] = geometry.input;
    let p = Params {
        rows: rows as u32,
        height: height as u32,
        width: width as u32,
        channels: channels as u32,
        out_height: geometry.output[1] as u32,
        out_width: geometry.output[2] as u32,
        outputs: geometry.output[3].div_ceil(4) as u32,
        kernel_height: geometry.kernel[0] as u32,
        kernel_width: geometry.kernel[1] as u32,
        stride: convolution.stride as u32,
        padding: convolution.padding as u32,
    };
    if let Some(shader) = forms.first(&[&conv2d_input_grad_coop::SHADER, &conv2d_input_grad_tiled::SHADER]) {
        return conv2d_input_grad_tiled::record(recording, shader, &forms, &geometry, p, [dy, w, dx]);
    }
    let (shader, pixels) = if forms.names(&conv2d_input_grad_subgroup::SHADER) {
        (&conv2d_input_grad_subgroup::SHADER, conv2d_input_grad_subgroup::PIXELS)
    } else {
        (&SHADER, 8 * forms.variant(&SHADER).constant("WIDTH") as usize)
    };
    let [phases, largest] = phases(&geometry);
    let [across, folds] = conv2d::fold(largest.div_ceil(pixels));
    let grid = [phases as u32, across, channels.div_ceil(16) as u32 * folds];
    recording.dispatch_variant(shader, forms.index(shader), p, &[dy, w, dx], grid, geometry.cost())
}

/// The twin: `input` is `[R, H, W, C]`.
pub fn reference(dy: &Array, w: &Array, convolution: Convolution, input: [usize; 4]) -> Array {
    let geometry = Geometry::new(input, [w.sizes()[0], w.sizes()[1]], w.sizes()[3], convolution)
        .expect("checked by the operation's shape rule");
    let mut dx = Array::zeros(&input);
    geometry.products(|i, j, k| dx.data[i] += dy.data[k] * w.data[j]);
    dx
}

/// The convolution's cases, seen from the other side; the pad rows of `w` are not zero here and must not show.
pub(super) fn cases() -> Vec<Case> {
    cases_of(|_| true, Array::clone)
}

/// Those of the cases that a special form can compute, with what `round` makes of the factors.
pub(super) fn cases_of(fits: fn(&Geometry) -> bool, round: fn(&Array) -> Array) -> Vec<Case> {
    conv2d::geometries()
        .into_iter()
        .filter(fits)
        .map(|g| {
            let (dy, w) = (Array::normal(&g.output, 1.0, 3), Array::normal(&g.weights(), 1.0, 4));
            let (dy, w) = (round(&dy), round(&w));
            let expected = reference(&dy, &w, g.convolution, g.input);
            Case::new(conv2d::named(&g), vec![dy, w], expected, TOLERANCE, move |r, i, o, _| {
                record(r, &i[0], &i[1], g.convolution, &o[0])
            })
        })
        .collect()
}
