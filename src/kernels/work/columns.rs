//! Kernels that go by columns: batch normalisation, sums over rows, rows repeated.

use super::shape::Form;
use super::{ELEMENTS, Tensors, Work};
use crate::base::Result;
use crate::gpu::Tensor;
use crate::kernels::batch_norm::Form as Norm;
use crate::kernels::{
    batch_norm_add_relu, batch_norm_apply, batch_norm_merge, batch_norm_project, batch_norm_relu,
    batch_norm_relu_project, batch_norm_relu_sums, batch_norm_running, batch_norm_stats, batch_norm_sums,
    broadcast_rows, join, max_rows, relu_derivative_sum, sum_parts, sum_rows,
};

const EPS: f32 = 1e-5;
/// Values of a channel that statistics are of.
const COUNT: usize = 1024;
const NORM: Norm = Norm::normalise(EPS);

const PIXELS: Form = Form {
    word: |word| word == "images",
    ..Form::sizes(
        [1, 4],
        "one to four sizes of the tensor, such as 32x32x32x16 or 4096x1024, and after four sizes perhaps ,images: each image by itself",
    )
};
const CHANNELS: Form = Form::sizes([1, 1], "the number of CHANNELS, such as 64");
const MATRIX: Form = Form::sizes([2, 2], "ROWSxCOLUMNS, such as 4096x1024");
const CHANNEL_PARTS: Form = Form::sizes([2, 2], "PARTSxCHANNELS, such as 264x64");
const PARTS: Form = Form::sizes([2, 4], "PARTS, then one to three sizes of the sum, with x between, such as 8x9x64x64");

/// Statistics, sums, or scale and bias: two numbers a channel.
fn pair(t: &Tensors<'_>, part: &'static str, x: &Tensor) -> Result<Tensor> {
    t.same(part, &[2, x.shape.last()], 0.5)
}

fn norm_partial(t: &Tensors<'_>, x: &Tensor) -> Result<Tensor> {
    t.scratch("partial", &batch_norm_sums::scratch(&x.shape))
}

