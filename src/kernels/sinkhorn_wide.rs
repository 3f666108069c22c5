//! One Sinkhorn iteration over a window of scores for any number of clusters, with each cluster's largest share in the
//! log domain. Shapes: as `sinkhorn_pass`, and `tops (slabs, K)`.

use super::shares::{Window, exponents, inputs, log_shares, scaling};
use super::sinkhorn_pass::{self, FIELDS, Params, SHARES, SIZES, Slabs};
use super::{Case, Kernel, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Recording, Shader, Tensor, Variant, read, read_write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "sinkhorn_wide",
    source: include_str!("../../shaders/assign/sinkhorn_wide.wgsl"),
    shared: &[shared::TRANSPORT],
    params: size_of::<Params>(),
    bindings: &[read("scores"), read("bias"), read("rows"), read("clusters"), read_write("sums"), read_write("tops")],
    variants: &[
        Variant::base("8", &[("WIDTH", 8.0)]),
        Variant::base("64", &[("WIDTH", 64.0)]),
        Variant::base("256", &[("WIDTH", 256.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records the sums of each slab's shares, and their largest logarithms, at the scaling in the first row of `clusters`.
///
/// # Errors
/// When the shapes do not fit together.
pub fn record(
    recording: &mut Recording,
    w: &Window<'_>,
    clusters: &Tensor,
    slabs: Slabs,
    sums: &Tensor,
    tops: &Tensor,
) -> Result<()> {
    let [_, columns] = w.check("sinkhorn_wide", clusters)?;
    let groups = slabs.check("sinkhorn_wide", w.used, sums, columns)?;
    tops.expect("sinkhorn_wide: tops, as sums", sums.shape.sizes())?;
    let p = Params {
        rows: w.used as u32,
        columns: columns as u32,
        quads: w.quads(),
        slab: slabs.rows as u32,
        first_slab: slabs.first as u32,
        power: w.power,
    };
    let tensors = [w.logits, w.bias, w.rows, clusters, sums, tops];
    let wish = recording.variants.get(&SHADER);
    let rows = slabs.rows.min(w.used);
    let fits = |&variant: &usize| rows <= most_rows(width(variant), columns);
    let variant = (wish.unwrap_or(0)..SHADER.variants.len()).find(fits).unwrap_or(SHADER.variants.len() - 1);
    recording.dispatch_variant(&SHADER, variant, p, &tensors, [groups as u32, 1, 1], sinkhorn_pass::cost(p))
}

/// Iterations of all loops of one invocation: Mesa's llvmpipe silently ends them after 65,535.
pub(super) const MOST_LOOPS: usize = 60_000;

/// Rows of a slab that groups of `width` lanes walk through within [`MOST_LOOPS`] iterations: the columns of a row
/// twice, those of a turn of 32 rows once more, and a tree.
fn most_rows(width: usize, columns: usize) -> usize {
    let quads = columns.div_ceil(4).div_ceil(width);
    (MOST_LOOPS / (2 * quads + quads.div_ceil(16) + width.ilog2() as usize + 4)).max(1)
}

fn width(variant: usize) -> usize {
    SHADER.variants[variant].constant("WIDTH") as usize
}

/// Most rows of a slab on any adapter: as many as the widest variant walks through.
pub fn most_slab_rows(columns: usize) -> usize {
    most_rows(width(SHADER.variants.len() - 1), columns)
}

/// The twin of the largest log shares, slab by slab; `x` is logits, bias, rows, clusters.
pub fn reference_tops(x: &[Array], used: usize, power: f64, slab: usize) -> Array {
    let shares = log_shares(&exponents(&x[0], &x[1], &x[2], power, Some(scaling(&x[3], 0))));
    let k = shares.shape.last();
    let mut out = Array::full(&[used.div_ceil(slab), k], -1e30);
    for (i, share) in shares.data[..used * k].iter().enumerate() {
        let place = &mut out.data[i / k / slab * k + i % k];
        *place = place.max(*share);
    }
    out
}

/// At [`SIZES`], and slabs of several turns with scores so peaked that most shares underflow. An exponent of e rounds
/// by 2⁻²³·e, and so does its logarithm.
fn cases() -> Vec<Case> {
    let mut sizes: Vec<_> = SIZES.into_iter().filter(|(s, ..)| s[2] > 1).collect();
    sizes.push(([75, 70, 5, 70], 25.0, 10.0));
    sizes.push(([130, 130, 40, 65], 25.0, 1000.0));
    let mut cases = Vec::new();
    for (seed, ([window, used, columns, slab], power, spread)) in sizes.into_iter().enumerate() {
        let x = inputs([window, columns], spread, 10 * seed as u64);
        let (sums, tops) = (reference_sums(&x, used, power, slab), reference_tops(&x, used, power, slab));
        let name = format!("{used} of {window} by {columns} in slabs of {slab}, spread {spread}");
        let deepest = tops.data.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let near = Tolerance::element(1e-6, 1e-5 + 1e-6 * deepest);
        let case = Case::new(name, x, sums, loose(spread), move |r, i, o, _| {
            let w = Window { logits: &i[0], bias: &i[1], rows: &i[2], used, power: power as f32 };
            record(r, &w, &i[3], Slabs { rows: slab, first: 0 }, &o[0], &o[1])
        });
        cases.push(case.and_output(tops, near));
    }
    cases
}

fn reference_sums(x: &[Array], used: usize, power: f64, slab: usize) -> Array {
    sinkhorn_pass::reference(x, used, power, slab)
}

/// Exponents of λ · spread · 5 round by 2⁻²³ of that, which a share takes as a relative error.
fn loose(spread: f64) -> Tolerance {
    if spread < 5.0 { SHARES } else { Tolerance { abs: 1e-5 * spread, rel: 1e-5 * spread, ..SHARES } }
}
