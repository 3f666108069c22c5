//! Sum over rows: of a whole tensor, or of each image. Shapes: `x (…, C)` → `out (C)`, `x (R, H, W, C)` → `out (R, C)`.

use super::columns::{Columns, ROWS};
use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `sum_rows.wgsl`.
    pub struct Params {
        /// Rows of one image (of everything, where all rows are summed).
        pub rows: u32,
        /// Vec4 values a row.
        pub quads: u32,
        /// Columns of vec4 a group, a power of two.
        pub tile: u32,
        /// Rows a group.
        pub slab: u32,
        /// Multiplies the sums.
        pub factor: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "sum_rows",
    source: include_str!("../../shaders/reduce/sum_rows.wgsl"),
    shared: &[shared::WHOLE_SUMS],
    params: size_of::<Params>(),
    bindings: &[read("x"), write("out")],
    variants: ROWS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// The shape of the partial sums that [`record`] needs.
pub fn scratch(x: &Shape) -> Shape {
    Shape::new(&[Columns::of(x).most_slabs(), x.last()])
}

/// Records `out (C) = factor · Σ x` over all rows of `x (…, C)`.
///
/// # Errors
/// When `out` is not `(C)` or `partial` is not [`scratch`]'s shape.
pub fn record(recording: &mut Recording, x: &Tensor, factor: f32, partial: &Tensor, out: &Tensor) -> Result<()> {
    out.expect("sum_rows: out (C)", &[x.shape.last()])?;
    partial.expect("sum_rows: partial", scratch(&x.shape).sizes())?;
    let columns = Columns::of(&x.shape);
    let width = recording.variant(&SHADER).constant("WIDTH");
    let [tile, slab, slabs] = columns.sums(width);
    if slabs == 1 {
        return fold(recording, x, columns.rows, columns.quads, factor, out);
    }
    let p = params_of(columns.rows, columns.quads, tile, slab, 1.0);
    let (variant, sets) = columns.fit(&recording.variants, &SHADER, tile, slab);
    let groups = columns.grid(tile * sets, slabs, 1);
    recording.dispatch_variant(&SHADER, variant, p, &[x, partial], groups, cost(p, 1))?;
    fold(recording, partial, slabs, columns.quads, factor, out)
}

/// Records `out (R, C) = factor · Σ x[r]` over the pixels of each image of `x (R, H, W, C)`.
///
/// # Errors
/// When `x` is not an image tensor or `out` is not `(R, C)`.
pub fn record_images(recording: &mut Recording, x: &Tensor, factor: f32, out: &Tensor) -> Result<()> {
    let [r, h, w, c] = x.image("sum_rows: x (R, H, W, C)")?;
    out.expect("sum_rows: out (R, C)", &[r, c])?;
    let columns = Columns::new(h * w, x.shape.stride() / 4);
    let tile = columns.tile(recording.variant(&SHADER).constant("WIDTH"));
    let p = params_of(h * w, columns.quads, tile, h * w, factor);
    let (variant, sets) = columns.fit(&recording.variants, &SHADER, tile, h * w);
    recording.dispatch_variant(&SHADER, variant, p, &[x, out], columns.grid(tile * sets, 1, r), cost(p, r))
}

/// Records `out = factor · Σ x` over `rows` rows of `quads` vec4 values with one group a tile: a second stage.
pub(super) fn fold(
    recording: &mut Recording,
    x: &Tensor,
    rows: usize,
    quads: usize,
    factor: f32,
    out: &Tensor,
) -> Result<()> {
    if x.shape.physical() < rows * quads * 4 || out.shape.physical() < quads * 4 {
        return Err(Error::Shape(format!(
            "sum_rows: {rows} rows of {quads} vec4 in {}, sums in {}",
            x.shape, out.shape
        )));
    }
    let columns = Columns::new(rows, quads);
    let tile = columns.narrow_tile(recording.variant(&SHADER).constant("WIDTH"));
    let p = params_of(rows, quads, tile, rows, factor);
    let (variant, _) = columns.fit(&recording.variants, &SHADER, tile, rows);
    recording.dispatch_variant_constant(&SHADER, variant, p, &[x, out], columns.grid(tile, 1, 1), cost(p, 1))
}

fn params_of(rows: usize, quads: usize, tile: usize, slab: usize, factor: f32) -> Params {
    Params { rows: rows as u32, quads: quads as u32, tile: tile as u32, slab: slab as u32, factor }
}

/// The least work for `images` images: every value read once, one addition each.
pub fn cost(p: Params, images: usize) -> Cost {
    let values = 4 * u64::from(p.rows) * u64::from(p.quads) * images as u64;
    Cost { operations: values, bytes: 4 * values }
}

/// The twin of [`record`].
pub fn reference(x: &Array, factor: f64) -> Array {
    let c = x.shape.last();
    let mut out = Array::zeros(&[c]);
    for row in x.data.chunks_exact(c) {
        for (sum, v) in out.data.iter_mut().zip(row) {
            *sum += factor * v;
        }
    }
    out
}

/// The twin of [`record_images`].
pub fn reference_images(x: &Array, factor: f64) -> Array {
    let (r, c) = (x.sizes()[0], x.shape.last());
    let pixels = x.data.len() / r;
    let images = x.data.chunks_exact(pixels);
    let data = images.flat_map(|i| reference(&Array::new(&[pixels / c, c], i.to_vec()), factor).data).collect();
    Array::new(&[r, c], data)
}

/// Row counts around a lane's and a slab's, columns around a tile's, a real layer. Float32 sums of n normal values in
/// short runs and a tree err by a few √n·2⁻²⁴: 2e-6 relative to the largest sum (about √n) covers it.
fn cases() -> Vec<Case> {
    let sizes: [&[usize]; 10] = [
        &[1, 5],
        &[65, 3],
        &[7, 261],
        &[2, 3, 3, 5],
        &[4097, 2],
        &[2, 32, 32, 16],
        &[3, 1500, 9],
        &[4500, 64],
        &[4129, 128],
        &[4100, 256],
    ];
    let mut cases = Vec::new();
    for (i, s) in sizes.into_iter().enumerate() {
        let x = Array::normal(s, 1.0, i as u64);
        let (partial, expected) = (scratch(&x.shape), reference(&x, 0.5));
        let name = format!("all rows {}", x.shape);
        cases.push(
            Case::new(name, vec![x], expected, Tolerance::largest(2e-6), |r, i, o, s| {
                record(r, &i[0], 0.5, &s[0], &o[0])
            })
            .with_scratch(vec![partial]),
        );
    }
    let images: [&[usize]; 5] = [&[2, 3, 2, 5], &[3, 1, 1, 4], &[5, 8, 8, 64], &[2, 7, 9, 258], &[3, 5, 4, 384]];
    for (i, s) in images.into_iter().enumerate() {
        let x = Array::normal(s, 1.0, 20 + i as u64);
        let expected = reference_images(&x, 0.25);
        let name = format!("images {}", x.shape);
        cases.push(Case::new(name, vec![x], expected, Tolerance::largest(2e-6), |r, i, o, _| {
            record_images(r, &i[0], 0.25, &o[0])
        }));
    }
    cases
}
