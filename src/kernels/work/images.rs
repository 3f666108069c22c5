//! Kernels over images: pools, views, windows of channels.

use std::str::FromStr;

use super::shape::{Asked, Form};
use super::{Tensors, Work};
use crate::base::{Result, Shape, TransformSet};
use crate::gpu::Tensor;
use crate::kernels::channel_window::ChannelWindow;
use crate::kernels::pool::Pool;
use crate::kernels::{
    avg_pool, channel_window, max_pool, max_pool_grad, max_pool_index, max_pool_select, transform_views,
    transform_views_transpose,
};

const POOLS: Form = Form::options(
    [4, 4],
    &[('k', 2), ('s', 2), ('p', 0)],
    "ROWSxHEIGHTxWIDTHxCHANNELS[,kSIDE][,sSTRIDE][,pPADDING], such as 16x32x32x64,k2,s2,p0 (the values taken when left out)",
);
const VIEWS: Form = Form {
    word: |word| TransformSet::from_str(word).is_ok(),
    ..Form::sizes(
        [4, 4],
        "IMAGESxHEIGHTxWIDTHxCHANNELS[,SET], such as 32x32x32x3,rotation (the set taken when left out)",
    )
};
const WINDOWS: Form = Form {
    outputs: true,
    ..Form::options(
        [4, 4],
        &[('s', 1)],
        "ROWSxHEIGHTxWIDTHxCHANNELS-OUTPUTS[,sSTRIDE], such as 32x32x32x16-32,s1 (the value taken when left out)",
    )
};

fn window(a: &Asked) -> Pool {
    Pool { kernel: a.option('k'), stride: a.option('s'), padding: a.option('p') }
}

/// A pool with its larger map, its smaller one, and the places of maxima.
fn pooled(t: &Tensors<'_>, a: &Asked) -> Result<(Pool, [Tensor; 3])> {
    let pool = window(a);
    let small = pool.infer(&Shape::new(&a.sizes))?;
    // A place is its number in the window.
    let index = t.below("index", small.sizes(), pool.kernel * pool.kernel)?;
    Ok((pool, [t.noise("x", &a.sizes)?, t.noise("pooled", small.sizes())?, index]))
}

/// A set with its images and their views.
fn viewed(t: &Tensors<'_>, a: &Asked) -> Result<(TransformSet, [Tensor; 2])> {
    let set = a.word.as_deref().map_or(Ok(TransformSet::Rotation), TransformSet::from_str)?;
    let [images, height, width, channels] = [0, 1, 2, 3].map(|i| a.sizes[i]);
    let views = t.noise("views", &[images * set.views(), height, width, channels])?;
    Ok((set, [t.noise("x", &a.sizes)?, views]))
}

/// Their works.
pub(super) const WORKS: &[Work] = &[
    Work::new("max_pool", &POOLS, |t, a| {
        let (pool, [x, out, _]) = pooled(t, a)?;
        Ok(Box::new(move |r| max_pool::record(r, pool, &x, &out)))
    }),
    Work::new("max_pool_index", &POOLS, |t, a| {
        let (pool, [x, _, index]) = pooled(t, a)?;
        Ok(Box::new(move |r| max_pool_index::record(r, pool, &x, &index)))
    }),
    Work::new("max_pool_select", &POOLS, |t, a| {
        let (pool, [u, out, index]) = pooled(t, a)?;
        Ok(Box::new(move |r| max_pool_select::record(r, pool, &index, &u, &out)))
    }),
    Work::new("max_pool_grad", &POOLS, |t, a| {
        let (pool, [out, dy, index]) = pooled(t, a)?;
        Ok(Box::new(move |r| max_pool_grad::record(r, pool, &index, &dy, &out)))
    }),
    Work::new("avg_pool", &POOLS, |t, a| {
        let (pool, [x, out, _]) = pooled(t, a)?;
        Ok(Box::new(move |r| avg_pool::record(r, pool, &x, &out)))
    }),
    Work::new("transform_views", &VIEWS, |t, a| {
        let (set, [images, views]) = viewed(t, a)?;
        Ok(Box::new(move |r| transform_views::record(r, &images, set, &views)))
    }),
    Work::new("transform_views_transpose", &VIEWS, |t, a| {
        let (set, [images, views]) = viewed(t, a)?;
        Ok(Box::new(move |r| transform_views_transpose::record(r, &views, set, &images)))
    }),
    Work::new("channel_window", &WINDOWS, |t, a| {
        let (x, channels) = (t.noise("x", &a.sizes)?, a.outputs);
        let count = channels.min(x.shape.last());
        let window = ChannelWindow { from: 0, to: 0, count, channels, stride: a.option('s') };
        let out = t.noise("window", window.infer(&x.shape)?.sizes())?;
        Ok(Box::new(move |r| channel_window::record(r, window, &x, &out)))
    }),
];
