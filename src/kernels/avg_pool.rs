//! Average pooling in which padding counts as zeros (PyTorch's `count_include_pad`), and its transpose.
//! Shapes: `x (R, H, W, C)` → `out (R, OH, OW, C)`, and back.

use super::flat::{VARIANTS, flat_grid};
use super::pool::{self, Pool};
use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result, Shape};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `avg_pool.wgsl`.
    pub struct Params {
        /// Vec4 values of `out`.
        pub count: u32,
        /// Height of `out`.
        pub height: u32,
        /// Width of `out`.
        pub width: u32,
        /// Vec4 values a pixel.
        pub quads: u32,
        /// Height of `x`.
        pub x_height: u32,
        /// Width of `x`.
        pub x_width: u32,
        /// Side of the window.
        pub kernel: u32,
        /// Distance between windows.
        pub stride: u32,
        /// Pixels added on each side.
        pub padding: u32,
        /// 0 forward, 1 transpose.
        pub mode: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "avg_pool",
    source: include_str!("../../shaders/pool/avg_pool.wgsl"),
    shared: &[shared::WALK, shared::POOLING],
    params: size_of::<Params>(),
    bindings: &[read("x"), write("out")],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records the means of every window.
///
/// # Errors
/// When the shapes do not fit the window.
pub fn record(recording: &mut Recording, pool: Pool, x: &Tensor, out: &Tensor) -> Result<()> {
    pool.expect("avg_pool: out (R, OH, OW, C)", x, out)?;
    dispatch(recording, 0, pool, x, out)
}

/// Records the transpose: every input collects from the windows that hold it.
///
/// # Errors
/// When the shapes do not fit the window.
pub fn record_transpose(recording: &mut Recording, pool: Pool, dy: &Tensor, out: &Tensor) -> Result<()> {
    pool.expect("avg_pool: dy (R, OH, OW, C)", out, dy)?;
    dispatch(recording, 1, pool, dy, out)
}

fn dispatch(recording: &mut Recording, mode: u32, pool: Pool, x: &Tensor, out: &Tensor) -> Result<()> {
    let ([_, h, w, _], [_, oh, ow, _]) = (x.image("avg_pool: x")?, out.image("avg_pool: out")?);
    let p = Params {
        count: (out.shape.physical() / 4) as u32,
        height: oh as u32,
        width: ow as u32,
        quads: (out.shape.stride() / 4) as u32,
        x_height: h as u32,
        x_width: w as u32,
        kernel: pool.kernel as u32,
        stride: pool.stride as u32,
        padding: pool.padding as u32,
        mode,
    };
    let groups = flat_grid(recording, &SHADER, p.count as usize);
    recording.dispatch(&SHADER, p, &[x, out], groups, cost(p))
}

/// The least work: every input read once, every output written; an addition for each value of each window.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.count);
    let inputs = values / u64::from(p.height * p.width) * u64::from(p.x_height * p.x_width);
    let windows = if p.mode == 0 { values } else { inputs };
    Cost { operations: windows * u64::from(p.kernel * p.kernel), bytes: 4 * (values + inputs) }
}

/// The twin of [`record`].
pub fn reference(pool: Pool, x: &Array) -> Array {
    let shape = pool.pooled(&x.shape);
    let area = (pool.kernel * pool.kernel) as f64;
    let mut out = Array::zeros(shape.sizes());
    pool.windows(&x.shape, &shape, |to, places| {
        out.data[to] = places.iter().map(|&(_, i)| x.data[i]).sum::<f64>() / area;
    });
    out
}

/// The twin of [`record_transpose`]; `shape` is that of the pooled tensor.
pub fn reference_transpose(pool: Pool, dy: &Array, shape: &Shape) -> Array {
    let area = (pool.kernel * pool.kernel) as f64;
    let mut out = Array::zeros(shape.sizes());
    pool.windows(shape, &dy.shape, |from, places| {
        for &(_, i) in places {
            out.data[i] += dy.data[from] / area;
        }
    });
    out
}

/// At most 25 values of order one are added and divided: 1e-6 relative to the largest.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, (pool, sizes)) in pool::cases().into_iter().enumerate() {
        let x = Array::normal(&sizes, 1.0, i as u64);
        let expected = reference(pool, &x);
        let dy = Array::normal(expected.sizes(), 1.0, 20 + i as u64);
        let back = reference_transpose(pool, &dy, &x.shape);
        let name = format!("{} {pool:?}", x.shape);
        let close = Tolerance::largest(1e-6);
        cases.push(Case::new(format!("forward {name}"), vec![x], expected, close, move |r, i, o, _| {
            record(r, pool, &i[0], &o[0])
        }));
        cases.push(Case::new(format!("transpose {name}"), vec![dy], back, close, move |r, i, o, _| {
            record_transpose(r, pool, &i[0], &o[0])
        }));
    }
    cases
}
