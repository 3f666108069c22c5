//! The convolutions that are timed, and what their answers should be.

/// A 3×3 convolution of NCHW images by OIHW weights, padding 1.
#[derive(Clone, Copy, Debug)]
pub struct Convolution {
    /// Whose layer it is.
    pub network: &'static str,
    /// Images.
    pub rows: usize,
    /// Height and width of an image.
    pub size: usize,
    /// Channels read.
    pub input: usize,
    /// Channels written.
    pub output: usize,
    /// Step of the window.
    pub stride: usize,
}

/// Height and width of the window.
pub const KERNEL: usize = 3;
/// Zeros around the image.
pub const PADDING: usize = 1;

/// ResNet-32's three stages, then the demo network's layers, at so many rows each.
pub fn shapes([rows, demo]: [usize; 2]) -> [Convolution; 7] {
    let layer = |network, rows, size, input, output, stride| Convolution { network, rows, size, input, output, stride };
    [
        layer("ResNet-32", rows, 32, 16, 16, 1),
        layer("ResNet-32", rows, 16, 32, 32, 1),
        layer("ResNet-32", rows, 8, 64, 64, 1),
        layer("demo", demo, 28, 1, 16, 2),
        layer("demo", demo, 14, 16, 32, 2),
        layer("demo", demo, 7, 32, 64, 2),
        layer("demo", demo, 4, 64, 128, 2),
    ]
}

impl Convolution {
    /// Height and width of an output image.
    pub fn out(&self) -> usize {
        (self.size + 2 * PADDING - KERNEL) / self.stride + 1
    }

    /// `[rows, input, size, size]`.
    pub fn input_shape(&self) -> [usize; 4] {
        [self.rows, self.input, self.size, self.size]
    }

    /// `[output, input, 3, 3]`.
    pub fn weight_shape(&self) -> [usize; 4] {
        [self.output, self.input, KERNEL, KERNEL]
    }

    /// `[rows, output, out, out]`.
    pub fn output_shape(&self) -> [usize; 4] {
        [self.rows, self.output, self.out(), self.out()]
    }

    /// Operations of one of the three directions, border taps included.
    pub fn flops(&self) -> f64 {
        2.0 * (self.rows * self.out() * self.out() * self.output * self.input * KERNEL * KERNEL) as f64
    }

    /// Network, `RxHxWxC to N, stride S`: as `relabel bench` writes it.
    pub fn text(&self) -> String {
        let Self { network, rows, size, input, output, stride } = self;
        format!("{network} {rows}x{size}x{size}x{input} to {output}, stride {stride}")
    }

    /// Outputs in float64, by the definition.
    pub fn forward(&self, x: &[f32], weight: &[f32]) -> Vec<f64> {
        let mut y = vec![0.0; self.output_shape().iter().product()];
        self.taps(|o, i, k| y[o] += f64::from(x[i]) * f64::from(weight[k]));
        y
    }

    /// Gradient by the input in float64, of `gradient` by the output.
    pub fn input_gradient(&self, weight: &[f32], gradient: &[f32]) -> Vec<f64> {
        let mut dx = vec![0.0; self.input_shape().iter().product()];
        self.taps(|o, i, k| dx[i] += f64::from(gradient[o]) * f64::from(weight[k]));
        dx
    }

    /// Gradient by the weight in float64, of `gradient` by the output.
    pub fn weight_gradient(&self, x: &[f32], gradient: &[f32]) -> Vec<f64> {
        let mut dw = vec![0.0; self.weight_shape().iter().product()];
        self.taps(|o, i, k| dw[k] += f64::from(gradient[o]) * f64::from(x[i]));
        dw
    }

    /// Every (output, input, weight) index triple that is multiplied and summed.
    fn taps(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let (size, out) = (self.size, self.out());
        // Input coordinate of an output coordinate and a tap; none on the border.
        let at = |o: usize, k: usize| (o * self.stride + k).checked_sub(PADDING).filter(|i| *i < size);
        for n in 0..self.rows {
            for co in 0..self.output {
                for ci in 0..self.input {
                    for (ky, kx) in (0..KERNEL * KERNEL).map(|k| (k / KERNEL, k % KERNEL)) {
                        let k = ((co * self.input + ci) * KERNEL + ky) * KERNEL + kx;
                        for oy in 0..out {
                            let Some(iy) = at(oy, ky) else { continue };
                            let row = ((n * self.input + ci) * size + iy) * size;
                            let target = ((n * self.output + co) * out + oy) * out;
                            for ox in 0..out {
                                if let Some(ix) = at(ox, kx) {
                                    visit(target + ox, row + ix, k);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
