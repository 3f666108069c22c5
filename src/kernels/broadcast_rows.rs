//! One row repeated, times a factor: the transpose of `sum_rows`.
//! Shapes: `b (C)` → `out (…, C)`, `b (R, C)` → `out (R, H, W, C)`.

use super::{Case, Kernel, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result, Shape};
use crate::gpu::recording::grid;
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `broadcast_rows.wgsl`.
    pub struct Params {
        /// Vec4 values of `out`.
        pub count: u32,
        /// Rows that repeat one row of `b`.
        pub rows: u32,
        /// Vec4 values a row.
        pub quads: u32,
        /// Multiplies the values.
        pub factor: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "broadcast_rows",
    source: include_str!("../../shaders/layout/broadcast_rows.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("b"), write("out")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)]), Variant::base("256", &[("WIDTH", 256.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out = factor · b` in every row.
///
/// # Errors
/// When `b` is not `(C)`.
pub fn record(recording: &mut Recording, b: &Tensor, factor: f32, out: &Tensor) -> Result<()> {
    b.expect("broadcast_rows: b (C)", &[out.shape.last()])?;
    dispatch(recording, b, factor, out.shape.rows(), out)
}

/// Records `out[r] = factor · b[r]` in every pixel of `out (R, H, W, C)`.
///
/// # Errors
/// When `out` is not an image tensor or `b` is not `(R, C)`.
pub fn record_images(recording: &mut Recording, b: &Tensor, factor: f32, out: &Tensor) -> Result<()> {
    let [r, h, w, c] = out.image("broadcast_rows: out (R, H, W, C)")?;
    b.expect("broadcast_rows: b (R, C)", &[r, c])?;
    dispatch(recording, b, factor, h * w, out)
}

fn dispatch(recording: &mut Recording, b: &Tensor, factor: f32, rows: usize, out: &Tensor) -> Result<()> {
    let count = out.shape.physical() / 4;
    let p = Params { count: count as u32, rows: rows as u32, quads: (out.shape.stride() / 4) as u32, factor };
    let width = recording.variant(&SHADER).constant("WIDTH");
    recording.dispatch(&SHADER, p, &[b, out], grid(count, width), cost(p))
}

/// The least work: write every value, read each row of `b` once; one multiplication a value.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.count);
    Cost { operations: values, bytes: 4 * (values + values / u64::from(p.rows)) }
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

/// One row, odd columns, more than a group, a real layer. The factor is a power of two, so the copy is exact.
fn cases() -> Vec<Case> {
    let sizes: [&[usize]; 4] = [&[1, 5], &[67, 3], &[2, 3, 2, 5], &[2, 32, 32, 16]];
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
