//! Kernels of label assignment: scores of samples for clusters, and the stores of their rows and labels.

use super::shape::{Asked, Form};
use super::{ROWS, Tensors, Work};
use crate::base::Result;
use crate::gpu::Tensor;
use crate::kernels::assign_labels::Place;
use crate::kernels::shares::Window;
use crate::kernels::sinkhorn_pass::Slabs;
use crate::kernels::sinkhorn_update::Stop;
use crate::kernels::{
    assign_labels, gather_labels, gather_rows, scatter_rows, score_rows, sinkhorn_pass, sinkhorn_update, sinkhorn_wide,
    top_candidates, unpack_rows,
};

/// λ of CIFAR's recipe.
const POWER: f32 = 10.0;
/// Rows of a slab, about as many as plans have at CIFAR's size.
const SLAB: usize = 256;

const SCORES: Form = Form::sizes([2, 2], "SAMPLESxCLUSTERS, such as 50000x128");
const CLUSTERS: Form = Form::sizes([1, 1], "the number of CLUSTERS, such as 128");
const BEST: Form = Form::options(
    [2, 2],
    &[('n', 10)],
    "SAMPLESxCLUSTERS[,nBEST], such as 50000x128,n10 (the value taken when left out)",
);
const STORED: Form = Form::options(
    [2, 2],
    &[('w', 4096)],
    "ROWSxCOLUMNS[,wSTORED] of as many rows that are stored, such as 256x128,w4096 (the value taken when left out)",
);
const LABELS: Form = Form::options(
    [2, 2],
    &[('h', 10)],
    "IMAGESxSAMPLES[,hHEADS], such as 256x50000,h10 (the value taken when left out)",
);

/// Logits, bias, statistics of rows, and the clusters' table, all in use.
struct Scores([Tensor; 4]);

impl Scores {
    fn new(t: &Tensors<'_>, a: &Asked) -> Result<Self> {
        let (samples, clusters) = (a.sizes[0], a.sizes[1]);
        // A row's largest logit and log-sum-exp.
        let rows = t.same("rows", &[samples, 4], 0.5)?;
        Ok(Self([
            t.noise("x", &a.sizes)?,
            t.noise("column", &[clusters])?,
            rows,
            t.noise("table of clusters", &[4, clusters])?,
        ]))
    }

    fn window(&self) -> Window<'_> {
        let [logits, bias, rows, _] = &self.0;
        Window { logits, bias, rows, used: logits.shape.rows(), power: POWER }
    }

    fn clusters(&self) -> &Tensor {
        &self.0[3]
    }
}

/// Rows of a slab, and sums for all slabs.
fn slabs(t: &Tensors<'_>, part: &'static str, a: &Asked, most: usize) -> Result<(Slabs, Tensor)> {
    let rows = SLAB.min(most);
    let sums = t.noise(part, &[a.sizes[0].div_ceil(rows), a.sizes[1]])?;
    Ok((Slabs { rows, first: 0 }, sums))
}

