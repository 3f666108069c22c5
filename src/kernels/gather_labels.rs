//! The label that one head has for each image of a batch. Shapes: `table (T, N)`, `draws (B, 4)`, `labels (B)` →
//! `out (B)`, all unsigned.

use super::scatter_rows::{check_draws, some_draws};
use super::{Case, Kernel, params};
use crate::base::compare::Tolerance;
use crate::base::labels::IGNORED;
use crate::base::{Array, DType, Error, Result};
use crate::gpu::recording::grid;
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `gather_labels.wgsl`.
    pub struct Params {
        /// B.
        pub rows: u32,
        /// B padded.
        pub padded: u32,
        /// N.
        pub samples: u32,
        /// N padded.
        pub stride: u32,
        /// Which row of the table.
        pub head: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "gather_labels",
    source: include_str!("../../shaders/assign/gather_labels.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("table"), read("draws"), read("labels"), write("out")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Checks that a table has the head.
///
/// # Errors
/// When it has not.
pub fn check_head(heads: usize, head: usize) -> Result<()> {
    if head < heads {
        return Ok(());
    }
    Err(Error::Shape(format!("gather_labels: head {head} of a table of {heads} heads")))
}

/// Records `out[b] = table[head, draws[b].sample]`; images that do not count, or lie outside the table, are ignored.
///
/// # Errors
/// When the shapes do not fit together or the table has no such head.
pub fn record(
    recording: &mut Recording,
    table: &Tensor,
    draws: &Tensor,
    labels: &Tensor,
    head: usize,
    out: &Tensor,
) -> Result<()> {
    let [heads, samples] = table.matrix("gather_labels: table")?;
    check_head(heads, head)?;
    let rows = labels.shape.elements();
    check_draws("gather_labels", rows, draws.shape.sizes(), labels.shape.sizes())?;
    out.expect("gather_labels: out (B)", &[rows])?;
    let p = Params {
        rows: rows as u32,
        padded: out.shape.physical() as u32,
        samples: samples as u32,
        stride: table.shape.stride() as u32,
        head: head as u32,
    };
    let width = recording.variant(&SHADER).constant("WIDTH");
    recording.dispatch(&SHADER, p, &[table, draws, labels, out], grid(out.shape.physical(), width), cost(p))
}

/// The least work: a draw, a flag, a label read and written.
pub fn cost(p: Params) -> Cost {
    Cost { operations: 0, bytes: 28 * u64::from(p.rows) }
}

/// The twin.
pub fn reference(table: &Array, draws: &Array, labels: &Array, head: usize) -> Array {
    let samples = table.shape.last();
    Array::from_fn(labels.sizes(), |b| {
        let sample = draws.data[4 * b + 1] as usize;
        if labels.data[b] as u32 == IGNORED || sample >= samples {
            return f64::from(IGNORED);
        }
        table.data[head * samples + sample]
    })
}

/// The comparison is in float32, which rounds "ignore" (2³² − 1) by 1; labels up to 5000 must still be exact.
const TOLERANCE: Tolerance = Tolerance::element(3e-10, 0.0);

/// First, middle and last head; sizes off the multiples of 4; a sample outside the table.
fn cases() -> Vec<Case> {
    [(2, 1, 7, 0), (5, 3, 13, 2), (33, 10, 131, 9), (66, 4, 190, 1)]
        .into_iter()
        .map(|(rows, heads, samples, head)| {
            let table = Array::integers(&[heads, samples], 5000, 3);
            let (draws, labels) = some_draws(rows, 1);
            let expected = reference(&table, &draws, &labels, head);
            let name = format!("head {head} of {heads}, {rows} of {samples}");
            let mut case = Case::new(name, vec![table, draws, labels], expected, TOLERANCE, move |r, i, o, _| {
                record(r, &i[0], &i[1], &i[2], head, &o[0])
            })
            .integer_input(0)
            .integer_input(1)
            .integer_input(2);
            case.outputs[0].dtype = DType::U32;
            case
        })
        .collect()
}
