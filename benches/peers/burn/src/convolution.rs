//! The convolutions that are timed, and what their answers should be.

/// A convolution of square NCHW images by OIHW weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    /// Network and sizes, as `relabel bench` writes them.
    pub text: String,
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
    /// Height and width of the window.
    pub kernel: usize,
    /// Zeros around the image.
    pub padding: usize,
    /// Whether the gradient by the input is wanted.
    pub input_gradient: bool,
}

impl Convolution {
    /// That of a shape such as `ResNet-18 4x224x224x3 to 64, stride 2, 7x7` or with `, border 2` after it; none when it is
    /// another. The input's gradient is not wanted yet.
    pub fn parse(text: &str) -> Option<Self> {
        let (sizes, rest) = text.split_once(" to ")?;
        let sizes: Vec<usize> = sizes.rsplit(' ').next()?.split('x').map_while(|size| size.parse().ok()).collect();
        let &[rows, size, width, input] = &sizes[..] else { return None };
        let mut rest = rest.split(", ");
        let output = rest.next()?.parse().ok()?;
        let stride = rest.next()?.strip_prefix("stride ")?.parse().ok()?;
        let (mut kernel, mut padding) = (3, None);
        for part in rest {
            match part.strip_prefix("border ") {
                Some(border) => padding = Some(border.parse().ok()?),
                None => kernel = part.split('x').next()?.parse().ok()?,
            }
        }
        let padding = padding.unwrap_or(kernel / 2);
        (size == width).then(|| Self {
            text: text.into(),
            rows,
            size,
            input,
            output,
            stride,
            kernel,
            padding,
            input_gradient: false,
        })
    }

