//! The gradient of max-pooling: every input collects from the windows whose maximum it is.
//! Shapes: `index (R, OH, OW, C)` u32, `dy (R, OH, OW, C)` → `out (R, H, W, C)`.

use super::pool::{self, Pool};
use super::{Case, Kernel, max_pool_index, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result, Shape};
use crate::gpu::recording::grid;
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `max_pool_grad.wgsl`.
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
    name: "max_pool_grad",
    source: include_str!("../../shaders/pool/max_pool_grad.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("index"), read("dy"), write("out")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)]), Variant::base("256", &[("WIDTH", 256.0)])],
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
    let ([_, h, w, _], [_, oh, ow, _]) = (out.image("max_pool_grad: out")?, dy.image("max_pool_grad: dy")?);
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
    let width = recording.variant(&SHADER).constant("WIDTH");
    recording.dispatch(&SHADER, p, &[index, dy, out], grid(p.count as usize, width), cost(p))
}

/// The least work: indices and gradients read once, every input's gradient written; an addition for each window.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.count);
    let windows = values / u64::from(p.x_height * p.x_width) * u64::from(p.height * p.width);
    Cost { operations: windows, bytes: 4 * (values + 2 * windows) }
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
