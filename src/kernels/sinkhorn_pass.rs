//! One Sinkhorn iteration over a window of scores, each read once. Shapes: `logits (W, K)`, `bias (K)`, `rows (W, 4)`,
//! `clusters (4, K)` → `sums (slabs, K)`.

use super::shares::{Window, exponents, inputs, log_shares, scaling};
use super::{Case, Kernel, params, shared, sinkhorn_pass_subgroup};
use crate::base::compare::Tolerance;
use crate::base::{Array, Error, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `sinkhorn_pass.wgsl`.
    pub struct Params {
        /// W, those in use.
        pub rows: u32,
        /// K.
        pub columns: u32,
        /// Vec4 a row.
        pub quads: u32,
        /// Rows a group.
        pub slab: u32,
        /// Place of the first group in the sums.
        pub first_slab: u32,
        /// λ.
        pub power: f32,
    }
}

/// The shader. Its variants are ordered by the columns they hold; naming one sets the least that is taken.
pub static SHADER: Shader = Shader {
    name: "sinkhorn_pass",
    source: include_str!("../../shaders/assign/sinkhorn_pass.wgsl"),
    shared: &[shared::TRANSPORT, shared::QUADS, shared::SINKHORN],
    params: size_of::<Params>(),
    bindings: &[read("scores"), read("bias"), read("rows"), read("clusters"), write("sums")],
    variants: &[
        Variant::base("8x4", &[("WIDTH", 8.0), ("QUADS", 4.0)]),
        Variant::base("32x1", &[("WIDTH", 32.0), ("QUADS", 1.0)]),
        Variant::base("32x4", &[("WIDTH", 32.0), ("QUADS", 4.0)]),
        Variant::base("64x4", &[("WIDTH", 64.0), ("QUADS", 4.0)]),
        Variant::base("128x4", &[("WIDTH", 128.0), ("QUADS", 4.0)]),
        Variant::base("256x4", &[("WIDTH", 256.0), ("QUADS", 4.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Most clusters that one workgroup holds; more take [`super::sinkhorn_wide`].
pub const MOST_CLUSTERS: usize = 4096;

/// How rows are shared out: rows of a slab, and the place of a window's first slab in the sums.
#[derive(Clone, Copy, Debug)]
pub struct Slabs {
    /// Rows a slab.
    pub rows: usize,
    /// Place of the first slab.
    pub first: usize,
}

impl Slabs {
    /// Checks that the sums have room for the slabs of `used` rows; their number.
    ///
    /// # Errors
    /// When they have not; `what` names the kernel.
    pub fn check(&self, what: &str, used: usize, sums: &Tensor, columns: usize) -> Result<usize> {
        let [room, width] = sums.matrix(&format!("{what}: sums"))?;
        let count = used.div_ceil(self.rows.max(1));
        if self.rows == 0 || self.first + count > room || width != columns {
            return Err(Error::Shape(format!("{what}: {count} slabs from {} on in {}", self.first, sums.shape)));
        }
        Ok(count)
    }
}

/// The first variant, from the one asked for on, that holds the clusters.
fn fitting(variants: &[Variant], from: usize, columns: usize) -> Option<usize> {
    let holds = |v: &Variant| 4 * (v.constant("WIDTH") * v.constant("QUADS")) as usize;
    (from..variants.len()).find(|&i| holds(&variants[i]) >= columns)
}

/// Records the sums of each slab's shares at the scaling in the first row of `clusters`.
///
/// # Errors
/// When the shapes do not fit together, or there are more than [`MOST_CLUSTERS`].
pub fn record(recording: &mut Recording, w: &Window<'_>, clusters: &Tensor, slabs: Slabs, sums: &Tensor) -> Result<()> {
    let [_, columns] = w.check("sinkhorn_pass", clusters)?;
    let groups = slabs.check("sinkhorn_pass", w.used, sums, columns)?;
    let p = Params {
        rows: w.used as u32,
        columns: columns as u32,
        quads: w.quads(),
        slab: slabs.rows as u32,
        first_slab: slabs.first as u32,
        power: w.power,
    };
    let subgroup = recording.variants.get(&sinkhorn_pass_subgroup::SHADER);
    let (shader, from) = match subgroup {
        Some(from) => (&sinkhorn_pass_subgroup::SHADER, from),
        None => (&SHADER, recording.variants.index(&SHADER)),
    };
    let variant = fitting(shader.variants, from, columns)
        .ok_or_else(|| Error::Shape(format!("{}: {columns} clusters, at most {MOST_CLUSTERS}", shader.name)))?;
    let tensors = [w.logits, w.bias, w.rows, clusters, sums];
    recording.dispatch_variant(shader, variant, p, &tensors, [groups as u32, 1, 1], cost(p))
}

/// The least work: each score read once, one exponential (counted as one operation) and six more; a row's maximum.
pub fn cost(p: Params) -> Cost {
    let scores = u64::from(p.rows) * u64::from(p.columns);
    let slabs = u64::from(p.rows.div_ceil(p.slab));
    Cost { operations: 7 * scores, bytes: 4 * (scores + u64::from(p.rows) + slabs * u64::from(p.columns)) }
}

/// The twin: sums of shares, slab by slab; `x` is logits, bias, rows, clusters.
pub fn reference(x: &[Array], used: usize, power: f64, slab: usize) -> Array {
    let t = exponents(&x[0], &x[1], &x[2], power, Some(scaling(&x[3], 0)));
    let shares = log_shares(&t).map(f64::exp);
    let k = shares.shape.last();
    let mut out = Array::zeros(&[used.div_ceil(slab), k]);
    for (i, share) in shares.data[..used * k].iter().enumerate() {
        out.data[i / k / slab * k + i % k] += share;
    }
    out
}

/// A share is an exponential of at most 1 over a sum of such ([`super::rows::EXPONENTIAL`]); its exponent of up to 100
/// rounds by 8e-6, which it takes as a relative error. Sums of a slab err less than their largest term.
pub(super) const SHARES: Tolerance = Tolerance { abs: 2e-6, rel: 3e-5, scale: crate::base::compare::Scale::Element };

/// Sizes of the cases: `[W, used, K, rows a slab]`, λ and the logits' spread: single rows and columns, an odd row in a
/// slab, slabs that do not divide the rows, columns around each variant's, unused rows, peaked scores.
pub(super) const SIZES: [([usize; 4], f64, f64); 10] = [
    ([2, 2, 1, 2], 10.0, 1.0),
    ([7, 5, 3, 2], 10.0, 1.0),
    ([5, 5, 4, 3], 10.0, 0.3),
    ([40, 37, 10, 16], 25.0, 2.0),
    ([33, 33, 127, 8], 10.0, 0.5),
    ([9, 9, 129, 4], 10.0, 0.5),
    ([21, 20, 513, 7], 10.0, 0.3),
    ([12, 12, 1000, 5], 10.0, 0.3),
    ([5, 5, 1025, 5], 25.0, 0.2),
    ([4, 3, 3000, 2], 10.0, 0.3),
];

/// At [`SIZES`].
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (seed, ([window, used, columns, slab], power, spread)) in SIZES.into_iter().enumerate() {
        let x = inputs([window, columns], spread, 10 * seed as u64);
        let expected = reference(&x, used, power, slab);
        // One cluster takes everything: every share is 1, and a constant is no expectation.
        if columns == 1 {
            continue;
        }
        let name = format!("{used} of {window} by {columns} in slabs of {slab}");
        cases.push(Case::new(name, x, expected, SHARES, move |r, i, o, _| {
            let w = Window { logits: &i[0], bias: &i[1], rows: &i[2], used, power: power as f32 };
            record(r, &w, &i[3], Slabs { rows: slab, first: 0 }, &o[0])
        }));
    }
    cases
}
