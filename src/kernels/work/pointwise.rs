//! Kernels that go value by value.

use super::shape::Form;
use super::{ELEMENTS, ONE, Work};
use crate::kernels::dropout::Dropout;
use crate::kernels::{
    accumulate, add_bias, add_scaled, axpby, broadcast, copy, dropout, entropy, flag_nonfinite, mul, philox_words,
    power, relu, relu_derivative, relu_derivative_sum, sum_all,
};

const SLOTS: Form = Form::sizes([1, 1], "the number of SLOTS of the state, such as 8");
const COUNTERS: Form = Form::sizes([1, 1], "the number of COUNTERS, such as 65536");

/// Their works.
pub(super) const WORKS: &[Work] = &[
    Work::new("copy", &ELEMENTS, |t, a| {
        let [x, out] = [t.noise("x", &a.sizes)?, t.noise("out", &a.sizes)?];
        Ok(Box::new(move |r| copy::record(r, &x, &out)))
    }),
    Work::new("relu", &ELEMENTS, |t, a| {
        let [x, out] = [t.noise("x", &a.sizes)?, t.noise("out", &a.sizes)?];
        Ok(Box::new(move |r| relu::record(r, &x, &out)))
    }),
    Work::new("relu_derivative", &ELEMENTS, |t, a| {
        let [x, u, out] = [t.noise("x", &a.sizes)?, t.noise("u", &a.sizes)?, t.noise("out", &a.sizes)?];
        Ok(Box::new(move |r| relu_derivative::record(r, &x, &u, &out)))
    }),
    Work::new("relu_derivative_sum", &ELEMENTS, |t, a| {
        let [x, u, out] = [t.noise("x", &a.sizes)?, t.noise("u", &a.sizes)?, t.noise("out", &a.sizes)?];
        let residual = t.noise("residual", &a.sizes)?;
        Ok(Box::new(move |r| relu_derivative_sum::record(r, &x, &u, &residual, &out)))
    }),
    Work::new("axpby", &ELEMENTS, |t, a| {
        let [x, u, out] = [t.noise("x", &a.sizes)?, t.noise("u", &a.sizes)?, t.noise("out", &a.sizes)?];
        Ok(Box::new(move |r| axpby::record(r, 1.0, &x, 1.0, &u, &out)))
    }),
    Work::new("mul", &ELEMENTS, |t, a| {
        let [x, u, out] = [t.noise("x", &a.sizes)?, t.noise("u", &a.sizes)?, t.noise("out", &a.sizes)?];
        Ok(Box::new(move |r| mul::record(r, &x, &u, &out)))
    }),
    Work::new("add_scaled", &ELEMENTS, |t, a| {
        let [x, u, out] = [t.noise("x", &a.sizes)?, t.noise("u", &a.sizes)?, t.noise("out", &a.sizes)?];
        let scale = t.same("scale", &[1], 0.5)?;
        Ok(Box::new(move |r| add_scaled::record(r, &x, &u, &scale, 2.0, &out)))
    }),
    Work::new("add_bias", &ELEMENTS, |t, a| {
        let [x, out] = [t.noise("x", &a.sizes)?, t.noise("out", &a.sizes)?];
        let bias = t.noise("column", &[x.shape.last()])?;
        Ok(Box::new(move |r| add_bias::record(r, &x, &bias, &out)))
    }),
    Work::new("power", &ELEMENTS, |t, a| {
        let [x, out] = [t.noise("x", &a.sizes)?, t.noise("out", &a.sizes)?];
        Ok(Box::new(move |r| power::record(r, &x, -0.5, 1.0, &out)))
    }),
    Work::new("broadcast", &ELEMENTS, |t, a| {
        let [s, out] = [t.same("scale", &[1], 0.5)?, t.noise("out", &a.sizes)?];
        Ok(Box::new(move |r| broadcast::record(r, &s, 2.0, &out)))
    }),
    Work::new("dropout", &ELEMENTS, |t, a| {
        let [x, step, out] = [t.noise("x", &a.sizes)?, t.step()?, t.noise("out", &a.sizes)?];
        let dropout = Dropout { p: 0.5, seed: 1, layer: 0 };
        Ok(Box::new(move |r| dropout::record(r, dropout, &x, &step, &out)))
    }),
    Work::new("entropy", &ELEMENTS, |t, a| {
        // Probabilities: a logarithm of what is below 0 may take another time.
        let [m, out] = [t.same("shares", &a.sizes, 0.1)?, t.noise("out", &a.sizes)?];
        Ok(Box::new(move |r| entropy::record(r, &m, &out)))
    }),
    Work::new("sum_all", &ELEMENTS, |t, a| {
        let x = t.noise("x", &a.sizes)?;
        let (partial, out) = (t.scratch("sums", &sum_all::scratch(&x.shape))?, t.noise("sum", &[1])?);
        Ok(Box::new(move |r| sum_all::record(r, &x, 1.0, &partial, &out)))
    }),
    Work::new("accumulate", &SLOTS, |t, a| {
        let [x, state] = [t.same("scale", &[1], 0.5)?, t.same("state", &a.sizes, 0.0)?];
        Ok(Box::new(move |r| accumulate::record(r, &[(&x, 1.0)], 0, &state)))
    }),
    Work::new("flag_nonfinite", &SLOTS, |t, a| {
        let [x, step, state] = [t.same("scale", &[1], 0.5)?, t.step()?, t.same("state", &a.sizes, 0.0)?];
        Ok(Box::new(move |r| flag_nonfinite::record(r, &x, &step, 0, &state)))
    }),
    Work::new("philox_words", &COUNTERS, |t, a| {
        let count = a.sizes[0];
        let counters = t.below("counters", &[count, 4], 1 << 24)?;
        let out = t.below("random", &[count, 16], 1 << 24)?;
        Ok(Box::new(move |r| philox_words::record(r, &counters, [1, 2], 1000, &out)))
    }),
    Work::new("clip_scale", &ONE, |t, _| {
        use crate::kernels::clip_scale;
        let [norm, scale] = [t.same("norm", &[1], 2.0)?, t.noise("factor", &[1])?];
        Ok(Box::new(move |r| clip_scale::record(r, &norm, Some(1.0), 1.0, &scale)))
    }),
    Work::new("loss_scale", &ONE, |t, _| {
        use crate::kernels::loss_scale;
        let [norm, scale, factor] =
            [t.same("norm", &[1], 2.0)?, t.same("loss scale", &[1], loss_scale::FIRST)?, t.noise("factor", &[1])?];
        let counts = t.same("counts", &[2], 0.0)?;
        Ok(Box::new(move |r| {
            let buffers = loss_scale::Buffers { norm: &norm, scale: &scale, counts: &counts, factor: &factor };
            loss_scale::record(r, Some(1.0), 1.0, loss_scale::INTERVAL, buffers)
        }))
    }),
];
