//! Row-wise products: `row_dot(a, b)[r] = Σ_n a[r, n]·b[r, n]` and `row_scale(s, x)[r, n] = s[r]·x[r, n]`; the rules
//! of each are the other.

use super::Example;
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::{row_dot, row_scale};

#[derive(Debug)]
struct RowDot;

#[derive(Debug)]
struct RowScale;

impl Graph {
    /// Inner products of rows. Shapes: `(R, N)`, `(R, N)` → `(R)`.
    pub fn row_dot(&mut self, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.apply(RowDot, &[a, b])
    }

    /// Each row times its own factor. Shapes: `(R)`, `(R, N)` → `(R, N)`.
    pub fn row_scale(&mut self, factors: NodeId, x: NodeId) -> Result<NodeId> {
        self.apply(RowScale, &[factors, x])
    }

    /// Sums of rows. Shapes: `(R, N)` → `(R)`.
    pub(super) fn row_sum(&mut self, x: NodeId) -> Result<NodeId> {
        let sizes = self.shape(x).sizes().to_vec();
        let ones = self.constant(&sizes, 1.0);
        self.row_dot(x, ones)
    }

    /// The sum of the terms that are there.
    pub(super) fn sum_of_terms<const N: usize>(&mut self, terms: [Option<NodeId>; N]) -> Result<Option<NodeId>> {
        let mut sum = None;
        for term in terms.into_iter().flatten() {
            sum = Some(match sum {
                None => term,
                Some(sum) => self.add(sum, term)?,
            });
        }
        Ok(sum)
    }
}

/// Rows and columns of a matrix.
pub(super) fn matrix(what: &str, shape: &Shape) -> Result<[usize; 2]> {
    match shape.sizes() {
        &[rows, columns] => Ok([rows, columns]),
        _ => Err(Error::Shape(format!("{what} {shape} is not a matrix"))),
    }
}

/// Refuses a shape that is not the one expected.
pub(super) fn expect(what: &str, shape: &Shape, sizes: &[usize]) -> Result<()> {
    if shape.sizes() == sizes {
        return Ok(());
    }
    Err(Error::Shape(format!("{what} is {shape}, expected {}", Shape::new(sizes))))
}

impl Operation for RowDot {
    fn name(&self) -> &'static str {
        "row_dot"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let sizes = matrix("a", inputs[0])?;
        expect("b", inputs[1], &sizes)?;
        Ok(Shape::new(&sizes[..1]))
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        row_dot::record(recording, io.inputs[0], io.inputs[1], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        row_dot::reference(inputs[0], inputs[1])
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![
            wanted[0].then(|| g.row_scale(dy, x[1])).transpose()?,
            wanted[1].then(|| g.row_scale(dy, x[0])).transpose()?,
        ])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        let left = t[0].map(|t| g.row_dot(t, x[1])).transpose()?;
        let right = t[1].map(|t| g.row_dot(x[0], t)).transpose()?;
        g.sum_of_terms([left, right])
    }
}

impl Operation for RowScale {
    fn name(&self) -> &'static str {
        "row_scale"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [rows, _] = matrix("x", inputs[1])?;
        expect("factors", inputs[0], &[rows])?;
        Ok(inputs[1].clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        row_scale::record(recording, io.inputs[0], io.inputs[1], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        row_scale::reference(inputs[0], inputs[1])
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![
            wanted[0].then(|| g.row_dot(x[1], dy)).transpose()?,
            wanted[1].then(|| g.row_scale(x[0], dy)).transpose()?,
        ])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        let left = t[0].map(|t| g.row_scale(t, x[1])).transpose()?;
        let right = t[1].map(|t| g.row_scale(x[0], t)).transpose()?;
        g.sum_of_terms([left, right])
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    let mut all = Vec::new();
    for sizes in [[1, 3], [5, 7], [4, 8]] {
        let x = move |seed| Array::normal(&sizes, 1.0, seed);
        all.push(Example::new(format!("row_dot {sizes:?}"), vec![x(1), x(2)], |g, x| g.row_dot(x[0], x[1])));
        let factors = Array::normal(&sizes[..1], 1.0, 3);
        all.push(Example::new(format!("row_scale {sizes:?}"), vec![factors, x(4)], |g, x| g.row_scale(x[0], x[1])));
    }
    all
}
