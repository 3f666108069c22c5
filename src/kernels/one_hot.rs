//! One-hot rows of class labels. Shapes: `labels (R)` → `out (R, N)`.

use super::{Case, Kernel, params};
use crate::base::compare::Tolerance;
use crate::base::labels::IGNORED;
use crate::base::{Array, Result};
use crate::gpu::recording::grid;
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `one_hot.wgsl`.
    pub struct Params {
        /// Physical elements of `out`.
        pub count: u32,
        /// N.
        pub columns: u32,
        /// N padded.
        pub stride: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "one_hot",
    source: include_str!("../../shaders/loss/one_hot.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("labels"), write("out")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)]), Variant::base("256", &[("WIDTH", 256.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out[r, labels[r]] = 1`, 0 elsewhere and in rows without a label.
///
/// # Errors
/// When `out` is not a matrix of one row a label.
pub fn record(recording: &mut Recording, labels: &Tensor, out: &Tensor) -> Result<()> {
    let [rows, columns] = out.matrix("one_hot: out")?;
    labels.expect("one_hot: labels (R)", &[rows])?;
    let count = out.shape.physical();
    let p = Params { count: count as u32, columns: columns as u32, stride: out.shape.stride() as u32 };
    let width = recording.variant(&SHADER).constant("WIDTH");
    recording.dispatch(&SHADER, p, &[labels, out], grid(count, width), cost(p))
}

/// The least work: write each value once.
pub fn cost(p: Params) -> Cost {
    Cost { operations: 0, bytes: 4 * u64::from(p.count) }
}

/// The twin.
pub fn reference(labels: &Array, columns: usize) -> Array {
    let hit = |i: usize| labels.data[i / columns] == (i % columns) as f64;
    Array::from_fn(&[labels.shape.elements(), columns], |i| f64::from(u8::from(hit(i))))
}

fn cases() -> Vec<Case> {
    [(1, 1), (3, 5), (64, 20), (7, 257)]
        .into_iter()
        .map(|(rows, columns)| {
            let mut labels = Array::integers(&[rows], columns as u32, rows as u64);
            if rows > 2 {
                labels.data[1] = f64::from(IGNORED);
            }
            let expected = reference(&labels, columns);
            Case::new(format!("{}", expected.shape), vec![labels], expected, Tolerance::EXACT, |r, i, o, _| {
                record(r, &i[0], &o[0])
            })
            .integer_input(0)
        })
        .collect()
}
