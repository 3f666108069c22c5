//! `matmul(a, b)` with either factor transposed, and the three products of a linear layer, whose weight has padded rows.
//! Each is bilinear, and its derivatives are products of the same family.

use super::Example;
use super::conv2d::both;
use crate::base::shape::pad4;
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::matmul;

/// `A·B`, with `A` and `B` transposed or not. `rows` and `columns` are the answer's sizes where they differ from the
/// factors' by padding.
#[derive(Clone, Copy, Debug)]
struct MatMul {
    name: &'static str,
    transpose_a: bool,
    transpose_b: bool,
    rows: Option<usize>,
    columns: Option<usize>,
}

impl Graph {
    /// `A·B`, with `A` = `a` or its transpose, `B` = `b` or its transpose. Shapes: `A (M, K)`, `B (K, N)` → `(M, N)`.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn matmul(&mut self, a: NodeId, b: NodeId, transpose_a: bool, transpose_b: bool) -> Result<NodeId> {
        self.apply(MatMul { name: "matmul", transpose_a, transpose_b, rows: None, columns: None }, &[a, b])
    }

    /// A linear layer without its bias. Shapes: `x (R, D)`, `w [pad4(D), N]` → `(R, N)`; the rows of `w` past D have
    /// no effect.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn linear(&mut self, x: NodeId, w: NodeId) -> Result<NodeId> {
        self.padded(MatMul { name: "linear", transpose_a: false, transpose_b: false, rows: None, columns: None }, x, w)
    }

    /// The gradient of [`Graph::linear`] by its input of `d` features. Shapes: `dy (R, N)`, `w [pad4(D), N]` →
    /// `(R, D)`.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn linear_input_grad(&mut self, dy: NodeId, w: NodeId, d: usize) -> Result<NodeId> {
        let product =
            MatMul { name: "linear_input_grad", transpose_a: false, transpose_b: true, rows: None, columns: Some(d) };
        self.padded(product, dy, w)
    }

    /// The gradient of [`Graph::linear`] by its weights. Shapes: `x (R, D)`, `dy (R, N)` → `[pad4(D), N]`, zero in the
    /// rows past D.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn linear_weight_grad(&mut self, x: NodeId, dy: NodeId) -> Result<NodeId> {
        let rows = Some(pad4(self.shape(x).last()));
        let product = MatMul { name: "linear_weight_grad", transpose_a: true, transpose_b: false, rows, columns: None };
        self.padded(product, x, dy)
    }

    fn padded(&mut self, product: MatMul, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.apply(product, &[a, b])
    }
}

fn two(shape: &Shape) -> Result<[usize; 2]> {
    <[usize; 2]>::try_from(shape.sizes()).map_err(|_| Error::Shape(format!("a matrix expected, not {shape}")))
}

impl MatMul {
    /// The inner sizes of the plain product must be equal; those of a linear layer may differ by padding.
    fn check(&self, a: [usize; 2], b: [usize; 2], [m, k, n]: [usize; 3]) -> Result<()> {
        let inner = [if self.transpose_a { a[0] } else { a[1] }, if self.transpose_b { b[1] } else { b[0] }];
        let equal = if self.name == "linear" { inner[1] == pad4(k) && inner[0] == k } else { inner[0] == inner[1] };
        let fits = |wish: Option<usize>, have: usize| wish.is_none_or(|w| pad4(w) == pad4(have));
        if equal && fits(self.rows, m) && fits(self.columns, n) {
            return Ok(());
        }
        Err(Error::Shape(format!("{a:?} and {b:?} do not fit together as the factors of {}", self.name)))
    }

    fn out(&self, a: &Shape, b: &Shape) -> Result<[usize; 2]> {
        let (a, b) = (two(a)?, two(b)?);
        let sizes = matmul::sizes(a, b, self.transpose_a, self.transpose_b)?;
        self.check(a, b, sizes)?;
        Ok([self.rows.unwrap_or(sizes[0]), self.columns.unwrap_or(sizes[2])])
    }

    /// The product of the same family with other factors.
    fn again(&self, g: &mut Graph, a: NodeId, b: NodeId) -> Result<NodeId> {
        g.apply(*self, &[a, b])
    }
}

impl Operation for MatMul {
    fn name(&self) -> &'static str {
        self.name
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        Ok(Shape::new(&self.out(inputs[0], inputs[1])?))
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        matmul::record(recording, io.inputs[0], io.inputs[1], self.transpose_a, self.transpose_b, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        let out = self.out(&inputs[0].shape, &inputs[1].shape).expect("checked by the shape rule");
        matmul::reference(inputs[0], inputs[1], self.transpose_a, self.transpose_b, out)
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let (a, b) = (x[0], x[1]);
        let by_a = |g: &mut Graph| match self.name {
            "linear" => g.linear_input_grad(dy, b, g.shape(a).last()),
            "linear_input_grad" => g.linear(dy, b),
            "linear_weight_grad" => g.linear_input_grad(b, dy, g.shape(a).last()),
            _ if self.transpose_a => g.matmul(b, dy, self.transpose_b, true),
            _ => g.matmul(dy, b, false, !self.transpose_b),
        };
        let da = wanted[0].then(|| by_a(g)).transpose()?;
        let by_b = |g: &mut Graph| match self.name {
            "linear" => g.linear_weight_grad(a, dy),
            "linear_input_grad" => g.linear_weight_grad(dy, a),
            "linear_weight_grad" => g.linear(a, dy),
            _ if self.transpose_b => g.matmul(dy, a, true, self.transpose_a),
            _ => g.matmul(a, dy, !self.transpose_a, false),
        };
        let db = wanted[1].then(|| by_b(g)).transpose()?;
        Ok(vec![da, db])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        let by_a = t[0].map(|t| self.again(g, t, x[1])).transpose()?;
        let by_b = t[1].map(|t| self.again(g, x[0], t)).transpose()?;
        both(g, by_a, by_b)
    }
}

/// For the gradient checks: all transposes, and the linear layer's three products with 5 of 8 rows used.
pub fn examples() -> Vec<Example> {
    let values = |sizes: [usize; 2], seed| Array::normal(&sizes, 1.0, seed);
    let mut examples = Vec::new();
    for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
        let a = values(if ta { [6, 5] } else { [5, 6] }, 1);
        let b = values(if tb { [3, 6] } else { [6, 3] }, 2);
        examples.push(Example::new(format!("matmul {ta} {tb}"), vec![a, b], move |g, x| g.matmul(x[0], x[1], ta, tb)));
    }
    let (x, w, dy) = (values([7, 5], 3), values([8, 6], 4), values([7, 6], 5));
    examples.push(Example::new("linear", vec![x.clone(), w.clone()], |g, x| g.linear(x[0], x[1])));
    examples.push(Example::new("linear_input_grad", vec![dy.clone(), w], |g, x| g.linear_input_grad(x[0], x[1], 5)));
    examples.push(Example::new("linear_weight_grad", vec![x, dy], |g, x| g.linear_weight_grad(x[0], x[1])));
    examples
}
