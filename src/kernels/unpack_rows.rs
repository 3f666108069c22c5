//! Rows of float16, two a word, as float32. Shapes: `words (R, ⌈C / 2⌉)` → `out (R, C)`.

use half::f16;

use super::flat::{VARIANTS, flat_grid};
use super::scatter_rows::store_columns;
use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `unpack_rows.wgsl`.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// Vec4 a row of the output.
        pub quads: u32,
        /// Words a row, padded.
        pub words: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "unpack_rows",
    source: include_str!("../../shaders/assign/unpack_rows.wgsl"),
    shared: &[shared::WALK],
    params: size_of::<Params>(),
    bindings: &[read("words"), write("out")],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out = words` as float32.
///
/// # Errors
/// When the shapes do not fit together.
pub fn record(recording: &mut Recording, words: &Tensor, out: &Tensor) -> Result<()> {
    let [rows, columns] = out.matrix("unpack_rows: out")?;
    words.expect("unpack_rows: words", &[rows, store_columns(columns, true)])?;
    let p = Params { rows: rows as u32, quads: (out.shape.stride() / 4) as u32, words: words.shape.stride() as u32 };
    let groups = flat_grid(recording, &SHADER, rows * p.quads as usize);
    recording.dispatch(&SHADER, p, &[words, out], groups, cost(p))
}

/// The least work: each value read as two bytes and written as four.
pub fn cost(p: Params) -> Cost {
    Cost { operations: 0, bytes: 24 * u64::from(p.rows) * u64::from(p.quads) }
}

/// The twin; words are whole numbers.
pub fn reference(words: &Array, columns: usize) -> Array {
    let width = words.shape.last();
    Array::from_fn(&[words.sizes()[0], columns], |i| {
        let word = words.data[i / columns * width + i % columns / 2] as u32;
        f16::from_bits((word >> (16 * (i % columns % 2))) as u16).to_f64()
    })
}

/// Columns off the multiples of 4 and 8. Words hold float16 of few digits, as the harness passes them through float32.
fn cases() -> Vec<Case> {
    [[1, 2], [5, 3], [7, 9], [3, 64], [6, 130], [2, 6]]
        .into_iter()
        .map(|[rows, columns]| {
            let bits = |v: f64| u32::from(f16::from_f64(v).to_bits());
            let values = Array::integers(&[rows, columns], 15, 1).map(|v| v - 7.0);
            let words = Array::from_fn(&[rows, columns.div_ceil(2)], |i| {
                let (row, at) = (i / columns.div_ceil(2), 2 * (i % columns.div_ceil(2)));
                let value = |c: usize| if c < columns { bits(values.data[row * columns + c]) } else { 0 };
                f64::from(value(at) | value(at + 1) << 16)
            });
            let expected = reference(&words, columns);
            Case::new(format!("{rows} of {columns}"), vec![words], expected, Tolerance::EXACT, |r, i, o, _| {
                record(r, &i[0], &o[0])
            })
            .integer_input(0)
        })
        .collect()
}