    /// Height and width of an output image.
    pub fn out(&self) -> usize {
        (self.size + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// `[rows, input, size, size]`.
    pub fn input_shape(&self) -> [usize; 4] {
        [self.rows, self.input, self.size, self.size]
    }

    /// `[output, input, kernel, kernel]`.
    pub fn weight_shape(&self) -> [usize; 4] {
        [self.output, self.input, self.kernel, self.kernel]
    }

    /// `[rows, output, out, out]`.
    pub fn output_shape(&self) -> [usize; 4] {
        [self.rows, self.output, self.out(), self.out()]
    }

    /// Products that are summed for a value of the output, of the gradient by the input (at most), and of that by the weight.
    pub fn terms(&self) -> [usize; 3] {
        let window = self.kernel * self.kernel;
        [window * self.input, window * self.output, self.rows * self.out() * self.out()]
    }

    /// Operations of one of the three directions, border taps included.
    pub fn flops(&self) -> f64 {
        2.0 * (self.output_shape().iter().product::<usize>() * self.terms()[0]) as f64
    }

    /// One output in float64, by the definition.
    pub fn forward(&self, x: &[f32], weight: &[f32], position: usize) -> f64 {
        let [n, co, oy, ox] = indices(position, self.output_shape());
        let mut sum = 0.0;
        for ky in 0..self.kernel {
            let Some(iy) = self.read(oy, ky) else { continue };
            for kx in 0..self.kernel {
                let Some(ix) = self.read(ox, kx) else { continue };
                for ci in 0..self.input {
                    sum += f64::from(x[flat([n, ci, iy, ix], self.input_shape())])
                        * f64::from(weight[flat([co, ci, ky, kx], self.weight_shape())]);
                }
            }
        }
        sum
    }

    /// One value of the gradient by the input in float64, of `gradient` by the output.
    pub fn input_gradient(&self, weight: &[f32], gradient: &[f32], position: usize) -> f64 {
        let [n, ci, iy, ix] = indices(position, self.input_shape());
        let mut sum = 0.0;
        for ky in 0..self.kernel {
            let Some(oy) = self.written(iy, ky) else { continue };
            for kx in 0..self.kernel {
                let Some(ox) = self.written(ix, kx) else { continue };
                for co in 0..self.output {
                    sum += f64::from(gradient[flat([n, co, oy, ox], self.output_shape())])
                        * f64::from(weight[flat([co, ci, ky, kx], self.weight_shape())]);
                }
            }
        }
        sum
    }

    /// One value of the gradient by the weight in float64, of `gradient` by the output.
    pub fn weight_gradient(&self, x: &[f32], gradient: &[f32], position: usize) -> f64 {
        let [co, ci, ky, kx] = indices(position, self.weight_shape());
        let mut sum = 0.0;
        for n in 0..self.rows {
            for oy in 0..self.out() {
                let Some(iy) = self.read(oy, ky) else { continue };
                for ox in 0..self.out() {
                    let Some(ix) = self.read(ox, kx) else { continue };
                    sum += f64::from(gradient[flat([n, co, oy, ox], self.output_shape())])
                        * f64::from(x[flat([n, ci, iy, ix], self.input_shape())]);
                }
            }
        }
        sum
    }

    /// Where an output reads through a tap; none outside the image.
    fn read(&self, output: usize, tap: usize) -> Option<usize> {
        (output * self.stride + tap).checked_sub(self.padding).filter(|input| *input < self.size)
    }

    /// The output that reads a pixel through a tap; none when there is none.
    fn written(&self, input: usize, tap: usize) -> Option<usize> {
        let from = (input + self.padding).checked_sub(tap).filter(|from| from % self.stride == 0)?;
        Some(from / self.stride).filter(|output| *output < self.out())
    }
}

/// Place of an element of a tensor of `shape` in memory.
fn flat(index: [usize; 4], shape: [usize; 4]) -> usize {
    index.iter().zip(shape).fold(0, |place, (index, size)| place * size + index)
}

/// The inverse of `flat`.
fn indices(mut place: usize, shape: [usize; 4]) -> [usize; 4] {
    let mut index = [0; 4];
    for axis in (0..4).rev() {
        index[axis] = place % shape[axis];
        place /= shape[axis];
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::uniform;

    #[test]
    fn sizes_are_read_from_words() {
        let of = |text| Convolution::parse(text).expect("a convolution");
        let stem = of("AlexNet 4x224x224x3 to 96, stride 4, 11x11, border 2");
        assert_eq!([stem.kernel, stem.padding, stem.out()], [11, 2, 55]);
        let stem = of("ResNet-18 4x224x224x3 to 64, stride 2, 7x7");
        assert_eq!([stem.kernel, stem.padding, stem.out()], [7, 3, 112]);
        let projection = of("ResNet-18 4x56x56x64 to 128, stride 2, 1x1");
        assert_eq!([projection.kernel, projection.padding, projection.out()], [1, 0, 28]);
        assert_eq!(of("demo 128x7x7x32 to 64, stride 2").output_shape(), [128, 64, 4, 4]);
        assert_eq!(Convolution::parse("demo 128x128 to 40"), None);
    }

    /// ⟨g, conv(x, w)⟩ is ⟨input_gradient(w, g), x⟩ and ⟨weight_gradient(x, g), w⟩.
    #[test]
    fn gradients_are_the_adjoints() {
        for text in
            ["n 2x5x5x3 to 4, stride 2", "n 1x9x9x2 to 3, stride 4, 5x5, border 1", "n 2x6x6x2 to 3, stride 2, 1x1"]
        {
            let shape = Convolution::parse(text).expect("a convolution");
            let count = |shape: [usize; 4]| shape.iter().product::<usize>();
            let [x, w] = [uniform(count(shape.input_shape()), 1), uniform(count(shape.weight_shape()), 2)];
            let g = uniform(count(shape.output_shape()), 3);
            let inner = |values: &[f32], at: &dyn Fn(usize) -> f64| -> f64 {
                values.iter().enumerate().map(|(i, v)| f64::from(*v) * at(i)).sum()
            };
            let forward = inner(&g, &|i| shape.forward(&x, &w, i));
            let by_input = inner(&x, &|i| shape.input_gradient(&w, &g, i));
            let by_weight = inner(&w, &|i| shape.weight_gradient(&x, &g, i));
            assert!((forward - by_input).abs() < 1e-12 && (forward - by_weight).abs() < 1e-12, "{text}");
            assert!(forward.abs() > 1e-3, "{text}");
        }
    }
}
