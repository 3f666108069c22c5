//! A device tensor: a window of a buffer, with its shape.

use crate::base::{DType, Error, Result, Shape};

/// A typed window of a device buffer. Cloning clones the handle, not the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// The buffer that holds it.
    pub buffer: wgpu::Buffer,
    /// First byte; a multiple of 256.
    pub offset: u64,
    /// Logical sizes; the physical layout is [`Shape`]'s.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
}

impl Tensor {
    /// Physical size in bytes.
    pub fn bytes(&self) -> u64 {
        self.shape.bytes_of(self.dtype)
    }

    /// A window of the same buffer with another shape, `offset` bytes (a multiple of 256) further on.
    pub fn window(&self, offset: u64, shape: Shape) -> Self {
        assert!(offset.is_multiple_of(256), "a binding may not begin at {offset}");
        assert!(offset + shape.bytes_of(self.dtype) <= self.bytes(), "window outside {}", self.shape);
        Self { buffer: self.buffer.clone(), offset: self.offset + offset, shape, dtype: self.dtype }
    }

    /// Sizes of a matrix `(rows, columns)`.
    ///
    /// # Errors
    /// When the rank is not 2; `what` names the kernel and the tensor.
    pub fn matrix(&self, what: &str) -> Result<[usize; 2]> {
        match self.shape.sizes() {
            &[a, b] => Ok([a, b]),
            _ => Err(Error::Shape(format!("{what}: expected a matrix, got {}", self.shape))),
        }
    }

    /// Sizes of an image tensor `(R, H, W, C)`.
    ///
    /// # Errors
    /// When the rank is not 4; `what` names the kernel and the tensor.
    pub fn image(&self, what: &str) -> Result<[usize; 4]> {
        match self.shape.sizes() {
            &[r, h, w, c] => Ok([r, h, w, c]),
            _ => Err(Error::Shape(format!("{what}: expected (R, H, W, C), got {}", self.shape))),
        }
    }

    /// Checks the logical sizes.
    ///
    /// # Errors
    /// When they differ; `what` names the kernel and the tensor.
    pub fn expect(&self, what: &str, sizes: &[usize]) -> Result<()> {
        if self.shape.sizes() == sizes {
            return Ok(());
        }
        Err(Error::Shape(format!("{what}: expected {}, got {}", Shape::new(sizes), self.shape)))
    }
}
