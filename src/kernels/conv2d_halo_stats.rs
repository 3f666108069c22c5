//! Convolution by bands that finds the statistics of its outputs on the way, in place of a pass over them:
//! [`join`](super::join::join) puts it, and `batch_norm_merge`, where a recording has `conv2d_halo`, both passes of `batch_norm_stats`
//! and `batch_norm_running` in a row.

use super::conv2d::Geometry;
use super::{
    Case, Kernel, Output, batch_norm_running, batch_norm_stats, conv2d, conv2d_halo, cooperative, halo, join, shared,
};
use crate::base::compare::Tolerance;
use crate::base::{Array, DType, Shape};
use crate::gpu::{Shader, Tensor, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conv2d_halo_stats",
    source: include_str!("../../shaders/matmul/conv2d_halo_stats.wgsl"),
    shared: &[shared::SCALES, shared::BAND, shared::HALO],
    params: size_of::<halo::Params>(),
    bindings: &[read("x"), read("w"), write("y"), write("partial")],
    variants: halo::FORWARD,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: halo::FIELDS, cases };

fn cases() -> Vec<Case> {
    let of = |round: fn(&Array) -> Array| {
        let fitting = conv2d::geometries().into_iter().filter(|g| halo::fits(g, false));
        fitting.map(|g| case(g, round)).collect()
    };
    halo::both(of(Array::clone), of(cooperative::rounded))
}

/// A convolution, its statistics and running ones. The tolerance of the convolution holds for the statistics too: they are
/// sums of its outputs and of their squares, which are larger.
fn case(g: Geometry, round: fn(&Array) -> Array) -> Case {
    let (x, w) = (round(&Array::normal(&g.input, 1.0, 1)), round(&conv2d::weights(&g, 2)));
    let y = conv2d::reference(&x, &w, g.convolution);
    let (stats, count) = (batch_norm_stats::reference(&y), y.shape.rows());
    let running = Array::normal(stats.sizes(), 1.0, 3);
    let moved = batch_norm_running::reference(&stats, 0.1, count, &running);
    let (slabs, most) = (batch_norm_stats::scratch(&y.shape), [2 * halo::PROCESSORS, 3, y.shape.last()]);
    let output = |expected, initial| {
        let tolerance = Tolerance::largest(6e-6);
        Output { expected, initial, dtype: DType::F32, tolerance }
    };
    Case {
        name: conv2d::named(&g),
        inputs: vec![(x, DType::F32), (w, DType::F32)],
        outputs: vec![output(y, None), output(stats, None), output(moved, Some(running))],
        scratch: vec![Shape::new(&most)],
        record: Box::new(move |r, i, o, s| {
            let variant = r.variants.index(&SHADER);
            r.variants.insert(conv2d_halo::SHADER.name, variant);
            // Of a GPU's width, which takes slabs and their merge for any shape.
            let width = batch_norm_stats::SHADER.variants.iter().position(|v| v.name == "256").expect("a variant");
            r.variants.insert(batch_norm_stats::SHADER.name, width);
            conv2d::record(r, &i[0], &i[1], g.convolution, &o[0])?;
            // The slabs of small outputs leave no room for the parts of as many workgroups.
            let slabs = Tensor { shape: slabs.clone(), ..s[0].clone() };
            batch_norm_stats::record(r, &o[0], &slabs, &o[1])?;
            batch_norm_running::record(r, &o[1], 0.1, count, &o[2])?;
            join::join(r)
        }),
    }
}