/// Their works.
pub(super) const WORKS: &[Work] = &[
    Work::new("score_rows", &SCORES, |t, a| {
        let (scores, out) = (Scores::new(t, a)?, t.noise("new rows", &[a.sizes[0], 4])?);
        Ok(Box::new(move |r| {
            let window = scores.window();
            score_rows::record(r, window.logits, window.bias, window.used, &out)
        }))
    }),
    Work::new("sinkhorn_pass", &SCORES, |t, a| {
        let (scores, (slabs, sums)) = (Scores::new(t, a)?, slabs(t, "sums", a, SLAB)?);
        Ok(Box::new(move |r| sinkhorn_pass::record(r, &scores.window(), scores.clusters(), slabs, &sums)))
    }),
    Work::new("sinkhorn_wide", &SCORES, |t, a| {
        let most = sinkhorn_wide::most_slab_rows(a.sizes[1]);
        let (scores, (slabs, sums), (_, tops)) =
            (Scores::new(t, a)?, slabs(t, "sums", a, most)?, slabs(t, "tops", a, most)?);
        Ok(Box::new(move |r| sinkhorn_wide::record(r, &scores.window(), scores.clusters(), slabs, &sums, &tops)))
    }),
    Work::new("sinkhorn_update", &CLUSTERS, |t, a| {
        let clusters = a.sizes[0];
        // Masses near the targets, and no error that would end the iterations: after that there is no work.
        let [mass, targets] = [t.same("mass", &[clusters], 1.1)?, t.same("targets", &[clusters], 1.0)?];
        let [tops, table, state] =
            [t.noise("tops", &[1, clusters])?, t.same("table", &[4, clusters], 0.0)?, t.same("state", &[8], 0.0)?];
        let stop = Stop { samples: 1, cap: 1 << 23, patience: 1 << 23, tolerance: -1.0 };
        Ok(Box::new(move |r| sinkhorn_update::record(r, [&mass, &tops, &targets], 0, stop, &table, &state)))
    }),
    Work::new("assign_labels", &SCORES, |t, a| {
        let (scores, samples) = (Scores::new(t, a)?, a.sizes[0]);
        let table = t.below("label table", &[1, samples], a.sizes[1])?;
        let [info, changed] = [t.noise("info", &[samples, 4])?, t.noise("changed", &[samples])?];
        let place = Place { head: 0, first: 0, scaling: 0 };
        Ok(Box::new(move |r| {
            assign_labels::record(r, &scores.window(), scores.clusters(), place, [&table, &info, &changed])
        }))
    }),
    Work::new("top_candidates", &BEST, |t, a| {
        let (scores, best) = (Scores::new(t, a)?, [a.sizes[0], a.option('n')]);
        let [out, value] = [t.below("candidates", &best, 1)?, t.noise("values", &best)?];
        Ok(Box::new(move |r| top_candidates::record(r, &scores.window(), scores.clusters(), 0, &out, &value)))
    }),
    Work::new("gather_labels", &LABELS, |t, a| {
        let (images, samples, heads) = (a.sizes[0], a.sizes[1], a.option('h'));
        let [table, draws] = [t.below("label table", &[heads, samples], 128)?, t.draws(images, samples)?];
        let [labels, out] = [t.below("labels", &[images], 10)?, t.below("gathered", &[images * heads], 1)?];
        Ok(Box::new(move |r| gather_labels::record(r, &table, &draws, &labels, 0..heads, &out)))
    }),
    Work::new("gather_rows", &STORED, |t, a| {
        let stored = a.option('w');
        let [store, out] = [t.noise("store", &[stored, a.sizes[1]])?, t.noise("out", &a.sizes)?];
        let indices = t.below("indices", &a.sizes[..1], stored)?;
        Ok(Box::new(move |r| gather_rows::record(r, &[&store], &indices, &out)))
    }),
    Work::new("scatter_rows", &STORED, |t, a| {
        let (rows, stored) = (a.sizes[0], a.option('w'));
        let [store, values] = [t.noise("store", &[stored, a.sizes[1]])?, t.noise("x", &a.sizes)?];
        let [draws, labels] = [t.draws(rows, stored)?, t.below("labels", &[rows], 10)?];
        Ok(Box::new(move |r| scatter_rows::record(r, &values, &draws, &labels, [0, 0], &store)))
    }),
    Work::new("unpack_rows", &ROWS, |t, a| {
        let words = scatter_rows::store_columns(a.sizes[1], true);
        // Two normal numbers of half precision in each word.
        let stored = t.words("packed", &[a.sizes[0], words], || vec![0x3800_3400; a.sizes[0] * words])?;
        let out = t.noise("out", &a.sizes)?;
        Ok(Box::new(move |r| unpack_rows::record(r, &stored, &out)))
    }),
];
