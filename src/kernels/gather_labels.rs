//! The labels that some heads have for each image of a batch. Shapes: `table (T, N)`, `draws (B, 4)`, `labels (B)` →
//! `out (B · heads)`, all unsigned; those of an image are neighbours.

use std::ops::Range;

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
        /// Labels: B for each head.
        pub rows: u32,
        /// Those padded.
        pub padded: u32,
        /// N.
        pub samples: u32,
        /// N padded.
        pub stride: u32,
        /// The first row of the table.
        pub head: u32,
        /// How many rows.
        pub heads: u32,
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

/// Checks that a table has the heads.
///
/// # Errors
/// When it has not, or there is none.
pub fn check_heads(all: usize, heads: &Range<usize>) -> Result<()> {
    if heads.start < heads.end && heads.end <= all {
        return Ok(());
    }
    Err(Error::Shape(format!("gather_labels: heads {heads:?} of a table of {all} heads")))
}

/// Records `out[b · heads + h] = table[first head + h, draws[b].sample]`; images that do not count, or lie outside the table, are
/// ignored.
///
/// # Errors
/// When the shapes do not fit together or the table has no such heads.
pub fn record(
    recording: &mut Recording,
    table: &Tensor,
    draws: &Tensor,
    labels: &Tensor,
    heads: Range<usize>,
    out: &Tensor,
) -> Result<()> {
    let [all, samples] = table.matrix("gather_labels: table")?;
    check_heads(all, &heads)?;
    let images = labels.shape.elements();
    check_draws("gather_labels", images, draws.shape.sizes(), labels.shape.sizes())?;
    out.expect("gather_labels: out (B · heads)", &[images * heads.len()])?;
    let p = Params {
        rows: (images * heads.len()) as u32,
        padded: out.shape.physical() as u32,
        samples: samples as u32,
        stride: table.shape.stride() as u32,
        head: heads.start as u32,
        heads: heads.len() as u32,
    };
    let width = recording.variant(&SHADER).constant("WIDTH");
    recording.dispatch(&SHADER, p, &[table, draws, labels, out], grid(out.shape.physical(), width), cost(p))
}

/// The least work: a draw, a flag, a label read and written.
pub fn cost(p: Params) -> Cost {
    Cost { operations: 0, bytes: 28 * u64::from(p.rows) }
}

/// The twin.
pub fn reference(table: &Array, draws: &Array, labels: &Array, heads: Range<usize>) -> Array {
    let samples = table.shape.last();
    Array::from_fn(&[labels.data.len() * heads.len()], |i| {
        let (b, head) = (i / heads.len(), heads.start + i % heads.len());
        let sample = draws.data[4 * b + 1] as usize;
        if labels.data[b] as u32 == IGNORED || sample >= samples {
            return f64::from(IGNORED);
        }
        table.data[head * samples + sample]
    })
}

/// The comparison is in float32, which rounds "ignore" (2³² − 1) by 1; labels up to 5000 must still be exact.
const TOLERANCE: Tolerance = Tolerance::element(3e-10, 0.0);

/// First, middle and last head, some and all; sizes off the multiples of 4; a sample outside the table.
fn cases() -> Vec<Case> {
    [
        (2, 1, 7, 0..1),
        (5, 3, 13, 2..3),
        (33, 10, 131, 9..10),
        (66, 4, 190, 1..2),
        (33, 10, 131, 0..10),
        (5, 7, 13, 2..5),
    ]
    .into_iter()
    .map(|(rows, all, samples, heads)| {
        let table = Array::integers(&[all, samples], 5000, 3);
        let (draws, labels) = some_draws(rows, 1);
        let expected = reference(&table, &draws, &labels, heads.clone());
        let name = format!("heads {heads:?} of {all}, {rows} of {samples}");
        let mut case = Case::new(name, vec![table, draws, labels], expected, TOLERANCE, move |r, i, o, _| {
            record(r, &i[0], &i[1], &i[2], heads.clone(), &o[0])
        })
        .integer_input(0)
        .integer_input(1)
        .integer_input(2);
        case.outputs[0].dtype = DType::U32;
        case
    })
    .collect()
}
