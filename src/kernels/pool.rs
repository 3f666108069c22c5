//! What the pooling kernels share: the window, its shape rule, and its places on the host.

use crate::base::{Error, Result, Shape};
use crate::gpu::Tensor;

/// A square pooling window. The result has `⌊(H + 2·padding − kernel)/stride⌋ + 1` rows, as in PyTorch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Side of the window in pixels.
    pub kernel: usize,
    /// Distance between windows in pixels.
    pub stride: usize,
    /// Pixels added on each side; at most half a window, so that no window lies outside the image.
    pub padding: usize,
}

impl Pool {
    /// The result's shape: `x (R, H, W, C)` → `(R, OH, OW, C)`.
    ///
    /// # Errors
    /// When `x` is not an image tensor or the window does not fit.
    pub fn infer(&self, x: &Shape) -> Result<Shape> {
        let &[_, h, w, _] = x.sizes() else {
            return Err(Error::Shape(format!("pooling takes (R, H, W, C), not {x}")));
        };
        let Self { kernel, stride, padding } = *self;
        if kernel == 0 || stride == 0 || padding > kernel / 2 || h + 2 * padding < kernel || w + 2 * padding < kernel {
            return Err(Error::Shape(format!(
                "{self:?} does not fit {x}: kernel and stride at least 1, padding at most half a kernel, kernel at most \
                 the padded image"
            )));
        }
        Ok(self.pooled(x))
    }

    /// The result's shape for an `x` that [`Pool::infer`] has accepted.
    pub(super) fn pooled(&self, x: &Shape) -> Shape {
        let mut sizes = x.sizes().to_vec();
        for n in &mut sizes[1..3] {
            *n = (*n + 2 * self.padding - self.kernel) / self.stride + 1;
        }
        Shape::new(&sizes)
    }

    /// Checks that `y` is the result of pooling a tensor like `x`.
    ///
    /// # Errors
    /// When it is not; `what` names the kernel and the tensor.
    pub(super) fn expect(&self, what: &str, x: &Tensor, y: &Tensor) -> Result<()> {
        y.expect(what, self.infer(&x.shape)?.sizes())
    }

    /// Calls `visit(result, [(place in the window, input), …])` with flat indices for every element of the result, the
    /// inputs in order of rows and columns, padding left out.
    pub(super) fn windows(&self, x: &Shape, y: &Shape, mut visit: impl FnMut(usize, &[(usize, usize)])) {
        let (&[_, h, w, c], &[r, oh, ow, _]) = (x.sizes(), y.sizes()) else { return };
        let mut places = Vec::new();
        for to in 0..r * oh * ow * c {
            let (image, i, j, channel) = (to / (oh * ow * c), to / (ow * c) % oh, to / c % ow, to % c);
            places.clear();
            for k in 0..self.kernel * self.kernel {
                let row = (i * self.stride + k / self.kernel).checked_sub(self.padding).filter(|&p| p < h);
                let column = (j * self.stride + k % self.kernel).checked_sub(self.padding).filter(|&p| p < w);
                if let (Some(row), Some(column)) = (row, column) {
                    places.push((k, ((image * h + row) * w + column) * c + channel));
                }
            }
            visit(to, &places);
        }
    }
}

/// Windows and sizes that the pooling cases share: one pixel, ResNet's, no overlap, gaps, odd sizes, more than a group.
pub(super) fn cases() -> [(Pool, [usize; 4]); 7] {
    let pool = |kernel, stride, padding| Pool { kernel, stride, padding };
    [
        (pool(1, 1, 0), [1, 2, 1, 3]),
        (pool(3, 2, 1), [2, 5, 4, 5]),
        (pool(2, 2, 0), [2, 4, 7, 9]),
        (pool(2, 3, 1), [1, 7, 8, 2]),
        (pool(3, 1, 1), [2, 3, 6, 4]),
        (pool(5, 2, 2), [1, 6, 9, 3]),
        (pool(3, 2, 1), [2, 28, 28, 16]),
    ]
}
