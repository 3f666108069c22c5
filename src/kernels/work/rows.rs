//! Kernels that go row by row: losses, softmax, labels, norms, the best of a row.

use super::shape::{Asked, Form};
use super::{ROWS, Tensors, Work};
use crate::base::{Error, LabelRule, Result};
use crate::gpu::Tensor;
use crate::kernels::aggregate::Views;
use crate::kernels::{
    aggregate, aggregate_transpose, argmax, conditional, count_matches, counted, cross_entropy, cross_entropy_grad,
    distillation, distillation_grad, focal, focal_grad, masked_softmax, normalize_rows, one_hot, row_dot, row_scale,
    softmax, softmax_grad, top_k,
};

/// Of the focal loss.
const GAMMA: f32 = 2.0;
/// Of distillation.
const TEMPERATURE: f32 = 4.0;

const LABELLED: Form = Form::options(
    [2, 2],
    &[('v', 1)],
    "ROWSxCOLUMNS[,vVIEWS] with VIEWS rows and labels an image, such as 32x40,v1 (the value taken when left out)",
);
const VIEWED: Form = Form::options(
    [2, 2],
    &[('v', 4)],
    "ROWSxCOLUMNS[,vVIEWS], both multiples of VIEWS, such as 32x40,v4 (the value taken when left out)",
);
const COUNTED: Form =
    Form::options([1, 1], &[('v', 1)], "ROWS[,vVIEWS], such as 32,v1 (the value taken when left out)");
const CLASSES: Form = Form::options(
    [2, 2],
    &[('c', 1)],
    "ROWSxCOLUMNS[,cCLASSES] with columns in as many classes, such as 16x100,c1 (the value taken when left out)",
);
const BEST: Form =
    Form::options([2, 2], &[('n', 10)], "ROWSxCOLUMNS[,nBEST], such as 256x10000,n10 (the value taken when left out)");

fn sizes(a: &Asked) -> [usize; 2] {
    [a.sizes[0], a.sizes[1]]
}

/// How labels follow, with views and without.
fn rule(views: usize) -> LabelRule {
    if views == 1 { LabelRule::Class } else { LabelRule::Joint }
}

/// Classes of as many images as make `rows` rows. Views are a divisor of the rows, and of the columns for a joint label.
fn labels(t: &Tensors<'_>, rows: usize, columns: usize, views: usize) -> Result<Tensor> {
    if views == 0 || !rows.is_multiple_of(views) || !columns.is_multiple_of(views) {
        return Err(Error::Shape(format!("{rows} rows of {columns} are not those of {views} views")));
    }
    t.below("labels", &[rows / views], columns / views)
}

/// Logits of joint classes, and those of a class: `(B·M, N·M)`, `(B, N)`.
fn views(t: &Tensors<'_>, a: &Asked) -> Result<(Views, [Tensor; 2])> {
    let ([rows, columns], m) = (sizes(a), a.option('v'));
    labels(t, rows, columns, m)?;
    let views = Views { views: m, used: m, columns: columns / m, column_scale: m, view_scale: 1 };
    Ok((views, [t.noise("x", &a.sizes)?, t.noise("mean", &[rows / m, columns / m])?]))
}

