//! Shapes of device tensors: logical sizes, and the physical layout that all of them share.

use std::fmt;

/// Rounds up to a multiple of four: the stride of a tensor's last dimension.
pub const fn pad4(n: usize) -> usize {
    n.div_ceil(4) * 4
}

/// Element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 16-bit float: how feature maps are kept in half precision; kernels compute with 32-bit floats.
    F16,
    /// 32-bit unsigned integer (labels, counters, packed bytes).
    U32,
}

impl DType {
    /// Size of an element in bytes.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::F16 => 2,
        }
    }
}

/// Logical sizes, outermost first (activations are NHWC: `[R, H, W, C]`).
///
/// Physical layout: row-major, with the last dimension padded to a multiple of four so that every load can be a
/// `vec4`. The pad lanes of every float tensor hold zero; kernels rely on it and keep it so.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// A shape of one to four sizes, each at least 1.
    pub fn new(sizes: &[usize]) -> Self {
        assert!(!sizes.is_empty() && sizes.len() <= 4, "a shape has 1 to 4 sizes, not {sizes:?}");
        assert!(sizes.iter().all(|&n| n > 0), "a size is at least 1: {sizes:?}");
        Self(sizes.to_vec())
    }

    /// The shape of a single number.
    pub fn scalar() -> Self {
        Self(vec![1])
    }

    /// Sizes, outermost first.
    pub fn sizes(&self) -> &[usize] {
        &self.0
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Size of the last (innermost) dimension.
    pub fn last(&self) -> usize {
        self.0[self.0.len() - 1]
    }

    /// Product of all sizes but the last.
    pub fn rows(&self) -> usize {
        self.0[..self.0.len() - 1].iter().product()
    }

    /// Logical number of elements.
    pub fn elements(&self) -> usize {
        self.rows() * self.last()
    }

    /// Physical distance between two rows, in elements.
    pub fn stride(&self) -> usize {
        pad4(self.last())
    }

    /// Physical number of elements, pads included.
    pub fn physical(&self) -> usize {
        self.rows() * self.stride()
    }

    /// Physical size in bytes of elements of a type.
    pub fn bytes_of(&self, dtype: DType) -> u64 {
        self.physical() as u64 * dtype.bytes()
    }

    /// Physical size in bytes of elements of four bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes_of(DType::F32)
    }

    /// Copies logical row-major values into the padded physical layout.
    pub fn pad<T: Copy + Default>(&self, logical: &[T]) -> Vec<T> {
        assert_eq!(logical.len(), self.elements(), "values for {self}");
        let mut out = vec![T::default(); self.physical()];
        for (to, from) in out.chunks_exact_mut(self.stride()).zip(logical.chunks_exact(self.last())) {
            to[..from.len()].copy_from_slice(from);
        }
        out
    }

    /// The inverse of [`Shape::pad`].
    pub fn unpad<T: Copy>(&self, physical: &[T]) -> Vec<T> {
        assert_eq!(physical.len(), self.physical(), "physical values for {self}");
        physical.chunks_exact(self.stride()).flat_map(|row| row[..self.last()].iter().copied()).collect()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(")?;
        for (i, n) in self.0.iter().enumerate() {
            write!(f, "{}{n}", if i > 0 { ", " } else { "" })?;
        }
        write!(f, ")")
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
