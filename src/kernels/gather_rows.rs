//! Rows of a store, whole or in windows, by their numbers. Shapes: `store (W, D)`, `indices (B)` → `out (B, D)`.

use super::flat::{VARIANTS, flat_grid};
use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, read_write};

params! {
    /// Uniforms of `gather_rows.wgsl`.
    pub struct Params {
        /// Vec4 values of `out`.
        pub count: u32,
        /// Vec4 values a row.
        pub quads: u32,
        /// W.
        pub rows: u32,
        /// Number of the window's first row.
        pub base: u32,
        /// 1 in the first window.
        pub fresh: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "gather_rows",
    source: include_str!("../../shaders/layout/gather_rows.wgsl"),
    shared: &[shared::WALK],
    params: size_of::<Params>(),
    bindings: &[read("store"), read("indices"), read_write("out")],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out[b] = store[indices[b]]` with the windows as one store, one dispatch a window. A number past the last row
/// gives zeros.
///
/// # Errors
/// When the windows or `out` differ in their number of columns.
pub fn record(recording: &mut Recording, windows: &[&Tensor], indices: &Tensor, out: &Tensor) -> Result<()> {
    let [batch, columns] = out.matrix("gather_rows: out")?;
    indices.expect("gather_rows: indices (B)", &[batch])?;
    let mut base = 0;
    for (i, window) in windows.iter().enumerate() {
        let [rows, _] = window.matrix("gather_rows: store")?;
        window.expect("gather_rows: store (W, D)", &[rows, columns])?;
        let p = Params {
            count: (out.shape.physical() / 4) as u32,
            quads: (out.shape.stride() / 4) as u32,
            rows: rows as u32,
            base: base as u32,
            fresh: u32::from(i == 0),
        };
        let groups = flat_grid(recording, &SHADER, p.count as usize);
        recording.dispatch(&SHADER, p, &[window, indices, out], groups, cost(p))?;
        base += rows;
    }
    Ok(())
}

/// The least work: read and write each row of the result once.
pub fn cost(p: Params) -> Cost {
    Cost { operations: 0, bytes: 32 * u64::from(p.count) }
}

/// The twin.
pub fn reference(windows: &[&Array], indices: &Array) -> Array {
    let columns = windows[0].shape.last();
    let all: Vec<f64> = windows.iter().flat_map(|w| w.data.iter().copied()).collect();
    Array::from_fn(&[indices.shape.elements(), columns], |i| {
        all.get(indices.data[i / columns] as usize * columns + i % columns).copied().unwrap_or(0.0)
    })
}

/// Stores in one to three windows of odd sizes, repeated rows, and the last number past the end; copies, so exact.
fn cases() -> Vec<Case> {
    let list: [(&[usize], usize, usize); 5] =
        [(&[2], 1, 5), (&[5], 3, 4), (&[4, 3], 7, 9), (&[64, 64, 30], 5, 33), (&[1, 1, 9], 130, 6)];
    let mut cases = Vec::new();
    for (i, (rows, columns, batch)) in list.into_iter().enumerate() {
        let windows: Vec<Array> = rows.iter().map(|&r| Array::normal(&[r, columns], 1.0, (r + i) as u64)).collect();
        let total: usize = rows.iter().sum();
        let mut indices = Array::integers(&[batch], total as u32, 5);
        indices.data[batch - 1] = total as f64;
        let expected = reference(&windows.iter().collect::<Vec<_>>(), &indices);
        let count = windows.len();
        let mut inputs = windows;
        inputs.push(indices);
        let case = Case::new(format!("{batch} of {rows:?} by {columns}"), inputs, expected, Tolerance::EXACT, {
            move |r, i, o, _| record(r, &i[..count].iter().collect::<Vec<_>>(), &i[count], &o[0])
        });
        cases.push(case.integer_input(count));
    }
    cases
}
