//! The values of `u` where max-pooling found its maxima: the tangent of max-pooling.
//! Shapes: `index (R, OH, OW, C)` u32, `u (R, H, W, C)` → `out (R, OH, OW, C)`.

use super::flat::{VARIANTS, flat_grid};
use super::pool::{self, Pool};
use super::{Case, Kernel, max_pool_index, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `max_pool_select.wgsl`.
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
    name: "max_pool_select",
    source: include_str!("../../shaders/pool/max_pool_select.wgsl"),
    shared: &[shared::WALK],
    params: size_of::<Params>(),
    bindings: &[read("index"), read("u"), write("out")],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records the choice of `u` at `index` (of `max_pool_index`).
///
/// # Errors
/// When the shapes do not fit the window.
pub fn record(recording: &mut Recording, pool: Pool, index: &Tensor, u: &Tensor, out: &Tensor) -> Result<()> {
    pool.expect("max_pool_select: out (R, OH, OW, C)", u, out)?;
    index.expect("max_pool_select: index, as out", out.shape.sizes())?;
    let ([_, h, w, _], [_, oh, ow, _]) = (u.image("max_pool_select: u")?, out.image("max_pool_select: out")?);
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
    recording.dispatch(&SHADER, p, &[index, u, out], groups, cost(p))
}

/// The least work: an index and a value read and a value written for every output.
pub fn cost(p: Params) -> Cost {
    Cost { operations: 0, bytes: 48 * u64::from(p.count) }
}

/// The twin.
pub fn reference(pool: Pool, index: &Array, u: &Array) -> Array {
    let mut out = Array::zeros(index.sizes());
    pool.windows(&u.shape, &index.shape, |to, places| {
        let chosen = places.iter().find(|(place, _)| *place as f64 == index.data[to]);
        out.data[to] = chosen.map_or(0.0, |&(_, i)| u.data[i]);
    });
    out
}

/// Indices of other values than `u`; a choice, so exact.
fn cases() -> Vec<Case> {
    let make = |(i, (pool, sizes)): (usize, (Pool, [usize; 4]))| {
        let index = max_pool_index::reference(pool, &Array::normal(&sizes, 1.0, i as u64));
        let u = Array::normal(&sizes, 1.0, 20 + i as u64);
        let expected = reference(pool, &index, &u);
        let name = format!("{} {pool:?}", u.shape);
        let case = Case::new(name, vec![index, u], expected, Tolerance::EXACT, move |r, i, o, _| {
            record(r, pool, &i[0], &i[1], &o[0])
        });
        case.integer_input(0)
    };
    pool::cases().into_iter().enumerate().map(make).collect()
}
