//! Kernels over all parameters in one row.

use super::shape::Form;
use super::{Tensors, Work};
use crate::base::{Error, Result};
use crate::gpu::Tensor;
use crate::kernels::{adam, add_into, gradient_norm, sgd};

const PARAMETERS: Form = Form::sizes(
    [1, 2],
    "the number of PARAMETERS, a multiple of 64, such as 467200, or of more than a million one factor x another, such as 2048x5760",
);

/// Parameters, gradients, the mask of those that decay, and a factor of 1: below zero a step would be left out.
fn flat(t: &Tensors<'_>, sizes: &[usize]) -> Result<(usize, [Tensor; 4])> {
    let n: usize = sizes.iter().product();
    if !n.is_multiple_of(64) {
        return Err(Error::Shape(format!("{n} parameters are not a multiple of 64")));
    }
    let [weights, grads, mask] =
        [t.noise("parameters", &[n])?, t.noise("gradients", &[n])?, t.noise("mask", &[n / 64])?];
    Ok((n, [weights, grads, mask, t.same("factor", &[1], 1.0)?]))
}

/// Their works.
pub(super) const WORKS: &[Work] = &[
    Work::new("sgd", &PARAMETERS, |t, a| {
        let (n, [weights, grads, mask, scale]) = flat(t, &a.sizes)?;
        let [step, velocity] = [t.step()?, t.noise("velocity", &[n])?];
        let settings = sgd::Settings { momentum: 0.9, weight_decay: 1e-4, nesterov: false };
        Ok(Box::new(move |r| {
            let (step, grads, mask, scale) = (&step, &grads, &mask, &scale);
            let buffers = sgd::Buffers { step, grads, mask, scale, weights: &weights, velocity: &velocity };
            sgd::record(r, settings, buffers)
        }))
    }),
    Work::new("adam", &PARAMETERS, |t, a| {
        let (n, [weights, grads, mask, scale]) = flat(t, &a.sizes)?;
        // Means of squares are not negative.
        let [step, average, square] = [t.step()?, t.noise("velocity", &[n])?, t.same("squares", &[n], 0.5)?];
        let settings = adam::Settings { betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 1e-4, decoupled: false };
        Ok(Box::new(move |r| {
            let (step, grads, mask, scale) = (&step, &grads, &mask, &scale);
            let (weights, average, square) = (&weights, &average, &square);
            adam::record(r, settings, adam::Buffers { step, grads, mask, scale, weights, average, square })
        }))
    }),
    Work::new("add_into", &PARAMETERS, |t, a| {
        let (_, [total, part, ..]) = flat(t, &a.sizes)?;
        let step = t.step()?;
        Ok(Box::new(move |r| add_into::record(r, &step, &part, &total)))
    }),
    Work::new("gradient_norm", &PARAMETERS, |t, a| {
        let (_, [_, grads, ..]) = flat(t, &a.sizes)?;
        let (partial, norm) =
            (t.scratch("squares of groups", &gradient_norm::scratch(&grads.shape))?, t.noise("norm", &[1])?);
        Ok(Box::new(move |r| gradient_norm::record(r, &grads, &partial, &norm)))
    }),
];
