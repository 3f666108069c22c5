//! Writes rows to their samples' places in a window of a store. Shapes: `values (B, C)`, `draws (B, 4)`, `labels (B)`,
//! `store (W, C)` floats or `(W, ⌈C / 2⌉)` words of two float16, updated.

use half::f16;

use super::{Case, Kernel, Output, params};
use crate::base::compare::Tolerance;
use crate::base::labels::IGNORED;
use crate::base::{Array, DType, Error, Result};
use crate::gpu::recording::grid;
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, read_write};

params! {
    /// Uniforms of `scatter_rows.wgsl`.
    pub struct Params {
        /// B.
        pub rows: u32,
        /// Vec4 a row of values.
        pub quads: u32,
        /// Vec4 a row of the store.
        pub words: u32,
        /// The sample in the window's first row.
        pub first: u32,
        /// W.
        pub window: u32,
        /// 1: two float16 a word.
        pub is_half: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "scatter_rows",
    source: include_str!("../../shaders/assign/scatter_rows.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("values"), read("draws"), read("labels"), read_write("store")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Columns of a store's window for rows of `columns` values: words of two float16, or the values themselves.
pub const fn store_columns(columns: usize, is_half: bool) -> usize {
    if is_half { columns.div_ceil(2) } else { columns }
}

/// Checks that the draws and labels belong to `rows` rows.
///
/// # Errors
/// When they do not; `what` names the kernel.
pub fn check_draws(what: &str, rows: usize, draws: &[usize], labels: &[usize]) -> Result<()> {
    if draws == [rows, 4] && labels == [rows] {
        return Ok(());
    }
    Err(Error::Shape(format!("{what}: draws {draws:?} and labels {labels:?} for {rows} rows")))
}

/// Records `store[draws[b].sample − first] = values[b]` for each row that counts and lies in the window.
///
/// # Errors
/// When the shapes do not fit together.
pub fn record(
    recording: &mut Recording,
    values: &Tensor,
    draws: &Tensor,
    labels: &Tensor,
    [first, is_half]: [usize; 2],
    store: &Tensor,
) -> Result<()> {
    let [rows, columns] = values.matrix("scatter_rows: values")?;
    check_draws("scatter_rows", rows, draws.shape.sizes(), labels.shape.sizes())?;
    let [window, _] = store.matrix("scatter_rows: store")?;
    store.expect("scatter_rows: store", &[window, store_columns(columns, is_half == 1)])?;
    let p = Params {
        rows: rows as u32,
        quads: (values.shape.stride() / 4) as u32,
        words: (store.shape.stride() / 4) as u32,
        first: first as u32,
        window: window as u32,
        is_half: is_half as u32,
    };
    let width = recording.variant(&SHADER).constant("WIDTH");
    let groups = grid(rows * p.words as usize, width);
    recording.dispatch(&SHADER, p, &[values, draws, labels, store], groups, cost(p))
}

/// The least work: each value read once and written once.
pub fn cost(p: Params) -> Cost {
    Cost { operations: 0, bytes: 16 * u64::from(p.rows) * u64::from(p.quads + p.words) }
}

/// The twin; words of two float16 are whole numbers.
pub fn reference(values: &Array, draws: &Array, labels: &Array, [first, is_half]: [usize; 2], store: &Array) -> Array {
    let (columns, width) = (values.shape.last(), store.shape.last());
    let mut out = store.clone();
    for (b, row) in values.data.chunks_exact(columns).enumerate() {
        let sample = draws.data[4 * b + 1] as usize;
        if labels.data[b] as u32 == IGNORED || sample < first || sample - first >= store.sizes()[0] {
            continue;
        }
        let place = &mut out.data[(sample - first) * width..][..width];
        if is_half == 1 {
            for (word, pair) in place.iter_mut().zip(row.chunks(2)) {
                let high = pair.get(1).map_or(0, |&v| half_bits(v));
                *word = f64::from(u32::from(high) << 16 | u32::from(half_bits(pair[0])));
            }
        } else {
            place.copy_from_slice(row);
        }
    }
    out
}

fn half_bits(v: f64) -> u16 {
    f16::from_f64(v.clamp(-65504.0, 65504.0)).to_bits()
}

/// Draws of a batch: every third sample from `from` on, the last row of padding with the first one's sample.
pub(super) fn some_draws(rows: usize, from: usize) -> (Array, Array) {
    let padding = |b: usize| rows > 1 && b + 1 == rows;
    let draws = Array::from_fn(&[rows, 4], |i| match (i / 4, i % 4) {
        (b, 1) => (from + if padding(b) { 0 } else { 3 * b }) as f64,
        (b, _) => (b + i) as f64,
    });
    let labels = Array::from_fn(&[rows], |b| if padding(b) { f64::from(IGNORED) } else { 7.0 });
    (draws, labels)
}

/// Windows that hold all, some and the last of the samples; columns off the multiples of 4 and 8; small whole numbers,
/// whose packed words a float32 holds exactly (rounding to float16 is tested with the row store).
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (rows, columns, from, first, window) in
        [(1, 1, 0, 0, 2), (5, 3, 0, 0, 13), (7, 9, 2, 4, 9), (33, 64, 10, 40, 70), (6, 6, 5, 11, 3), (4, 130, 0, 3, 5)]
    {
        for is_half in [0, 1] {
            let values = Array::integers(&[rows, columns], 15, 1).map(|v| v - 7.0);
            let (draws, labels) = some_draws(rows, from);
            let store = Array::integers(&[window, store_columns(columns, is_half == 1)], 1000, 2);
            let expected = reference(&values, &draws, &labels, [first, is_half], &store);
            let dtype = if is_half == 1 { DType::U32 } else { DType::F32 };
            let kind = if is_half == 1 { "float16" } else { "float32" };
            cases.push(Case {
                name: format!("{rows} of {columns} from {from} to {window} at {first}, {kind}"),
                inputs: vec![(values, DType::F32), (draws, DType::U32), (labels, DType::U32)],
                outputs: vec![Output { expected, initial: Some(store), dtype, tolerance: Tolerance::EXACT }],
                scratch: Vec::new(),
                record: Box::new(move |r, i, o, _| record(r, &i[0], &i[1], &i[2], [first, is_half], &o[0])),
            });
        }
    }
    cases
}
