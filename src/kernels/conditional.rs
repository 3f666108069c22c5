//! Conditional logits of each view and their transpose. Shapes: `(B·M, N·M)` ↔ `(B·M, N)`. Source: SLA, section 3.1.

use super::{Case, Kernel, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::recording::grid;
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `conditional.wgsl`.
    pub struct Params {
        /// B·M
        pub rows: u32,
        /// M
        pub views: u32,
        /// Logical columns of the output.
        pub columns: u32,
        /// Physical columns of the output.
        pub stride: u32,
        /// Physical columns of the input.
        pub x_stride: u32,
        /// 0 takes the view's own columns, 1 puts them back.
        pub mode: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conditional",
    source: include_str!("../../shaders/views/conditional.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("x"), write("out")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `(B·M, N·M)` → `(B·M, N)`.
///
/// # Errors
/// When the shapes do not fit.
pub fn record(recording: &mut Recording, x: &Tensor, views: usize, out: &Tensor) -> Result<()> {
    let [rows, columns] = out.matrix("conditional: out (B·M, N)")?;
    x.expect("conditional: x (B·M, N·M)", &[rows, columns * views])?;
    dispatch(recording, x, views, out, 0)
}

/// Records the transpose, `(B·M, N)` → `(B·M, N·M)`.
///
/// # Errors
/// When the shapes do not fit.
pub fn record_transpose(recording: &mut Recording, x: &Tensor, views: usize, out: &Tensor) -> Result<()> {
    let [rows, columns] = x.matrix("conditional: x (B·M, N)")?;
    out.expect("conditional: out (B·M, N·M)", &[rows, columns * views])?;
    dispatch(recording, x, views, out, 1)
}

fn dispatch(recording: &mut Recording, x: &Tensor, views: usize, out: &Tensor, mode: u32) -> Result<()> {
    let p = Params {
        rows: out.shape.rows() as u32,
        views: views as u32,
        columns: out.shape.last() as u32,
        stride: out.shape.stride() as u32,
        x_stride: x.shape.stride() as u32,
        mode,
    };
    let width = recording.variant(&SHADER).constant("WIDTH");
    recording.dispatch(&SHADER, p, &[x, out], grid(out.shape.physical(), width), cost(p))
}

/// The least work: each output written once, its source read once.
pub fn cost(p: Params) -> Cost {
    let outputs = u64::from(p.rows) * u64::from(p.columns);
    let reads = if p.mode == 0 { outputs } else { outputs / u64::from(p.views) };
    Cost { operations: 0, bytes: 4 * (outputs + reads) }
}

/// The twin of [`record`].
pub fn reference(x: &Array, views: usize) -> Array {
    let &[rows, wide] = x.sizes() else { panic!("a matrix") };
    let n = wide / views;
    Array::from_fn(&[rows, n], |i| x.data[(i / n) * wide + (i % n) * views + (i / n) % views])
}

/// The twin of [`record_transpose`].
pub fn reference_transpose(x: &Array, views: usize) -> Array {
    let &[rows, n] = x.sizes() else { panic!("a matrix") };
    let wide = n * views;
    Array::from_fn(&[rows, wide], |i| {
        let (row, k) = (i / wide, i % wide);
        if k % views == row % views { x.data[row * n + k / views] } else { 0.0 }
    })
}

/// One view, odd counts, SLA's rotation on CIFAR-100, 24 views.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (images, n, views) in [(3, 5, 1), (3, 7, 2), (16, 100, 4), (2, 5, 24)] {
        let wide = Array::normal(&[images * views, n * views], 1.0, n as u64);
        let expected = reference(&wide, views);
        cases.push(Case::new(
            format!("B {images} N {n} M {views}"),
            vec![wide],
            expected,
            Tolerance::EXACT,
            move |r, i, o, _| record(r, &i[0], views, &o[0]),
        ));
        let narrow = Array::normal(&[images * views, n], 1.0, n as u64 + 1);
        let expected = reference_transpose(&narrow, views);
        let name = format!("transpose B {images} N {n} M {views}");
        cases.push(Case::new(name, vec![narrow], expected, Tolerance::EXACT, move |r, i, o, _| {
            record_transpose(r, &i[0], views, &o[0])
        }));
    }
    cases
}