/// Their works.
pub(super) const WORKS: &[Work] = &[
    Work::new("sum_rows", &PIXELS, |t, a| {
        let x = t.noise("x", &a.sizes)?;
        if a.word.is_some() {
            let images = t.noise("images", &[a.sizes[0], x.shape.last()])?;
            return Ok(Box::new(move |r| sum_rows::record_images(r, &x, 1.0, &images)));
        }
        let partial = t.scratch("column sums", &sum_rows::scratch(&x.shape))?;
        let column = t.noise("sums", &[x.shape.last()])?;
        Ok(Box::new(move |r| sum_rows::record(r, &x, 1.0, &partial, &column)))
    }),
    Work::new("broadcast_rows", &PIXELS, |t, a| {
        let out = t.noise("out", &a.sizes)?;
        if a.word.is_some() {
            let images = t.noise("images", &[a.sizes[0], out.shape.last()])?;
            return Ok(Box::new(move |r| broadcast_rows::record_images(r, &images, 1.0, &out)));
        }
        let column = t.noise("column", &[out.shape.last()])?;
        Ok(Box::new(move |r| broadcast_rows::record(r, &column, 1.0, &out)))
    }),
    Work::new("max_rows", &MATRIX, |t, a| {
        let [x, out] = [t.noise("x", &a.sizes)?, t.noise("largest", &[1, a.sizes[1]])?];
        Ok(Box::new(move |r| max_rows::record(r, &x, &out)))
    }),
    Work::new("sum_parts", &PARTS, |t, a| {
        let [part, out] = [t.noise("part", &a.sizes)?, t.noise("out", &a.sizes[1..])?];
        Ok(Box::new(move |r| sum_parts::record(r, &part, &out)))
    }),
    Work::new("batch_norm_stats", &ELEMENTS, |t, a| {
        let x = t.noise("x", &a.sizes)?;
        let (partial, stats) =
            (t.scratch("partial", &batch_norm_stats::scratch(&x.shape))?, pair(t, "new statistics", &x)?);
        Ok(Box::new(move |r| batch_norm_stats::record(r, &x, &partial, &stats)))
    }),
    Work::new("batch_norm_running", &CHANNELS, |t, a| {
        let sizes = [2, a.sizes[0]];
        let [stats, running] = [t.same("statistics", &sizes, 0.5)?, t.same("running", &sizes, 0.5)?];
        Ok(Box::new(move |r| batch_norm_running::record(r, &stats, 0.1, COUNT, &running)))
    }),
    Work::new("batch_norm_merge", &CHANNEL_PARTS, |t, a| {
        let (parts, channels) = (a.sizes[0], a.sizes[1]);
        // Mean, squares and number of values of a part.
        let partial = t.same("partial statistics", &[parts, 3, channels], 1.0)?;
        let [stats, running] = [t.same("statistics", &[2, channels], 0.5)?, t.same("running", &[2, channels], 0.5)?];
        let update = batch_norm_running::update(0.1, parts, channels);
        Ok(Box::new(move |r| batch_norm_merge::record(r, &partial, parts, update, &stats, &running)))
    }),
    Work::new("batch_norm_apply", &ELEMENTS, |t, a| {
        let [x, out] = [t.noise("x", &a.sizes)?, t.noise("out", &a.sizes)?];
        let [stats, affine] = [pair(t, "statistics", &x)?, pair(t, "affine", &x)?];
        Ok(Box::new(move |r| batch_norm_apply::record(r, NORM, [&x, &stats, &affine], &out)))
    }),
    Work::new("batch_norm_relu", &ELEMENTS, |t, a| {
        let [x, out] = [t.noise("x", &a.sizes)?, t.noise("out", &a.sizes)?];
        let [stats, affine] = [pair(t, "statistics", &x)?, pair(t, "affine", &x)?];
        Ok(Box::new(move |r| batch_norm_relu::record(r, EPS, [&x, &stats, &affine], &out)))
    }),
    Work::new("batch_norm_add_relu", &ELEMENTS, |t, a| {
        let [x, residual, out] = [t.noise("x", &a.sizes)?, t.noise("residual", &a.sizes)?, t.noise("out", &a.sizes)?];
        let [stats, affine] = [pair(t, "statistics", &x)?, pair(t, "affine", &x)?];
        Ok(Box::new(move |r| batch_norm_add_relu::record(r, EPS, [&x, &stats, &affine, &residual], &out)))
    }),
    Work::new("batch_norm_sums", &ELEMENTS, |t, a| {
        let [x, u] = [t.noise("x", &a.sizes)?, t.noise("u", &a.sizes)?];
        let [partial, stats, sums] = [norm_partial(t, &x)?, pair(t, "statistics", &x)?, pair(t, "new sums", &x)?];
        Ok(Box::new(move |r| batch_norm_sums::record(r, NORM, [&x, &stats, &u], &partial, &sums)))
    }),
    Work::new("batch_norm_relu_sums", &ELEMENTS, |t, a| {
        let [x, u] = [t.noise("x", &a.sizes)?, t.noise("u", &a.sizes)?];
        let [partial, stats, sums] = [norm_partial(t, &x)?, pair(t, "statistics", &x)?, pair(t, "new sums", &x)?];
        let affine = pair(t, "affine", &x)?;
        Ok(Box::new(move |r| batch_norm_relu_sums::record(r, EPS, [&x, &stats, &affine, &u], &partial, &sums)))
    }),
    Work::new("batch_norm_residual_sums", &ELEMENTS, |t, a| {
        let [x, u, residual, out] = [
            t.noise("x", &a.sizes)?,
            t.noise("u", &a.sizes)?,
            t.noise("residual", &a.sizes)?,
            t.noise("out", &a.sizes)?,
        ];
        let [partial, stats, sums] = [norm_partial(t, &x)?, pair(t, "statistics", &x)?, pair(t, "new sums", &x)?];
        Ok(Box::new(move |r| {
            relu_derivative_sum::record(r, &x, &u, &residual, &out)?;
            batch_norm_sums::record(r, NORM, [&x, &stats, &out], &partial, &sums)?;
            join::join(r)
        }))
    }),
    Work::new("batch_norm_project", &ELEMENTS, |t, a| {
        let [x, u, out] = [t.noise("x", &a.sizes)?, t.noise("u", &a.sizes)?, t.noise("out", &a.sizes)?];
        let [stats, sums, affine] = [pair(t, "statistics", &x)?, pair(t, "sums", &x)?, pair(t, "affine", &x)?];
        Ok(Box::new(move |r| batch_norm_project::record(r, EPS, [&x, &stats, &u, &sums, &affine], &out)))
    }),
    Work::new("batch_norm_relu_project", &ELEMENTS, |t, a| {
        let [x, u, out] = [t.noise("x", &a.sizes)?, t.noise("u", &a.sizes)?, t.noise("out", &a.sizes)?];
        let [stats, sums, affine] = [pair(t, "statistics", &x)?, pair(t, "sums", &x)?, pair(t, "affine", &x)?];
        Ok(Box::new(move |r| batch_norm_relu_project::record(r, EPS, [&x, &stats, &u, &sums, &affine], &out)))
    }),
];
