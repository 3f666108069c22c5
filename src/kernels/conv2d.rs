//! Convolution, NHWC. Shapes: `x (R, H, W, C)`, `w [kh, kw, pad4(C), Cout]` → `y (R, OH, OW, Cout)`.

use super::product::Product;
use super::{
    Case, Kernel, conv2d_array, conv2d_coop, conv2d_halo, conv2d_strip, conv2d_subgroup, conv2d_tiled, conv2d_winograd,
    halo, params, shared,
};
use crate::base::compare::Tolerance;
use crate::base::shape::pad4;
use crate::base::{Array, Error, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `conv2d.wgsl` and of its other forms.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// H.
        pub height: u32,
        /// W.
        pub width: u32,
        /// pad4(C) / 4.
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
    name: "conv2d",
    source: include_str!("../../shaders/matmul/conv2d.wgsl"),
    shared: &[shared::PANEL],
    params: size_of::<Params>(),
    bindings: &[read("x"), read("w"), write("y")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)]), Variant::base("32", &[("WIDTH", 32.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Step and zero border of a convolution, the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Convolution {
    /// Step between two outputs; at least 1.
    pub stride: usize,
    /// Zeros on each side of the image.
    pub padding: usize,
}

/// All sizes of one convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// `[R, H, W, C]`.
    pub input: [usize; 4],
    /// `[kh, kw]`.
    pub kernel: [usize; 2],
    /// `[R, OH, OW, Cout]`.
    pub output: [usize; 4],
    /// Step and border.
    pub convolution: Convolution,
}

impl Geometry {
    /// The sizes that follow from an input, a kernel and a number of output channels.
    ///
    /// # Errors
    /// When the stride is 0 or the kernel does not fit into the padded image.
    pub fn new(input: [usize; 4], kernel: [usize; 2], outputs: usize, convolution: Convolution) -> Result<Self> {
        let Convolution { stride, padding } = convolution;
        if stride == 0 {
            return Err(Error::Shape("convolution: the stride is 0, it must be at least 1".into()));
        }
        let mut output = [input[0], 0, 0, outputs];
        for i in 0..2 {
            let padded = input[1 + i] + 2 * padding;
            if kernel[i] == 0 || kernel[i] > padded {
                return Err(Error::Shape(format!(
                    "convolution: a kernel of {kernel:?} does not fit an image of {} x {} with padding {padding}",
                    input[1], input[2]
                )));
            }
            output[1 + i] = (padded - kernel[i]) / stride + 1;
        }
        Ok(Self { input, kernel, output, convolution })
    }

    /// Shape of the weights: `[kh, kw, pad4(C), Cout]`.
    pub fn weights(&self) -> [usize; 4] {
        [self.kernel[0], self.kernel[1], pad4(self.input[3]), self.output[3]]
    }

    /// Calls `each(x, w, y)` with the flat logical index of every product's three elements.
    pub fn products(&self, mut each: impl FnMut(usize, usize, usize)) {
        let ([rows, height, width, channels], [kh, kw]) = (self.input, self.kernel);
        let [_, out_height, out_width, outputs] = self.output;
        let Convolution { stride, padding } = self.convolution;
        for (r, oy, ox) in
            (0..rows).flat_map(|r| (0..out_height * out_width).map(move |p| (r, p / out_width, p % out_width)))
        {
            for (ky, kx) in (0..kh * kw).map(|k| (k / kw, k % kw)) {
                let (iy, ix) = ((oy * stride + ky).wrapping_sub(padding), (ox * stride + kx).wrapping_sub(padding));
                if iy >= height || ix >= width {
                    continue;
                }
                for c in 0..channels {
                    let x = ((r * height + iy) * width + ix) * channels + c;
                    let w = ((ky * kw + kx) * pad4(channels) + c) * outputs;
                    let y = ((r * out_height + oy) * out_width + ox) * outputs;
                    for n in 0..outputs {
                        each(x, w + n, y + n);
                    }
                }
            }
        }
    }

    /// The least work of the convolution or of one of its gradients: each tensor moved once, with the pads of its channels.
    pub fn cost(&self) -> Cost {
        let size = |s: &[usize]| s.iter().map(|&n| n as u64).product::<u64>();
        let stored = |[a, b, c, channels]: [usize; 4]| size(&[a, b, c, pad4(channels)]);
        let products = size(&self.output) * size(&self.kernel) * self.input[3] as u64;
        let moved = stored(self.input) + stored(self.weights()) + stored(self.output);
        Cost { operations: 2 * products, bytes: 4 * moved }
    }
}

/// Reads and checks the sizes of the trio's tensors.
pub(super) fn geometry(name: &str, x: &Tensor, w: &Tensor, convolution: Convolution, y: &Tensor) -> Result<Geometry> {
    let input = x.image(&format!("{name}: x (R, H, W, C)"))?;
    let weights = w.image(&format!("{name}: w [kh, kw, pad4(C), Cout]"))?;
    let geometry = Geometry::new(input, [weights[0], weights[1]], weights[3], convolution)?;
    w.expect(&format!("{name}: w [kh, kw, pad4(C), Cout]"), &geometry.weights())?;
    y.expect(&format!("{name}: y (R, OH, OW, Cout)"), &geometry.output)?;
    Ok(geometry)
}

/// A grid of `x` groups folded into `[x, fold]` past WebGPU's 65,535.
pub(super) fn fold(groups: usize) -> [u32; 2] {
    let fold = groups.div_ceil(65_535);
    [groups.div_ceil(fold) as u32, fold as u32]
}

/// Records `y = x ∗ w`.
///
/// # Errors
/// When the shapes do not fit together.
pub fn record(recording: &mut Recording, x: &Tensor, w: &Tensor, convolution: Convolution, y: &Tensor) -> Result<()> {
    let geometry = geometry("conv2d", x, w, convolution, y)?;
    let forms = recording.of_class(Product::Convolution(&SHADER, geometry).class(), geometry.cost().operations);
    if let Some(shader) = conv2d_winograd::taken(&forms, &geometry) {
        return conv2d_winograd::record(recording, shader, &forms, &geometry, [x, w, y], false);
    }
    if forms.names(&conv2d_strip::SHADER) && conv2d_strip::fits(&geometry) {
        return conv2d_strip::record(recording, &geometry, [x, w, y], false);
    }
    if forms.names(&conv2d_array::SHADER) {
        return conv2d_array::record(recording, &geometry, [x, w, y], false);
    }
    if let Some(recorded) = halo::record(recording, &conv2d_halo::SHADER, &forms, &geometry, [x, w, y]) {
        return recorded;
    }
    let p = Params {
        rows: geometry.input[0] as u32,
        height: geometry.input[1] as u32,
        width: geometry.input[2] as u32,
        channels: geometry.input[3].div_ceil(4) as u32,
        out_height: geometry.output[1] as u32,
        out_width: geometry.output[2] as u32,
        outputs: geometry.output[3].div_ceil(4) as u32,
        kernel_height: geometry.kernel[0] as u32,
        kernel_width: geometry.kernel[1] as u32,
        stride: convolution.stride as u32,
        padding: convolution.padding as u32,
    };
    if let Some(shader) = forms.first(&[&conv2d_coop::SHADER, &conv2d_tiled::SHADER]) {
        return conv2d_tiled::record(recording, shader, &forms, &geometry, p, [x, w, y]);
    }
    let (shader, variant, pixels) = if forms.names(&conv2d_subgroup::SHADER) {
        (&conv2d_subgroup::SHADER, usize::from(geometry.input[3] == 1), conv2d_subgroup::PIXELS)
    } else {
        (&SHADER, forms.index(&SHADER), 8 * forms.variant(&SHADER).constant("WIDTH") as usize)
    };
    let [across, folds] = fold(y.shape.rows().div_ceil(pixels));
    let grid = [across, p.outputs.div_ceil(4), folds];
    recording.dispatch_variant(shader, variant, p, &[x, w, y], grid, geometry.cost())
}

/// The twin.
pub fn reference(x: &Array, w: &Array, convolution: Convolution) -> Array {
    let geometry = of_arrays(x, w, convolution);
    let mut y = Array::zeros(&geometry.output);
    geometry.products(|i, j, k| y.data[k] += x.data[i] * w.data[j]);
    y
}

/// The geometry of two arrays that fit.
pub(super) fn of_arrays(x: &Array, w: &Array, convolution: Convolution) -> Geometry {
    let (&[r, h, width, c], &[kh, kw, _, n]) = (x.sizes(), w.sizes()) else {
        panic!("conv2d takes (R, H, W, C) and [kh, kw, pad4(C), Cout], not {} and {}", x.shape, w.shape)
    };
    Geometry::new([r, h, width, c], [kh, kw], n, convolution).expect("checked by the operation's shape rule")
}

/// Sums of at most 1,800 products in float32 err by about √1800·2⁻²⁴ = 2.5e-6 of the typical sum at worst.
pub(super) const TOLERANCE: Tolerance = Tolerance::largest(3e-6);

/// One value, odd kernels, strides and borders, channels off the multiples of 4 and 16, pixels around a tile of 512
/// and of 96, and of 8 by 8, several parts of 512 pixels with a rest, primes, a layer of ResNet-32, and for blocks of
/// 32 outputs and strips of 2, 4 and 8 rows images of 1 to 7 and 13 rows, one row or one column, one channel, and lines of
/// 2 pixels, an odd number of them and in several parts; one and three channels with 17 outputs or more, and strides at which some pixels
/// of the input meet no tap in one direction; and as many products as [`TOLERANCE`] allows for.
pub(super) fn geometries() -> Vec<Geometry> {
    // R, H, W, C, kh, kw, Cout, stride, padding.
    let table: [[usize; 9]; 39] = [
        [1, 1, 1, 1, 1, 1, 1, 1, 0],
        [1, 5, 7, 3, 3, 3, 5, 1, 1],
        [2, 9, 6, 5, 3, 3, 18, 2, 1],
        [1, 11, 8, 7, 5, 5, 6, 3, 2],
        [1, 7, 7, 4, 2, 2, 20, 2, 0],
        [1, 14, 13, 6, 7, 7, 10, 2, 3],
        [3, 8, 8, 8, 1, 1, 17, 2, 0],
        [1, 7, 73, 4, 1, 1, 16, 1, 0],
        [1, 27, 19, 3, 3, 3, 4, 1, 1],
        [1, 95, 1, 2, 2, 2, 33, 1, 1],
        [2, 6, 9, 17, 1, 3, 7, 1, 1],
        [7, 11, 13, 1, 3, 3, 16, 3, 1],
        [1, 6, 10, 5, 3, 3, 9, 1, 0],
        [2, 5, 6, 9, 2, 3, 21, 1, 2],
        [1, 4, 4, 64, 5, 5, 64, 1, 2],
        [2, 29, 31, 2, 3, 3, 5, 1, 1],
        [3, 43, 37, 2, 3, 3, 5, 2, 1],
        [3, 9, 8, 6, 3, 3, 17, 1, 1],
        [1, 7, 17, 18, 3, 3, 9, 1, 1],
        [2, 16, 16, 32, 3, 3, 32, 1, 1],
        [3, 16, 16, 32, 3, 3, 8, 1, 1],
        [5, 16, 16, 24, 3, 3, 8, 2, 1],
        [3, 4, 4, 37, 3, 3, 50, 1, 1],
        [2, 7, 7, 9, 3, 3, 29, 2, 1],
        [5, 4, 4, 20, 3, 3, 35, 2, 1],
        [2, 13, 1, 33, 3, 3, 3, 2, 1],
        [3, 1, 10, 6, 3, 3, 20, 2, 1],
        [2, 15, 12, 1, 3, 3, 7, 2, 1],
        [37, 2, 2, 21, 3, 3, 30, 1, 1],
        [19, 5, 2, 6, 3, 3, 40, 1, 1],
        [9, 3, 4, 20, 3, 3, 33, 2, 1],
        [7, 1, 2, 5, 3, 3, 9, 1, 1],
        [300, 2, 2, 3, 3, 3, 5, 1, 1],
        [3, 7, 9, 198, 3, 3, 17, 1, 1],
        [2, 13, 11, 3, 7, 7, 30, 2, 3],
        [2, 9, 10, 1, 5, 5, 24, 1, 2],
        [2, 12, 9, 3, 3, 3, 17, 2, 1],
        [1, 6, 7, 5, 1, 3, 6, 2, 1],
        [1, 7, 6, 5, 3, 1, 6, 2, 0],
    ];
    table.map(of_row).into()
}

/// The geometry of `[R, H, W, C, kh, kw, Cout, stride, padding]`; panics when it does not fit.
pub(crate) fn of_row([r, h, w, c, kh, kw, outputs, stride, padding]: [usize; 9]) -> Geometry {
    Geometry::new([r, h, w, c], [kh, kw], outputs, Convolution { stride, padding }).expect("a convolution that fits")
}

/// A case's name.
pub(super) fn named(g: &Geometry) -> String {
    Product::Convolution(&SHADER, *g).shape()
}

/// Weights as they stand in a network: the pad rows of the input channels are zero.
pub(super) fn weights(g: &Geometry, seed: u64) -> Array {
    let [_, _, padded, outputs] = g.weights();
    let mut w = Array::normal(&g.weights(), 1.0, seed);
    for (i, v) in w.data.iter_mut().enumerate() {
        if (i / outputs) % padded >= g.input[3] {
            *v = 0.0;
        }
    }
    w
}

/// See [`geometries`].
pub(super) fn cases() -> Vec<Case> {
    cases_of(|_| true, Array::clone)
}

/// Those of the cases that a special form can compute, with what `round` makes of the factors.
pub(super) fn cases_of(fits: fn(&Geometry) -> bool, round: fn(&Array) -> Array) -> Vec<Case> {
    geometries()
        .into_iter()
        .filter(fits)
        .map(|g| {
            let (x, w) = (round(&Array::normal(&g.input, 1.0, 1)), round(&weights(&g, 2)));
            let expected = reference(&x, &w, g.convolution);
            Case::new(named(&g), vec![x, w], expected, TOLERANCE, move |r, i, o, _| {
                record(r, &i[0], &i[1], g.convolution, &o[0])
            })
        })
        .collect()
}
