//! Host arrays in float64: what the twins read and write, and what the interpreter passes on.

use super::Shape;
use super::philox::{Sequence, Stream};

/// Logical (unpadded) row-major values. Integers are held as floats.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Logical sizes.
    pub shape: Shape,
    /// `shape.elements()` values.
    pub data: Vec<f64>,
}

impl Array {
    /// From values in row-major order; panics when their number does not fit.
    pub fn new(sizes: &[usize], data: Vec<f64>) -> Self {
        let shape = Shape::new(sizes);
        assert_eq!(shape.elements(), data.len(), "values for {shape}");
        Self { shape, data }
    }

    /// All `value`.
    pub fn full(sizes: &[usize], value: f64) -> Self {
        let shape = Shape::new(sizes);
        let data = vec![value; shape.elements()];
        Self { shape, data }
    }

    /// All zero.
    pub fn zeros(sizes: &[usize]) -> Self {
        Self::full(sizes, 0.0)
    }

    /// A single number.
    pub fn scalar(value: f64) -> Self {
        Self::full(&[1], value)
    }

    /// Normal values of the given standard deviation, exact in float32.
    pub fn normal(sizes: &[usize], scale: f64, seed: u64) -> Self {
        let mut sequence = Sequence::new(seed, Stream::Test, 0);
        Self::from_fn(sizes, |_| f64::from((f64::from(sequence.normal()) * scale) as f32))
    }

    /// Integers in [0, n).
    pub fn integers(sizes: &[usize], n: u32, seed: u64) -> Self {
        let mut sequence = Sequence::new(seed, Stream::Test, 1);
        Self::from_fn(sizes, |_| f64::from(sequence.below(n)))
    }

    /// One value for each flat index.
    pub fn from_fn(sizes: &[usize], f: impl FnMut(usize) -> f64) -> Self {
        let shape = Shape::new(sizes);
        let data = (0..shape.elements()).map(f).collect();
        Self { shape, data }
    }

    /// Sizes, outermost first.
    pub fn sizes(&self) -> &[usize] {
        self.shape.sizes()
    }

    /// The same shape with each value mapped.
    pub fn map(&self, f: impl FnMut(f64) -> f64) -> Self {
        Self { shape: self.shape.clone(), data: self.data.iter().copied().map(f).collect() }
    }

    /// Two arrays of one shape combined value by value.
    pub fn zip(&self, other: &Self, mut f: impl FnMut(f64, f64) -> f64) -> Self {
        assert_eq!(self.shape, other.shape);
        Self { shape: self.shape.clone(), data: self.data.iter().zip(&other.data).map(|(&a, &b)| f(a, b)).collect() }
    }

    /// The values as float32, logical order.
    pub fn to_f32(&self) -> Vec<f32> {
        self.data.iter().map(|&x| x as f32).collect()
    }
}
