//! `flatten(x)`: each image's pixels and channels as one row, in NHWC order, and its inverse.

use super::{Example, single};
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::copy;

#[derive(Debug)]
struct Flatten;

#[derive(Debug)]
struct Unflatten {
    image: [usize; 3],
}

impl Graph {
    /// `torch.flatten(x, 1)`, but with the channels innermost (PyTorch's order is channels, rows, columns).
    /// Shapes: `x (R, H, W, C)` → `(R, H·W·C)`.
    ///
    /// # Errors
    /// When `x` is not an image tensor, or C is not a multiple of four (its rows would not be contiguous).
    pub fn flatten(&mut self, x: NodeId) -> Result<NodeId> {
        self.apply(Flatten, &[x])
    }

    /// The inverse of [`Graph::flatten`]. Shapes: `y (R, H·W·C)` → `(R, H, W, C)` with `image = [H, W, C]`.
    ///
    /// # Errors
    /// When the sizes do not fit, or C is not a multiple of four.
    pub fn unflatten(&mut self, y: NodeId, image: [usize; 3]) -> Result<NodeId> {
        self.apply(Unflatten { image }, &[y])
    }
}

/// Both tensors hold the same bytes: a copy through a window of the image tensor's shape.
fn contiguous(channels: usize) -> Result<()> {
    if !channels.is_multiple_of(4) {
        return Err(Error::Shape(format!("{channels} channels; a multiple of four is needed to flatten")));
    }
    Ok(())
}

impl Operation for Flatten {
    fn name(&self) -> &'static str {
        "flatten"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let &[r, h, w, c] = inputs[0].sizes() else {
            return Err(Error::Shape(format!("takes (R, H, W, C), not {}", inputs[0])));
        };
        contiguous(c)?;
        Ok(Shape::new(&[r, h * w * c]))
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        copy::record(recording, io.inputs[0], &io.output.window(0, io.inputs[0].shape.clone()))
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        let rows = inputs[0].sizes()[0];
        Array::new(&[rows, inputs[0].data.len() / rows], inputs[0].data.clone())
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let sizes = g.shape(x[0]).sizes();
        let image = [sizes[1], sizes[2], sizes[3]];
        Ok(single(g.unflatten(dy, image)?))
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.flatten(t)).transpose()
    }
}

impl Operation for Unflatten {
    fn name(&self) -> &'static str {
        "unflatten"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [h, w, c] = self.image;
        contiguous(c)?;
        match *inputs[0].sizes() {
            [r, d] if d == h * w * c && d > 0 => Ok(Shape::new(&[r, h, w, c])),
            _ => Err(Error::Shape(format!("{} is not (R, {h}·{w}·{c})", inputs[0]))),
        }
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        copy::record(recording, &io.inputs[0].window(0, io.output.shape.clone()), io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        let [h, w, c] = self.image;
        Array::new(&[inputs[0].sizes()[0], h, w, c], inputs[0].data.clone())
    }

    fn vjp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(single(g.flatten(dy)?))
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.unflatten(t, self.image)).transpose()
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    vec![
        Example::new("flatten", vec![Array::normal(&[2, 3, 5, 8], 1.0, 1)], |g, x| g.flatten(x[0])),
        Example::new("unflatten", vec![Array::normal(&[3, 24], 1.0, 2)], |g, x| g.unflatten(x[0], [2, 3, 4])),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut g = Graph::new();
        let odd = g.parameter("odd", &[2, 3, 3, 6]);
        let matrix = g.parameter("matrix", &[2, 24]);
        assert!(g.flatten(odd).expect_err("six channels").to_string().contains("6 channels"));
        assert!(g.flatten(matrix).is_err());
        assert!(g.unflatten(matrix, [2, 2, 4]).is_err());
        assert!(g.unflatten(matrix, [2, 2, 6]).is_err());
        assert!(g.unflatten(matrix, [3, 2, 4]).is_ok());
    }
}
