//! Labels by the largest scaled score, and what they cost. Shapes: `logits (W, K)`, `bias (K)`, `rows (W, 4)`,
//! `clusters (4, K)`; `table (T, N)` unsigned and `changed (N)` updated, → `info (W, 4)`.

use super::rows::{WIDTHS, by_subgroups, row_grid};
use super::shares::{Window, exponents, inputs, log_shares, scaling};
use super::{Case, Kernel, Output, assign_labels_subgroup, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, DType, Error, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, read_write, write};

params! {
    /// Uniforms of `assign_labels.wgsl`.
    pub struct Params {
        /// W, those in use.
        pub rows: u32,
        /// K.
        pub columns: u32,
        /// Vec4 a row.
        pub quads: u32,
        /// Row of the clusters' table with the scaling.
        pub place: u32,
        /// Place in the label table of the first row's label.
        pub slot: u32,
        /// The first row's sample.
        pub first: u32,
        /// λ.
        pub power: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "assign_labels",
    source: include_str!("../../shaders/assign/assign_labels.wgsl"),
    shared: &[shared::TRANSPORT],
    params: size_of::<Params>(),
    bindings: &[
        read("scores"),
        read("bias"),
        read("rows"),
        read("clusters"),
        read_write("table"),
        write("info"),
        read_write("changed"),
    ],
    variants: WIDTHS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Columns of `info`.
pub mod info {
    /// Scaled score of the label above the next best's; 1e30 where there is one cluster.
    pub const MARGIN: usize = 0;
    /// log P of the label, P = softmax of the logits.
    pub const LOG_P: usize = 1;
    /// −Σ p log P over the clusters, p the row's shares of its mass.
    pub const COST: usize = 2;
    /// Σ p, 1 up to rounding.
    pub const MASS: usize = 3;
}

/// Where labels go: head, first sample, row of the clusters' table with the scaling.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Row of the label table.
    pub head: usize,
    /// The window's first sample.
    pub first: usize,
    /// Row of the clusters' table.
    pub scaling: usize,
}

/// Records `table[head, first + i] = argmax t[i]` and the row's costs.
///
/// # Errors
/// When the shapes do not fit together.
pub fn record(
    recording: &mut Recording,
    w: &Window<'_>,
    clusters: &Tensor,
    place: Place,
    [table, info, changed]: [&Tensor; 3],
) -> Result<()> {
    let [window, columns] = w.check("assign_labels", clusters)?;
    let [heads, samples] = table.matrix("assign_labels: table")?;
    info.expect("assign_labels: info (W, 4)", &[window, 4])?;
    changed.expect("assign_labels: changed (N)", &[samples])?;
    if place.head >= heads || place.first + w.used > samples || place.scaling >= 4 {
        return Err(Error::Shape(format!("assign_labels: {place:?} in {} with {} rows", table.shape, w.used)));
    }
    let p = Params {
        rows: w.used as u32,
        columns: columns as u32,
        quads: w.quads(),
        place: place.scaling as u32,
        slot: (place.head * table.shape.stride() + place.first) as u32,
        first: place.first as u32,
        power: w.power,
    };
    let tensors = [w.logits, w.bias, w.rows, clusters, table, info, changed];
    let wide = &assign_labels_subgroup::SHADER;
    match by_subgroups(recording, wide, w.used, columns) {
        Some((variant, grid)) => recording.dispatch_variant(wide, variant, p, &tensors, grid, cost(p)),
        None => recording.dispatch(&SHADER, p, &tensors, row_grid(w.used), cost(p)),
    }
}

/// The least work: each score read once; two exponentials (counted as one operation each) and a dozen more.
pub fn cost(p: Params) -> Cost {
    let scores = u64::from(p.rows) * u64::from(p.columns);
    Cost { operations: 14 * scores, bytes: 4 * (scores + 11 * u64::from(p.rows)) }
}

/// The twin: labels, then `info (used, 4)`.
pub fn reference(x: &[Array], used: usize, power: f64, place: usize) -> (Vec<f64>, Array) {
    let t = exponents(&x[0], &x[1], &x[2], power, Some(scaling(&x[3], place)));
    let shares = log_shares(&t);
    let log_p = log_shares(&exponents(&x[0], &x[1], &x[2], 1.0, None));
    let k = t.shape.last();
    let mut labels = Vec::new();
    let mut out = Array::zeros(&[used, 4]);
    for i in 0..used {
        let row = &t.data[i * k..(i + 1) * k];
        let label = (1..k).fold(0, |best, j| if row[j] > row[best] { j } else { best });
        let next = (0..k).filter(|j| *j != label).map(|j| row[j]).fold(-1e30, f64::max);
        let at = |a: &Array, j: usize| a.data[i * k + j];
        out.data[4 * i + info::MARGIN] = row[label] - next;
        out.data[4 * i + info::LOG_P] = at(&log_p, label);
        out.data[4 * i + info::COST] = (0..k).map(|j| -at(&shares, j).exp() * at(&log_p, j)).sum();
        out.data[4 * i + info::MASS] = (0..k).map(|j| at(&shares, j).exp()).sum();
        labels.push(label as f64);
    }
    (labels, out)
}

/// Few and many columns, part of a table of three heads and of a window, small whole scores so that rows hold their
/// maximum several times. Margins are differences of exponents up to 100, which round by 8e-6 each.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let sizes = [
        ([6, 2], 5, 1.0, false),
        ([9, 10], 9, 2.0, false),
        ([12, 40], 11, 1.0, true),
        ([5, 301], 5, 0.3, false),
        ([140, 17], 131, 1.0, false),
        ([4, 290], 3, 1.0, true),
    ];
    for (i, ([window, columns], used, spread, ties)) in sizes.into_iter().enumerate() {
        let (power, place, first) = (10.0, Place { head: 1, first: 3, scaling: i % 4 }, 3);
        let mut x = inputs([window, columns], spread, 10 * i as u64);
        if ties {
            x[0] = Array::integers(&[window, columns], 3, 5);
            (x[1], x[3]) = (Array::zeros(&[columns]), Array::zeros(&[4, columns]));
            x[2] = super::score_rows::reference(&x[0], &x[1]).map(|v| f64::from(v as f32));
        }
        let (labels, mut expected) = reference(&x, used, power, place.scaling);
        let table = Array::integers(&[3, used + 4], columns as u32, 7);
        let mut after = table.clone();
        let mut changed = Array::integers(&[used + 4], 9, 8);
        for (j, label) in labels.iter().enumerate() {
            let slot = &mut after.data[(used + 4) + first + j];
            changed.data[first + j] = f64::from(u8::from(*slot != *label));
            *slot = *label;
        }
        // Rows out of use are not written.
        let initial_info = Array::full(&[window, 4], 5.0);
        expected.data.extend(&initial_info.data[4 * used..]);
        let expected = Array::new(&[window, 4], expected.data);
        let output =
            |expected, initial: Array, dtype, tolerance| Output { expected, initial: Some(initial), dtype, tolerance };
        cases.push(Case {
            name: format!("{used} of {window} by {columns}{}", if ties { ", ties" } else { "" }),
            inputs: x.into_iter().map(|a| (a, DType::F32)).collect(),
            outputs: vec![
                output(after, table, DType::U32, Tolerance::EXACT),
                output(expected, initial_info, DType::F32, Tolerance::element(3e-5, 5e-5)),
                output(changed, Array::integers(&[used + 4], 9, 8), DType::F32, Tolerance::EXACT),
            ],
            scratch: Vec::new(),
            record: Box::new(move |r, i, o, _| {
                let w = Window { logits: &i[0], bias: &i[1], rows: &i[2], used, power: power as f32 };
                record(r, &w, &i[3], place, [&o[0], &o[1], &o[2]])
            }),
        });
    }
    cases
}
