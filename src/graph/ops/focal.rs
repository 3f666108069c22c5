//! `focal(logits, γ)`: what a target of 1 would cost at each class, `f(p) = −(1 − p)^γ·log(p + 1e-20)`; with soft targets
//! the loss of a row is `⟨target, f⟩`, linear in the target. Its derivative both ways, with `w = p·f'(p)`:
//!
//! - in reverse `w ⊙ u − ⟨w, u⟩·p`;
//! - forward `w ⊙ (u − ⟨p, u⟩)`, the transpose of the other.
//!
//! The floor keeps the loss of a class below 46; where p is under 1e-20 it is flat and gives no gradient.
//!
//! The pair is linear in `u` and has no derivative by the logits: second derivatives of the loss are not needed, as
//! MAXL's meta-gradient is a derivative of the forward one by the target alone.
//!
//! Source: Lin et al. 2017; Liu, Davison and Johns 2019 (MAXL), eq. 6; the floor is the official code's.

use super::Example;
use super::rows::{expect, matrix};
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::ir::no_derivative;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::focal_grad::Mode;
use crate::kernels::{focal, focal_grad};

#[derive(Clone, Copy, Debug)]
struct Focal {
    gamma: f32,
}

#[derive(Clone, Copy, Debug)]
struct FocalGrad {
    gamma: f32,
    mode: Mode,
}

impl Graph {
    /// `−(1 − p)^γ·log(p + 1e-20)` of every class of the softmax `p` of each row. Shapes: `(R, N)` → the same.
    ///
    /// # Errors
    /// When `logits` is not a matrix, or `gamma` is negative or not finite.
    pub fn focal(&mut self, logits: NodeId, gamma: f32) -> Result<NodeId> {
        self.apply(Focal { gamma }, &[logits])
    }

    /// Focal loss of each row with soft targets; γ = 0 is cross-entropy. Shapes: `logits`, `targets (R, N)` → `(R)`.
    ///
    /// # Errors
    /// As [`Graph::focal`], and when the shapes differ.
    pub fn focal_loss(&mut self, logits: NodeId, targets: NodeId, gamma: f32) -> Result<NodeId> {
        let costs = self.focal(logits, gamma)?;
        self.row_dot(targets, costs)
    }

    fn focal_grad(&mut self, logits: NodeId, u: NodeId, rule: FocalGrad) -> Result<NodeId> {
        self.apply(rule, &[logits, u])
    }
}

fn check(gamma: f32, logits: &Shape) -> Result<[usize; 2]> {
    if !(gamma >= 0.0 && gamma.is_finite()) {
        return Err(Error::Shape(format!("gamma = {gamma} is not a number from 0 on")));
    }
    matrix("logits", logits)
}

impl Operation for Focal {
    fn name(&self) -> &'static str {
        "focal"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        check(self.gamma, inputs[0])?;
        Ok(inputs[0].clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        focal::record(recording, io.inputs[0], self.gamma, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        focal::reference(inputs[0], f64::from(self.gamma))
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let rule = FocalGrad { gamma: self.gamma, mode: Mode::Reverse };
        Ok(super::single(g.focal_grad(x[0], dy, rule)?))
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        let rule = FocalGrad { gamma: self.gamma, mode: Mode::Forward };
        t[0].map(|t| g.focal_grad(x[0], t, rule)).transpose()
    }
}

impl FocalGrad {
    fn transposed(self) -> Self {
        let mode = match self.mode {
            Mode::Reverse => Mode::Forward,
            Mode::Forward => Mode::Reverse,
        };
        Self { mode, ..self }
    }

    fn second(&self) -> Error {
        no_derivative(self.name(), "the logits (a second derivative of the focal loss)")
    }
}

impl Operation for FocalGrad {
    fn name(&self) -> &'static str {
        match self.mode {
            Mode::Reverse => "focal_grad",
            Mode::Forward => "focal_tangent",
        }
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        expect("u", inputs[1], &check(self.gamma, inputs[0])?)?;
        Ok(inputs[0].clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        focal_grad::record(recording, self.mode, io.inputs[0], io.inputs[1], self.gamma, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        focal_grad::reference(self.mode, inputs[0], inputs[1], f64::from(self.gamma))
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        if wanted[0] {
            return Err(self.second());
        }
        Ok(vec![None, wanted[1].then(|| g.focal_grad(x[0], dy, self.transposed())).transpose()?])
    }

    fn jvp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        if t[0].is_some() {
            return Err(self.second());
        }
        t[1].map(|t| g.focal_grad(x[0], t, *self)).transpose()
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    let mut all = Vec::new();
    for (sizes, gamma) in [([1, 3], 2.0), ([5, 7], 2.0), ([3, 8], 0.0), ([4, 5], 0.5), ([2, 6], 3.5)] {
        let x = move |seed| Array::normal(&sizes, 1.5, seed);
        let name = format!("{sizes:?}, gamma {gamma}");
        all.push(Example::new(format!("focal {name}"), vec![x(1)], move |g, x| g.focal(x[0], gamma)));
        let targets = x(2).map(f64::abs);
        let loss = Example::new(format!("focal_loss {name}"), vec![x(1), targets], move |g, x| {
            g.focal_loss(x[0], x[1], gamma)
        });
        all.push(loss);
        for mode in [Mode::Reverse, Mode::Forward] {
            let rule = FocalGrad { gamma, mode };
            let example = Example::new(format!("{} {name}", rule.name()), vec![x(1), x(3)], move |g, x| {
                g.focal_grad(x[0], x[1], rule)
            });
            all.push(example.constant_input(0));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{forward, reverse};

    #[test]
    fn second_derivatives_and_wrong_exponents_are_refused() {
        let mut g = Graph::new();
        let x = g.parameter("x", &[4, 3]);
        let u = g.parameter("u", &[4, 3]);
        assert!(g.focal(x, -1.0).is_err() && g.focal(x, f32::NAN).is_err());
        let f = g.focal(x, 2.0).expect("shapes");
        let t = forward(&mut g, &[(x, u)], &[f]).expect("a first derivative")[0].expect("it depends on x");
        let loss = g.sum_all(t, 1.0).expect("shapes");
        let error = reverse(&mut g, loss, &[x]).expect_err("a second derivative").to_string();
        assert!(error.contains("second derivative"), "{error}");
        assert!(reverse(&mut g, loss, &[u]).is_ok());
    }
}
