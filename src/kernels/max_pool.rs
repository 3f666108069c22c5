//! Largest value of each window; padding never wins. Shapes: `x (R, H, W, C)` → `out (R, OH, OW, C)`.

use super::flat::{VARIANTS, flat_grid};
use super::pool::{self, Pool};
use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `max_pool.wgsl`.
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
    name: "max_pool",
    source: include_str!("../../shaders/pool/max_pool.wgsl"),
    shared: &[shared::WALK, shared::POOLING],
    params: size_of::<Params>(),
    bindings: &[read("x"), write("out")],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records the maxima of every window.
///
/// # Errors
/// When the shapes do not fit the window.
pub fn record(recording: &mut Recording, pool: Pool, x: &Tensor, out: &Tensor) -> Result<()> {
    pool.expect("max_pool: out (R, OH, OW, C)", x, out)?;
    let ([_, h, w, _], [_, oh, ow, _]) = (x.image("max_pool: x")?, out.image("max_pool: out")?);
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
        out.data[to] = places.iter().map(|&(_, i)| x.data[i]).fold(f64::NEG_INFINITY, f64::max);
    });
    out
}

/// Values of both signs, so that a zero from the padding would show; a choice, so exact.
fn cases() -> Vec<Case> {
    let make = |(i, (pool, sizes)): (usize, (Pool, [usize; 4]))| {
        let x = Array::normal(&sizes, 1.0, i as u64).map(|v| f64::from((v - 0.5) as f32));
        let expected = reference(pool, &x);
        let name = format!("{} {pool:?}", x.shape);
        Case::new(name, vec![x], expected, Tolerance::EXACT, move |r, i, o, _| record(r, pool, &i[0], &o[0]))
    };
    pool::cases().into_iter().enumerate().map(make).collect()
}
