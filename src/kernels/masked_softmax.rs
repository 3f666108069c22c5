//! Softmax over the columns that belong to each row's class. Shapes: `x (R, K)`, `labels (R)`, `offsets (N + 1)` →
//! `out (R, K)`.

use super::rows::{EXPONENTIAL, WIDTHS, row_grid};
use super::{Case, Kernel, params, shared};
use crate::base::labels::IGNORED;
use crate::base::{Array, Error, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `masked_softmax.wgsl`.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// K.
        pub columns: u32,
        /// K padded.
        pub stride: u32,
        /// N.
        pub classes: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "masked_softmax",
    source: include_str!("../../shaders/loss/masked_softmax.wgsl"),
    shared: &[shared::REDUCE],
    params: size_of::<Params>(),
    bindings: &[read("x"), read("labels"), read("offsets"), write("out")],
    variants: WIDTHS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records the softmax of each row over the columns `offsets[y] .. offsets[y + 1]` of its class y; zero elsewhere and
/// in rows without a label.
///
/// # Errors
/// When `x` is not a matrix of one row a label, there is no class, or `out` has another shape than `x`.
pub fn record(recording: &mut Recording, x: &Tensor, labels: &Tensor, offsets: &Tensor, out: &Tensor) -> Result<()> {
    let [rows, columns] = x.matrix("masked_softmax: x")?;
    labels.expect("masked_softmax: labels (R)", &[rows])?;
    out.expect("masked_softmax: out, as x", &[rows, columns])?;
    let classes = offsets.shape.elements() - 1;
    if classes == 0 || offsets.shape.rank() != 1 {
        return Err(Error::Shape(format!("masked_softmax: offsets {} are not (N + 1)", offsets.shape)));
    }
    let stride = x.shape.stride() as u32;
    let p = Params { rows: rows as u32, columns: columns as u32, stride, classes: classes as u32 };
    recording.dispatch(&SHADER, p, &[x, labels, offsets, out], row_grid(rows), cost(p))
}

/// The least work: write each value once, read a class's share of them; five operations for each of those.
pub fn cost(p: Params) -> Cost {
    let values = u64::from(p.rows) * u64::from(p.columns);
    let used = values / u64::from(p.classes);
    Cost { operations: 5 * used, bytes: 4 * (values + used + u64::from(p.rows)) }
}

/// The twin.
pub fn reference(x: &Array, labels: &Array, offsets: &Array) -> Array {
    let k = x.shape.last();
    let mut out = Array::zeros(x.sizes());
    for (r, label) in labels.data.iter().enumerate() {
        let label = *label as usize;
        if label + 1 >= offsets.data.len() {
            continue;
        }
        let own = r * k + offsets.data[label] as usize..r * k + offsets.data[label + 1] as usize;
        let highest = x.data[own.clone()].iter().copied().fold(f64::MIN, f64::max);
        let total: f64 = x.data[own.clone()].iter().map(|v| (v - highest).exp()).sum();
        for i in own {
            out.data[i] = (x.data[i] - highest).exp() / total;
        }
    }
    out
}

/// First columns of the classes' blocks, and the end of the last.
pub fn offsets(hierarchy: &[usize]) -> Vec<u32> {
    let mut out = vec![0];
    let mut sum = 0;
    out.extend(hierarchy.iter().map(|size| {
        sum += *size as u32;
        sum
    }));
    out
}

/// One label a class, uneven blocks, a block wider than a group, CIFAR-100's twenty classes of five.
fn cases() -> Vec<Case> {
    let hierarchies: [&[usize]; 5] = [&[1, 1], &[3, 3, 3], &[2, 5, 1, 4], &[70, 3, 130], &[5; 20]];
    let mut cases = Vec::new();
    for (i, hierarchy) in hierarchies.into_iter().enumerate() {
        for scale in [3.0, 1e4] {
            let columns = hierarchy.iter().sum();
            let rows = [1, 7, 9, 5, 64][i];
            let x = Array::normal(&[rows, columns], scale, 3 + i as u64);
            let mut labels = Array::integers(&[rows], hierarchy.len() as u32, 30 + i as u64);
            if rows > 2 {
                labels.data[1] = f64::from(IGNORED);
            }
            let starts = offsets(hierarchy);
            let starts = Array::from_fn(&[starts.len()], |i| f64::from(starts[i]));
            let expected = reference(&x, &labels, &starts);
            let name = format!("{} in {} classes, scale {scale}", x.shape, hierarchy.len());
            cases.push(
                Case::new(name, vec![x, labels, starts], expected, EXPONENTIAL, |r, i, o, _| {
                    record(r, &i[0], &i[1], &i[2], &o[0])
                })
                .integer_input(1)
                .integer_input(2),
            );
        }
    }
    cases
}