/// Their works.
pub(super) const WORKS: &[Work] = &[
    Work::new("cross_entropy", &LABELLED, |t, a| {
        let ([rows, columns], views) = (sizes(a), a.option('v'));
        let [x, labels, loss] = [t.noise("x", &a.sizes)?, labels(t, rows, columns, views)?, t.noise("loss", &[rows])?];
        Ok(Box::new(move |r| cross_entropy::record(r, &x, &labels, rule(views), views, &loss)))
    }),
    Work::new("cross_entropy_grad", &LABELLED, |t, a| {
        let ([rows, columns], views) = (sizes(a), a.option('v'));
        let [x, labels, out] = [t.noise("x", &a.sizes)?, labels(t, rows, columns, views)?, t.noise("out", &a.sizes)?];
        let weights = t.noise("weights", &[rows])?;
        Ok(Box::new(move |r| cross_entropy_grad::record(r, &x, &labels, &weights, rule(views), views, &out)))
    }),
    Work::new("distillation", &ROWS, |t, a| {
        let [rows, columns] = sizes(a);
        let [x, teacher, labels] = [t.noise("x", &a.sizes)?, t.noise("u", &a.sizes)?, labels(t, rows, columns, 1)?];
        let loss = t.noise("loss", &[rows])?;
        Ok(Box::new(move |r| distillation::record(r, &x, &teacher, &labels, TEMPERATURE, &loss)))
    }),
    Work::new("distillation_grad", &ROWS, |t, a| {
        let [rows, columns] = sizes(a);
        let [x, teacher, labels] = [t.noise("x", &a.sizes)?, t.noise("u", &a.sizes)?, labels(t, rows, columns, 1)?];
        let [weights, out] = [t.noise("weights", &[rows])?, t.noise("out", &a.sizes)?];
        Ok(Box::new(move |r| distillation_grad::record(r, &x, &teacher, &labels, &weights, TEMPERATURE, &out)))
    }),
    Work::new("focal", &ROWS, |t, a| {
        let [x, out] = [t.noise("x", &a.sizes)?, t.noise("out", &a.sizes)?];
        Ok(Box::new(move |r| focal::record(r, &x, GAMMA, &out)))
    }),
    Work::new("focal_grad", &ROWS, |t, a| {
        let [x, u, out] = [t.noise("x", &a.sizes)?, t.noise("u", &a.sizes)?, t.noise("out", &a.sizes)?];
        Ok(Box::new(move |r| focal_grad::record(r, focal_grad::Mode::Reverse, &x, &u, GAMMA, &out)))
    }),
    Work::new("softmax", &ROWS, |t, a| {
        let [x, out] = [t.noise("x", &a.sizes)?, t.noise("out", &a.sizes)?];
        Ok(Box::new(move |r| softmax::record(r, &x, false, &out)))
    }),
    Work::new("softmax_grad", &ROWS, |t, a| {
        let [p, u, out] = [t.same("shares", &a.sizes, 0.1)?, t.noise("u", &a.sizes)?, t.noise("out", &a.sizes)?];
        Ok(Box::new(move |r| softmax_grad::record(r, softmax_grad::Mode::Softmax, &p, &u, &out)))
    }),
    Work::new("masked_softmax", &CLASSES, |t, a| {
        let ([rows, columns], classes) = (sizes(a), a.option('c'));
        if !(1..=columns).contains(&classes) {
            return Err(Error::Shape(format!("{classes} classes of {columns} columns")));
        }
        let [x, labels, out] =
            [t.noise("x", &a.sizes)?, t.below("labels", &[rows], classes)?, t.noise("out", &a.sizes)?];
        let offset = |i: usize| (i * columns / classes) as u32;
        let offsets = t.words("offsets", &[classes + 1], || (0..=classes).map(offset).collect())?;
        Ok(Box::new(move |r| masked_softmax::record(r, &x, &labels, &offsets, &out)))
    }),
    Work::new("one_hot", &ROWS, |t, a| {
        let [rows, columns] = sizes(a);
        let [labels, out] = [t.below("labels", &[rows], columns)?, t.noise("out", &a.sizes)?];
        Ok(Box::new(move |r| one_hot::record(r, &labels, &out)))
    }),
    Work::new("argmax", &ROWS, |t, a| {
        let [x, out] = [t.noise("x", &a.sizes)?, t.below("chosen", &a.sizes[..1], a.sizes[1])?];
        Ok(Box::new(move |r| argmax::record(r, &x, &out)))
    }),
    Work::new("count_matches", &COUNTED, |t, a| {
        let (rows, views) = (a.sizes[0], a.option('v'));
        let [labels, chosen, out] =
            [labels(t, rows, 10 * views.max(1), views)?, t.below("chosen", &[rows], 10)?, t.noise("sum", &[1])?];
        Ok(Box::new(move |r| count_matches::record(r, &chosen, &labels, rule(views), views, &out)))
    }),
    Work::new("counted", &COUNTED, |t, a| {
        let (rows, views) = (a.sizes[0], a.option('v'));
        let [labels, out] = [labels(t, rows, 10 * views.max(1), views)?, t.noise("loss", &[rows])?];
        Ok(Box::new(move |r| counted::record(r, &labels, views, &out)))
    }),
    Work::new("row_dot", &ROWS, |t, a| {
        let [x, u, out] = [t.noise("x", &a.sizes)?, t.noise("u", &a.sizes)?, t.noise("loss", &a.sizes[..1])?];
        Ok(Box::new(move |r| row_dot::record(r, &x, &u, &out)))
    }),
    Work::new("row_scale", &ROWS, |t, a| {
        let [x, factors, out] =
            [t.noise("x", &a.sizes)?, t.noise("weights", &a.sizes[..1])?, t.noise("out", &a.sizes)?];
        Ok(Box::new(move |r| row_scale::record(r, &factors, &x, &out)))
    }),
    Work::new("normalize_rows", &ROWS, |t, a| {
        let [x, out] = [t.noise("x", &a.sizes)?, t.noise("out", &a.sizes)?];
        Ok(Box::new(move |r| normalize_rows::record(r, &x, &out)))
    }),
    Work::new("aggregate", &VIEWED, |t, a| {
        let (views, [x, mean]) = views(t, a)?;
        Ok(Box::new(move |r| aggregate::record(r, &x, views, &mean)))
    }),
    Work::new("aggregate_transpose", &VIEWED, |t, a| {
        let (views, [out, u]) = views(t, a)?;
        Ok(Box::new(move |r| aggregate_transpose::record(r, &u, views, &out)))
    }),
    Work::new("conditional", &VIEWED, |t, a| {
        let (views, [x, _]) = views(t, a)?;
        let out = t.noise("own", &[a.sizes[0], views.columns])?;
        Ok(Box::new(move |r| conditional::record(r, &x, views.views, &out)))
    }),
    Work::new("top_k", &BEST, |t, a| {
        let best = [a.sizes[0], a.option('n')];
        let [x, values, places] = [t.noise("x", &a.sizes)?, t.noise("values", &best)?, t.below("places", &best, 1)?];
        Ok(Box::new(move |r| top_k::record(r, &x, 0, true, &values, &places)))
    }),
];
