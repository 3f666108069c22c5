//! The gradient of max-pooling: every input collects from the windows whose maximum it is.
//! Shapes: `index (R, OH, OW, C)` u32, `dy (R, OH, OW, C)` → `out (R, H, W, C)`.

use super::flat::{VARIANTS, flat_grid};
use super::pool::{self, Pool};
use super::{Case, Kernel, max_pool_index, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result, Shape};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `max_pool_grad.wgsl`.
    pub struct Params {
        /// Vec4 values of blocks.
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
        /// Rows of blocks of 2 x 2 pixels.
        pub high: u32,
        /// Columns of blocks.
        pub wide: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "max_pool_grad",
    source: include_str!("../../shaders/pool/max_pool_grad.wgsl"),
    shared: &[shared::WALK, shared::POOLING],
    params: size_of::<Params>(),
    bindings: &[read("index"), read("dy"), write("out")],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records the gradient for `index` (of `max_pool_index`).
///
/// # Errors
/// When the shapes do not fit the window.
pub fn record(recording: &mut Recording, pool: Pool, index: &Tensor, dy: &Tensor, out: &Tensor) -> Result<()> {
    pool.expect("max_pool_grad: dy (R, OH, OW, C)", out, dy)?;
    index.expect("max_pool_grad: index, as dy", dy.shape.sizes())?;
    let ([r, h, w, _], [_, oh, ow, _]) = (out.image("max_pool_grad: out")?, dy.image("max_pool_grad: dy")?);
    let [high, wide] = [h, w].map(|pixels| (pixels + pool.padding).div_ceil(2));
    let quads = out.shape.stride() / 4;
    let p = Params {
        count: (r * high * wide * quads) as u32,
        height: oh as u32,
        width: ow as u32,
        quads: quads as u32,
        x_height: h as u32,
        x_width: w as u32,
        kernel: pool.kernel as u32,
        stride: pool.stride as u32,
        padding: pool.padding as u32,
        high: high as u32,
        wide: wide as u32,
    };
    let groups = flat_grid(recording, &SHADER, p.count as usize);
    recording.dispatch(&SHADER, p, &[index, dy, out], groups, cost(p))
}

/// The least work: indices and gradients read once, every input's gradient written; an addition for each window.
pub fn cost(p: Params) -> Cost {
    let rows = 4 * u64::from(p.count / (p.high * p.wide));
    let [inputs, windows] = [p.x_height * p.x_width, p.height * p.width].map(|pixels| rows * u64::from(pixels));
    Cost { operations: windows, bytes: 4 * (inputs + 2 * windows) }
}

/// The twin; `shape` is that of the pooled tensor.
pub fn reference(pool: Pool, index: &Array, dy: &Array, shape: &Shape) -> Array {
    let mut out = Array::zeros(shape.sizes());
    pool.windows(shape, &index.shape, |from, places| {
        for &(place, i) in places {
            if place as f64 == index.data[from] {
                out.data[i] += dy.data[from];
            }
        }
    });
    out
}

/// At most nine (25 for a window of five) values of order one are added: 1e-6 relative to the largest.
fn cases() -> Vec<Case> {
    let make = |(i, (pool, sizes)): (usize, (Pool, [usize; 4]))| {
        let index = max_pool_index::reference(pool, &Array::normal(&sizes, 1.0, i as u64));
        let dy = Array::normal(index.sizes(), 1.0, 20 + i as u64);
        let expected = reference(pool, &index, &dy, &Shape::new(&sizes));
        let name = format!("{} {pool:?}", expected.shape);
        let case = Case::new(name, vec![index, dy], expected, Tolerance::largest(1e-6), move |r, i, o, _| {
            record(r, pool, &i[0], &i[1], &o[0])
        });
        case.integer_input(0)
    };
    pool::cases().into_iter().enumerate().map(make).collect()
}
