//! `conv2d(x, w)`, its gradient by the input and its gradient by the weights: each is bilinear, and the derivatives of
//! each are the other two.

use super::Example;
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::conv2d::{self, Geometry};
use crate::kernels::{conv2d_input_grad, conv2d_weight_grad};

pub use crate::kernels::conv2d::Convolution;

#[derive(Debug)]
struct Conv2d {
    convolution: Convolution,
}

#[derive(Debug)]
struct Conv2dInputGrad {
    convolution: Convolution,
    input: [usize; 4],
}

#[derive(Debug)]
pub(in crate::graph) struct Conv2dWeightGrad {
    convolution: Convolution,
    kernel: [usize; 2],
}

impl Graph {
    /// Convolution. Shapes: `x (R, H, W, C)`, `w [kh, kw, pad4(C), Cout]` → `(R, OH, OW, Cout)`; the rows of `w` past
    /// C must be zero.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn conv2d(&mut self, x: NodeId, w: NodeId, convolution: Convolution) -> Result<NodeId> {
        self.apply(Conv2d { convolution }, &[x, w])
    }

    /// The gradient of [`Graph::conv2d`] by an input of sizes `input` = `[R, H, W, C]`. Shapes:
    /// `dy (R, OH, OW, Cout)`, `w [kh, kw, pad4(C), Cout]` → `(R, H, W, C)`.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn conv2d_input_grad(
        &mut self,
        dy: NodeId,
        w: NodeId,
        convolution: Convolution,
        input: [usize; 4],
    ) -> Result<NodeId> {
        self.apply(Conv2dInputGrad { convolution, input }, &[dy, w])
    }

    /// The gradient of [`Graph::conv2d`] by weights of kernel sizes `kernel` = `[kh, kw]`. Shapes: `x (R, H, W, C)`,
    /// `dy (R, OH, OW, Cout)` → `[kh, kw, pad4(C), Cout]`, zero in the rows past C.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn conv2d_weight_grad(
        &mut self,
        x: NodeId,
        dy: NodeId,
        convolution: Convolution,
        kernel: [usize; 2],
    ) -> Result<NodeId> {
        self.apply(Conv2dWeightGrad { convolution, kernel }, &[x, dy])
    }
}

fn four(shape: &Shape, what: &str) -> Result<[usize; 4]> {
    <[usize; 4]>::try_from(shape.sizes()).map_err(|_| Error::Shape(format!("{what} expected, not {shape}")))
}

fn kernel(shape: &Shape) -> Result<[usize; 2]> {
    four(shape, "w [kh, kw, pad4(C), Cout]").map(|s| [s[0], s[1]])
}

fn fits(what: &str, seen: &Shape, expected: &[usize]) -> Result<()> {
    if seen.sizes() == expected {
        return Ok(());
    }
    Err(Error::Shape(format!("{what}: expected {}, got {seen}", Shape::new(expected))))
}

/// The sum of the two terms of a bilinear form's tangent.
pub(super) fn both(g: &mut Graph, left: Option<NodeId>, right: Option<NodeId>) -> Result<Option<NodeId>> {
    match (left, right) {
        (Some(a), Some(b)) => g.add(a, b).map(Some),
        (one, other) => Ok(one.or(other)),
    }
}

impl Operation for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let x = four(inputs[0], "x (R, H, W, C)")?;
        let geometry = Geometry::new(x, kernel(inputs[1])?, inputs[1].last(), self.convolution)?;
        fits("w [kh, kw, pad4(C), Cout]", inputs[1], &geometry.weights())?;
        Ok(Shape::new(&geometry.output))
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        conv2d::record(recording, io.inputs[0], io.inputs[1], self.convolution, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        conv2d::reference(inputs[0], inputs[1], self.convolution)
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let input = four(g.shape(x[0]), "x (R, H, W, C)")?;
        let kernel = kernel(g.shape(x[1]))?;
        Ok(vec![
            wanted[0].then(|| g.conv2d_input_grad(dy, x[1], self.convolution, input)).transpose()?,
            wanted[1].then(|| g.conv2d_weight_grad(x[0], dy, self.convolution, kernel)).transpose()?,
        ])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        let by_x = t[0].map(|t| g.conv2d(t, x[1], self.convolution)).transpose()?;
        let by_w = t[1].map(|t| g.conv2d(x[0], t, self.convolution)).transpose()?;
        both(g, by_x, by_w)
    }
}

