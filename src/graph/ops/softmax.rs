//! `softmax(x)` and `log_softmax(x)` over the last dimension, and the family of their derivatives, which is closed:
//! with `p` the softmax and `⟨·,·⟩` a row's inner product,
//!
//! - softmax, both ways: `p ⊙ (u − ⟨p, u⟩)`, its own transpose;
//! - log-softmax in reverse `u − p·Σu` and forward `u − ⟨p, u⟩`, each other's transposes.

use super::rows::{expect, matrix};
use super::{Example, single};
use crate::base::{Array, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::softmax_grad::Mode;
use crate::kernels::{rows, softmax, softmax_grad};

#[derive(Debug)]
struct Softmax {
    logarithm: bool,
}

#[derive(Debug)]
struct SoftmaxGrad {
    mode: Mode,
}

impl Graph {
    /// Softmax of each row. Shapes: `(R, N)` → the same.
    pub fn softmax(&mut self, x: NodeId) -> Result<NodeId> {
        self.apply(Softmax { logarithm: false }, &[x])
    }

    /// Logarithm of the softmax of each row. Shapes: `(R, N)` → the same.
    pub fn log_softmax(&mut self, x: NodeId) -> Result<NodeId> {
        self.apply(Softmax { logarithm: true }, &[x])
    }

    /// `p ⊙ (u − ⟨p, u⟩)`: the softmax's derivative applied to a gradient or a tangent. Shapes: `(R, N)`, the same.
    pub fn softmax_grad(&mut self, p: NodeId, u: NodeId) -> Result<NodeId> {
        self.apply(SoftmaxGrad { mode: Mode::Softmax }, &[p, u])
    }

    /// `u − p·Σu`: the log-softmax's derivative applied to a gradient. Shapes: `(R, N)`, the same.
    pub fn log_softmax_grad(&mut self, p: NodeId, u: NodeId) -> Result<NodeId> {
        self.apply(SoftmaxGrad { mode: Mode::LogReverse }, &[p, u])
    }

    /// `u − ⟨p, u⟩`: the log-softmax's derivative applied to a tangent. Shapes: `(R, N)`, the same.
    pub fn log_softmax_tangent(&mut self, p: NodeId, u: NodeId) -> Result<NodeId> {
        self.apply(SoftmaxGrad { mode: Mode::LogForward }, &[p, u])
    }
}

impl Operation for Softmax {
    fn name(&self) -> &'static str {
        if self.logarithm { "log_softmax" } else { "softmax" }
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        matrix("x", inputs[0])?;
        Ok(inputs[0].clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        softmax::record(recording, io.inputs[0], self.logarithm, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        softmax::reference(inputs[0], self.logarithm)
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], y: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        if !self.logarithm {
            return Ok(single(g.softmax_grad(y, dy)?));
        }
        let p = g.softmax(x[0])?;
        Ok(single(g.log_softmax_grad(p, dy)?))
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], y: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        let Some(t) = t[0] else { return Ok(None) };
        if !self.logarithm {
            return g.softmax_grad(y, t).map(Some);
        }
        let p = g.softmax(x[0])?;
        g.log_softmax_tangent(p, t).map(Some)
    }
}

impl SoftmaxGrad {
    fn apply(g: &mut Graph, mode: Mode, p: NodeId, u: NodeId) -> Result<NodeId> {
        g.apply(Self { mode }, &[p, u])
    }

    /// `v ⊙ u − ⟨p, u⟩·v − ⟨p', w⟩·u'`: the derivative of the softmax's rule in `p`, either way.
    fn product_rule(g: &mut Graph, v: NodeId, [p, u]: [NodeId; 2], last: [NodeId; 3]) -> Result<NodeId> {
        let product = g.mul(v, u)?;
        let dot = g.row_dot(p, u)?;
        let shifted = g.row_scale(dot, v)?;
        let difference = g.weighted_sum(product, 1.0, shifted, -1.0)?;
        let dot = g.row_dot(last[0], last[1])?;
        let shifted = g.row_scale(dot, last[2])?;
        g.weighted_sum(difference, 1.0, shifted, -1.0)
    }
}

impl Operation for SoftmaxGrad {
    fn name(&self) -> &'static str {
        match self.mode {
            Mode::Softmax => "softmax_grad",
            Mode::LogReverse => "log_softmax_grad",
            Mode::LogForward => "log_softmax_tangent",
        }
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        expect("u", inputs[1], &matrix("p", inputs[0])?)?;
        Ok(inputs[0].clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        softmax_grad::record(recording, self.mode, io.inputs[0], io.inputs[1], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        softmax_grad::reference(self.mode, inputs[0], inputs[1])
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let [p, u] = [x[0], x[1]];
        let by_p = if wanted[0] {
            Some(match self.mode {
                Mode::Softmax => Self::product_rule(g, dy, [p, u], [p, dy, u])?,
                Mode::LogReverse => {
                    let sum = g.row_sum(u)?;
                    let scaled = g.row_scale(sum, dy)?;
                    g.scale(scaled, -1.0)?
                }
                Mode::LogForward => {
                    let sum = g.row_sum(dy)?;
                    let scaled = g.row_scale(sum, u)?;
                    g.scale(scaled, -1.0)?
                }
            })
        } else {
            None
        };
        let transpose = match self.mode {
            Mode::Softmax => Mode::Softmax,
            Mode::LogReverse => Mode::LogForward,
            Mode::LogForward => Mode::LogReverse,
        };
        let by_u = wanted[1].then(|| Self::apply(g, transpose, p, dy)).transpose()?;
        Ok(vec![by_p, by_u])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        let [p, u] = [x[0], x[1]];
        let by_p = match t[0] {
            None => None,
            Some(t) => Some(match self.mode {
                Mode::Softmax => Self::product_rule(g, t, [p, u], [t, u, p])?,
                Mode::LogReverse => {
                    let sum = g.row_sum(u)?;
                    let scaled = g.row_scale(sum, t)?;
                    g.scale(scaled, -1.0)?
                }
                Mode::LogForward => {
                    let dot = g.row_dot(t, u)?;
                    let sizes = g.shape(u).sizes().to_vec();
                    let ones = g.constant(&sizes, -1.0);
                    g.row_scale(dot, ones)?
                }
            }),
        };
        let by_u = t[1].map(|t| Self::apply(g, self.mode, p, t)).transpose()?;
        g.sum_of_terms([by_p, by_u])
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    let mut all = Vec::new();
    for sizes in [[1, 3], [5, 7], [3, 8]] {
        let x = move |seed| Array::normal(&sizes, 1.5, seed);
        all.push(Example::new(format!("softmax {sizes:?}"), vec![x(1)], |g, x| g.softmax(x[0])));
        all.push(Example::new(format!("log_softmax {sizes:?}"), vec![x(1)], |g, x| g.log_softmax(x[0])));
        let p = move || rows::softmax_rows(&x(2), 1.0).map(|v| f64::from(v as f32));
        for mode in [Mode::Softmax, Mode::LogReverse, Mode::LogForward] {
            let name = format!("{} {sizes:?}", SoftmaxGrad { mode }.name());
            all.push(Example::new(name, vec![p(), x(3)], move |g, x| SoftmaxGrad::apply(g, mode, x[0], x[1])));
        }
    }
    all
}
