//! One row repeated, times a factor: the transpose of `sum_rows`.
//! Shapes: `b (C)` → `out (…, C)`, `b (R, C)` → `out (R, H, W, C)`.

use super::columns::{Columns, ROWS};
use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result, Shape};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `broadcast_rows.wgsl`.
    pub struct Params {
        /// Rows that repeat one row of `b`.
        pub rows: u32,
        /// Vec4 values a row.
        pub quads: u32,
        /// Columns of vec4 a group, a power of two.
        pub tile: u32,
        /// Rows a group.
        pub slab: u32,
        /// Multiplies the values.
        pub factor: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "broadcast_rows",
    source: include_str!("../../shaders/layout/broadcast_rows.wgsl"),
    shared: &[shared::WHOLE_ROWS],
    params: size_of::<Params>(),
    bindings: &[read("b"), write("out")],
    variants: ROWS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out = factor · b` in every row.
///
/// # Errors
/// When `b` is not `(C)`.
pub fn record(recording: &mut Recording, b: &Tensor, factor: f32, out: &Tensor) -> Result<()> {
    b.expect("broadcast_rows: b (C)", &[out.shape.last()])?;
    dispatch(recording, b, factor, [1, out.shape.rows()], out)
}

/// Records `out[r] = factor · b[r]` in every pixel of `out (R, H, W, C)`.
///
/// # Errors
/// When `out` is not an image tensor or `b` is not `(R, C)`.
pub fn record_images(recording: &mut Recording, b: &Tensor, factor: f32, out: &Tensor) -> Result<()> {
    let [r, h, w, c] = out.image("broadcast_rows: out (R, H, W, C)")?;
    b.expect("broadcast_rows: b (R, C)", &[r, c])?;
    dispatch(recording, b, factor, [r, h * w], out)
}

fn dispatch(
    recording: &mut Recording,
    b: &Tensor,
    factor: f32,
    [images, rows]: [usize; 2],
    out: &Tensor,
) -> Result<()> {
    let c = Columns::new(rows, out.shape.stride() / 4);
    let width = recording.variant(&SHADER).constant("WIDTH");
    let (tile, slab) = (c.tile(width), c.stretch(width, 1));
    let p = Params { rows: rows as u32, quads: c.quads as u32, tile: tile as u32, slab: slab as u32, factor };
    let (variant, sets) = c.fit(&recording.variants, &SHADER, tile, slab);
    let groups = c.grid(tile * sets, rows.div_ceil(slab), images);
    recording.dispatch_variant(&SHADER, variant, p, &[b, out], groups, cost(p, images))
}

/// The least work for `images` images: write every value, read each row of `b` once; one multiplication for each of
/// those.
pub fn cost(p: Params, images: usize) -> Cost {
    let columns = 4 * u64::from(p.quads) * images as u64;
    Cost { operations: columns, bytes: 4 * columns * (u64::from(p.rows) + 1) }
}

/// The twin of [`record`].
pub fn reference(b: &Array, factor: f64, shape: &Shape) -> Array {
    Array::from_fn(shape.sizes(), |i| factor * b.data[i % shape.last()])
}

/// The twin of [`record_images`].
pub fn reference_images(b: &Array, factor: f64, shape: &Shape) -> Array {
    let image = shape.elements() / shape.sizes()[0];
    Array::from_fn(shape.sizes(), |i| factor * b.data[i / image * shape.last() + i % shape.last()])
}

/// One row, odd columns, more columns than a tile, more rows than a group, a real layer. The factor is a power of two, so the copy is exact.
fn cases() -> Vec<Case> {
    let sizes: [&[usize]; 8] = [
        &[1, 5],
        &[67, 3],
        &[9, 261],
        &[2, 3, 2, 5],
        &[3, 9, 8, 66],
        &[2, 32, 32, 16],
        &[3, 9, 8, 64],
        &[2, 7, 5, 384],
    ];
    let mut cases = Vec::new();
    for (i, s) in sizes.into_iter().enumerate() {
        let shape = Shape::new(s);
        let b = Array::normal(&[shape.last()], 1.0, i as u64);
        let expected = reference(&b, 0.5, &shape);
        cases.push(Case::new(format!("all rows {shape}"), vec![b], expected, Tolerance::EXACT, |r, i, o, _| {
            record(r, &i[0], 0.5, &o[0])
        }));
        if shape.rank() == 4 {
            let b = Array::normal(&[s[0], s[3]], 1.0, 40 + i as u64);
            let expected = reference_images(&b, 0.5, &shape);
            cases.push(Case::new(format!("images {shape}"), vec![b], expected, Tolerance::EXACT, |r, i, o, _| {
                record_images(r, &i[0], 0.5, &o[0])
            }));
        }
    }
    cases
}