impl Operation for Conv2dInputGrad {
    fn name(&self) -> &'static str {
        "conv2d_input_grad"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let geometry = Geometry::new(self.input, kernel(inputs[1])?, inputs[1].last(), self.convolution)?;
        fits("w [kh, kw, pad4(C), Cout]", inputs[1], &geometry.weights())?;
        fits("dy (R, OH, OW, Cout)", inputs[0], &geometry.output)?;
        Ok(Shape::new(&self.input))
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        conv2d_input_grad::record(recording, io.inputs[0], io.inputs[1], self.convolution, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        conv2d_input_grad::reference(inputs[0], inputs[1], self.convolution, self.input)
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let kernel = kernel(g.shape(x[1]))?;
        Ok(vec![
            wanted[0].then(|| g.conv2d(dy, x[1], self.convolution)).transpose()?,
            wanted[1].then(|| g.conv2d_weight_grad(dy, x[0], self.convolution, kernel)).transpose()?,
        ])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        let by_dy = t[0].map(|t| g.conv2d_input_grad(t, x[1], self.convolution, self.input)).transpose()?;
        let by_w = t[1].map(|t| g.conv2d_input_grad(x[0], t, self.convolution, self.input)).transpose()?;
        both(g, by_dy, by_w)
    }
}

impl Conv2dWeightGrad {
    fn geometry(&self, inputs: &[&Shape]) -> Result<Geometry> {
        let x = four(inputs[0], "x (R, H, W, C)")?;
        let geometry = Geometry::new(x, self.kernel, inputs[1].last(), self.convolution)?;
        fits("dy (R, OH, OW, Cout)", inputs[1], &geometry.output)?;
        Ok(geometry)
    }
}

impl Operation for Conv2dWeightGrad {
    fn name(&self) -> &'static str {
        "conv2d_weight_grad"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        Ok(Shape::new(&self.geometry(inputs)?.weights()))
    }

    fn scratch(&self, inputs: &[&Shape], _: &Shape) -> Vec<Shape> {
        self.geometry(inputs).map(|g| conv2d_weight_grad::scratch(&g)).into_iter().collect()
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        let [x, dy] = [io.inputs[0], io.inputs[1]];
        conv2d_weight_grad::record(recording, x, dy, self.convolution, io.scratch[0], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        conv2d_weight_grad::reference(inputs[0], inputs[1], self.convolution, self.kernel)
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dw: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let input = four(g.shape(x[0]), "x (R, H, W, C)")?;
        Ok(vec![
            wanted[0].then(|| g.conv2d_input_grad(x[1], dw, self.convolution, input)).transpose()?,
            wanted[1].then(|| g.conv2d(x[0], dw, self.convolution)).transpose()?,
        ])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        let by_x = t[0].map(|t| g.conv2d_weight_grad(t, x[1], self.convolution, self.kernel)).transpose()?;
        let by_dy = t[1].map(|t| g.conv2d_weight_grad(x[0], t, self.convolution, self.kernel)).transpose()?;
        both(g, by_x, by_dy)
    }
}

/// For the gradient checks: a stride of 1 with a border, a stride of 2 that leaves a rest, a 1 x 2 kernel; channels
/// that need padding, whose weight rows are not zero here: they must have no effect and no gradient.
pub fn examples() -> Vec<Example> {
    // R, H, W, C, kh, kw, Cout, stride, padding.
    let table = [[2, 4, 3, 3, 3, 3, 5, 1, 1], [2, 5, 6, 4, 3, 3, 3, 2, 1], [1, 3, 4, 5, 1, 2, 4, 1, 0]];
    let mut examples = Vec::new();
    for row in table {
        let g = conv2d::of_row(row);
        let Geometry { input, kernel, convolution, .. } = g;
        let values = |sizes: [usize; 4], seed| Array::normal(&sizes, 1.0, seed);
        let (x, w, dy) = (values(g.input, 1), values(g.weights(), 2), values(g.output, 3));
        let label = |name: &str| format!("{name} {input:?} by {kernel:?} {convolution:?}");
        examples.push(Example::new(label("conv2d"), vec![x.clone(), w.clone()], move |g, n| {
            g.conv2d(n[0], n[1], convolution)
        }));
        examples.push(Example::new(label("conv2d_input_grad"), vec![dy.clone(), w], move |g, n| {
            g.conv2d_input_grad(n[0], n[1], convolution, input)
        }));
        examples.push(Example::new(label("conv2d_weight_grad"), vec![x, dy], move |g, n| {
            g.conv2d_weight_grad(n[0], n[1], convolution, kernel)
        }));
    }
    examples
}
