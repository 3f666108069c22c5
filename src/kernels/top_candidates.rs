//! The best clusters of each row by scaled score, best first, with their scores. Shapes: `logits (W, K)`, `bias (K)`,
//! `rows (W, 4)`, `clusters (4, K)` → `out (W, L)` unsigned, `value (W, L)`.

use super::rows::{WIDTHS, by_subgroups, row_grid};
use super::shares::{Window, exponents, inputs, scaling};
use super::{Case, Kernel, Output, params, shared, top_candidates_subgroup};
use crate::base::compare::Tolerance;
use crate::base::{Array, DType, Error, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `top_candidates.wgsl`.
    pub struct Params {
        /// W, those in use.
        pub rows: u32,
        /// K.
        pub columns: u32,
        /// Vec4 a row.
        pub quads: u32,
        /// Row of the clusters' table with the scaling.
        pub place: u32,
        /// L.
        pub count: u32,
        /// L padded.
        pub stride: u32,
        /// λ.
        pub power: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "top_candidates",
    source: include_str!("../../shaders/assign/top_candidates.wgsl"),
    shared: &[shared::TRANSPORT],
    params: size_of::<Params>(),
    bindings: &[read("scores"), read("bias"), read("rows"), read("clusters"), write("out"), write("value")],
    variants: WIDTHS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records the `L` best clusters of each row and their scores λ · (logit − the row's largest); `scaling` is the row of
/// the clusters' table that is added before comparing.
///
/// # Errors
/// When the shapes do not fit together, or `L` passes `K`.
pub fn record(
    recording: &mut Recording,
    w: &Window<'_>,
    clusters: &Tensor,
    scaling: usize,
    out: &Tensor,
    value: &Tensor,
) -> Result<()> {
    let [window, columns] = w.check("top_candidates", clusters)?;
    let [_, count] = out.matrix("top_candidates: out")?;
    out.expect("top_candidates: out (W, L)", &[window, count])?;
    value.expect("top_candidates: value, as out", &[window, count])?;
    if count > columns || scaling >= 4 {
        return Err(Error::Shape(format!("top_candidates: {count} of {columns} clusters, scaling {scaling} of 4")));
    }
    let p = Params {
        rows: w.used as u32,
        columns: columns as u32,
        quads: w.quads(),
        place: scaling as u32,
        count: count as u32,
        stride: out.shape.stride() as u32,
        power: w.power,
    };
    let tensors = [w.logits, w.bias, w.rows, clusters, out, value];
    let wide = &top_candidates_subgroup::SHADER;
    match by_subgroups(recording, wide, w.used, columns).filter(|_| top_candidates_subgroup::holds(columns, count)) {
        Some((variant, grid)) => recording.dispatch_variant(wide, variant, p, &tensors, grid, cost(p)),
        None => recording.dispatch(&SHADER, p, &tensors, row_grid(w.used), cost(p)),
    }
}

/// The least work: each score read once, compared L times.
pub fn cost(p: Params) -> Cost {
    let scores = u64::from(p.rows) * u64::from(p.columns);
    let answers = 2 * u64::from(p.rows) * u64::from(p.count);
    Cost { operations: scores * u64::from(p.count), bytes: 4 * (scores + answers) }
}

/// The twin: clusters and scores, `(used, L)` each.
pub fn reference(x: &[Array], used: usize, power: f64, place: usize, count: usize) -> [Array; 2] {
    let plain = exponents(&x[0], &x[1], &x[2], power, None);
    let t = exponents(&x[0], &x[1], &x[2], power, Some(scaling(&x[3], place)));
    let k = t.shape.last();
    let (mut at, mut value) = (Vec::new(), Vec::new());
    for i in 0..used {
        let mut order: Vec<usize> = (0..k).collect();
        order.sort_by(|a, b| t.data[i * k + b].total_cmp(&t.data[i * k + a]).then(a.cmp(b)));
        at.extend(order[..count].iter().map(|&j| j as f64));
        value.extend(order[..count].iter().map(|&j| plain.data[i * k + j]));
    }
    [Array::new(&[used, count], at), Array::new(&[used, count], value)]
}

/// All clusters in order, a few of many, and small whole scores so that ties are common. Scores up to 100 round by
/// 8e-6 twice.
fn cases() -> Vec<Case> {
    cases_where(|_, _| true)
}

/// Those of so many columns and candidates.
pub(super) fn cases_where(fits: impl Fn(usize, usize) -> bool) -> Vec<Case> {
    let mut cases = Vec::new();
    let sizes = [
        ([4, 3], 3, false),
        ([7, 10], 5, true),
        ([9, 130], 16, false),
        ([3, 77], 2, false),
        ([40, 128], 128, false),
        ([5, 100], 97, true),
        ([19, 300], 32, true),
        ([3, 450], 17, false),
        ([2, 200], 50, false),
    ];
    for (i, ([rows, columns], count, ties)) in sizes.into_iter().enumerate().filter(|(_, (n, l, _))| fits(n[1], *l)) {
        let (power, scaling) = (10.0, i % 4);
        let mut x = inputs([rows, columns], 1.0, 10 * i as u64);
        if ties {
            // The best are of several values in any case.
            x[0] = Array::integers(&[rows, columns], if columns > 128 { 40 } else { 3 }, 5);
            (x[1], x[3]) = (Array::zeros(&[columns]), Array::zeros(&[4, columns]));
            x[2] = super::score_rows::reference(&x[0], &x[1]).map(|v| f64::from(v as f32));
        }
        let [at, value] = reference(&x, rows, power, scaling, count);
        let output = |expected, dtype, tolerance| Output { expected, initial: None, dtype, tolerance };
        cases.push(Case {
            name: format!("{count} of {columns}, {rows} rows"),
            inputs: x.into_iter().map(|a| (a, DType::F32)).collect(),
            outputs: vec![
                output(at, DType::U32, Tolerance::EXACT),
                output(value, DType::F32, Tolerance::element(1e-6, 3e-5)),
            ],
            scratch: Vec::new(),
            record: Box::new(move |r, i, o, _| {
                let w = Window { logits: &i[0], bias: &i[1], rows: &i[2], used: rows, power: power as f32 };
                record(r, &w, &i[3], scaling, &o[0], &o[1])
            }),
        });
    }
    cases
}
