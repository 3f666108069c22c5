//! Mean and biased variance of each channel. Shapes: `x (…, C)` → `out (2, C)`: row 0 mean, row 1 variance.
//! Source: Chan, Golub and LeVeque, 1979 (merging of slabs).

use super::columns::{Columns, SUMS, WIDE};
use super::{Case, Kernel, batch_norm, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result, Shape};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

/// Most rows of one group alone: in a sum of more squares a lane would err by more than those of slabs and their merge do.
const ALONE_ROWS: usize = 2048;
/// Modes of a dispatch.
const SLABS: u32 = 0;
const MERGE: u32 = 1;
const ALONE: u32 = 2;

params! {
    /// Uniforms of `batch_norm_stats.wgsl`.
    pub struct Params {
        /// Rows of `x`.
        pub rows: u32,
        /// Vec4 values a row.
        pub quads: u32,
        /// Columns of vec4 a group, a power of two.
        pub tile: u32,
        /// Rows a slab.
        pub slab: u32,
        /// Number of slabs.
        pub slabs: u32,
        /// 0 slabs, 1 merge, 2 one slab alone.
        pub mode: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "batch_norm_stats",
    source: include_str!("../../shaders/norm/batch_norm_stats.wgsl"),
    shared: &[shared::COLUMNS, shared::WHOLE_SUMS],
    params: size_of::<Params>(),
    bindings: &[read("x"), write("out")],
    variants: SUMS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// The shape of the slabs' statistics that [`record`] needs.
pub fn scratch(x: &Shape) -> Shape {
    Shape::new(&[Columns::of(x).most_slabs(), 2, x.last()])
}

/// Records the statistics of `x (…, C)`.
///
/// # Errors
/// When `out` is not `(2, C)` or `partial` is not [`scratch`]'s shape.
pub fn record(recording: &mut Recording, x: &Tensor, partial: &Tensor, out: &Tensor) -> Result<()> {
    batch_norm::expect_rows("batch_norm_stats: out", out, x)?;
    partial.expect("batch_norm_stats: partial", scratch(&x.shape).sizes())?;
    let c = Columns::of(&x.shape);
    let width = recording.variant(&SHADER).constant("WIDTH");
    let [tile, slab, slabs] =
        if c.rows <= ALONE_ROWS { c.sums(width) } else { [c.tile(width), c.slab(width), c.slabs(width)] };
    // On a GPU two dispatches for any shape: `join` may spare the first.
    let alone = slabs == 1 && width < WIDE;
    let p = Params {
        rows: c.rows as u32,
        quads: c.quads as u32,
        tile: tile as u32,
        slab: slab as u32,
        slabs: slabs as u32,
        mode: if alone { ALONE } else { SLABS },
    };
    let first = if alone { out } else { partial };
    let (variant, sets) = c.fit(&recording.variants, &SHADER, tile, slab);
    let groups = c.grid(tile * sets, slabs, 1);
    recording.dispatch_variant_constant(&SHADER, variant, p, &[x, first], groups, cost(p))?;
    if alone {
        return Ok(());
    }
    let tile = c.narrow_tile(width);
    let p = Params { tile: tile as u32, mode: MERGE, ..p };
    let (variant, _) = c.fit(&recording.variants, &SHADER, tile, slabs);
    recording.dispatch_variant_constant(&SHADER, variant, p, &[partial, out], c.grid(tile, 1, 1), cost(p))
}

/// The least work: every value read once, three operations each; the merge reads two numbers a slab and channel.
pub fn cost(p: Params) -> Cost {
    let rows = if p.mode == MERGE { 2 * p.slabs } else { p.rows };
    let values = 4 * u64::from(rows) * u64::from(p.quads);
    Cost { operations: 3 * values, bytes: 4 * values }
}

/// The twin: two passes.
pub fn reference(x: &Array) -> Array {
    let (rows, c) = (x.shape.rows() as f64, x.shape.last());
    let mut out = Array::zeros(&[2, c]);
    for row in x.data.chunks_exact(c) {
        for (i, v) in row.iter().enumerate() {
            out.data[i] += v / rows;
        }
    }
    for row in x.data.chunks_exact(c) {
        for (i, v) in row.iter().enumerate() {
            out.data[c + i] += (v - out.data[i]).powi(2) / rows;
        }
    }
    out
}

/// The mean is off by its own rounding (1e-6 relative is 16 units in the last place) and by that of a deviation over √n
/// (2e-7 absolute). The variance is a sum of squares of shifted values: 2e-6 relative, also where the mean is a thousand
/// deviations (there a naive E x² − mean² would keep no digit).
fn cases() -> Vec<Case> {
    batch_norm::inputs()
        .into_iter()
        .map(|(name, x)| {
            let partial = scratch(&x.shape);
            let expected = reference(&x);
            Case::new(name, vec![x], expected, Tolerance::element(2e-6, 2e-7), |r, i, o, s| {
                record(r, &i[0], &s[0], &o[0])
            })
            .with_scratch(vec![partial])
        })
        .collect()
}
