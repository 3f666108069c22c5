//! Where in its window each maximum stands; of equal values the first. Shapes: `x (R, H, W, C)` → `out (R, OH, OW, C)`
//! u32: row of the window · kernel + column.

use super::flat::{VARIANTS, flat_grid};
use super::pool::{self, Pool};
use super::{Case, Kernel, Output, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, DType, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `max_pool_index.wgsl`.
    pub struct Params {
        /// Vec4 values of `out`.
        pub count: u32,
        /// OH.
        pub height: u32,
        /// OW.
        pub width: u32,
        /// Vec4 values a pixel.
        pub quads: u32,
        /// H.
        pub x_height: u32,
        /// W.
        pub x_width: u32,
        /// Side of the window.
        pub kernel: u32,
        /// Distance between windows.
        pub stride: u32,
        /// Pixels added on each side.
        pub padding: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "max_pool_index",
    source: include_str!("../../shaders/pool/max_pool_index.wgsl"),
    shared: &[shared::WALK, shared::POOLING],
    params: size_of::<Params>(),
    bindings: &[read("x"), write("out")],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records the places of the maxima of every window.
///
/// # Errors
/// When the shapes do not fit the window.
pub fn record(recording: &mut Recording, pool: Pool, x: &Tensor, out: &Tensor) -> Result<()> {
    pool.expect("max_pool_index: out (R, OH, OW, C)", x, out)?;
    let ([_, h, w, _], [_, oh, ow, _]) = (x.image("max_pool_index: x")?, out.image("max_pool_index: out")?);
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
    };
    let groups = flat_grid(recording, &SHADER, p.count as usize);
    recording.dispatch(&SHADER, p, &[x, out], groups, cost(p))
}

/// The least work: every input read once, every output written; a comparison for each value of each window.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.count);
    let inputs = values / u64::from(p.height * p.width) * u64::from(p.x_height * p.x_width);
    Cost { operations: values * u64::from(p.kernel * p.kernel), bytes: 4 * (values + inputs) }
}

/// The twin.
pub fn reference(pool: Pool, x: &Array) -> Array {
    let shape = pool.pooled(&x.shape);
    let mut out = Array::zeros(shape.sizes());
    pool.windows(&x.shape, &shape, |to, places| {
        let mut best = f64::NEG_INFINITY;
        for &(place, i) in places {
            if x.data[i] > best {
                best = x.data[i];
                out.data[to] = place as f64;
            }
        }
    });
    out
}

/// Continuous values, and few integers so that most windows hold equal maxima; indices, so exact. A window of one
/// pixel has one answer and is left out.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, (pool, sizes)) in pool::cases().into_iter().enumerate().skip(1) {
        let lists = [
            ("normal", Array::normal(&sizes, 1.0, i as u64).map(|v| f64::from((v - 0.5) as f32))),
            ("ties", Array::integers(&sizes, 3, i as u64).map(|v| v - 2.0)),
        ];
        for (kind, x) in lists {
            let expected = reference(pool, &x);
            cases.push(Case {
                name: format!("{kind} {} {pool:?}", x.shape),
                inputs: vec![(x, DType::F32)],
                outputs: vec![Output { expected, initial: None, dtype: DType::U32, tolerance: Tolerance::EXACT }],
                scratch: Vec::new(),
                record: Box::new(move |r, i, o, _| record(r, pool, &i[0], &o[0])),
            });
        }
    }
    cases
}
