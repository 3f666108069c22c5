//! Transpose of [`super::transform_views`]. Shapes: `u (B·M, H, W, C)` → `out (B, H, W, C)`.

use super::flat::{VARIANTS, flat_grid};
use super::transform_views::{each, sizes};
use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result, TransformSet};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `transform_views_transpose.wgsl`.
    pub struct Params {
        /// Groups of four in `out`.
        pub count: u32,
        /// H.
        pub height: u32,
        /// W.
        pub width: u32,
        /// Groups of four a pixel.
        pub quads: u32,
        /// M.
        pub views: u32,
        /// Colour orders: 1, 3 or 6.
        pub orders: u32,
        /// Quarter turns between two rotations.
        pub step: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "transform_views_transpose",
    source: include_str!("../../shaders/input/transform_views_transpose.wgsl"),
    shared: &[shared::VIEWS, shared::WALK],
    params: size_of::<Params>(),
    bindings: &[read("u"), write("out")],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records, for each pixel of each image, the sum over its places in all views.
///
/// # Errors
/// When the set does not fit the images ([`TransformSet::check`]) or `u` has another shape.
pub fn record(recording: &mut Recording, u: &Tensor, set: TransformSet, out: &Tensor) -> Result<()> {
    let [b, h, w, c] = out.image("transform_views_transpose: out")?;
    set.check(h, w, c)?;
    u.expect("transform_views_transpose: u (B·M, H, W, C)", &[b * set.views(), h, w, c])?;
    let count = out.shape.physical() / 4;
    let p = Params {
        count: count as u32,
        height: h as u32,
        width: w as u32,
        quads: (out.shape.stride() / 4) as u32,
        views: set.views() as u32,
        orders: set.colour_orders() as u32,
        step: set.turn_step() as u32,
    };
    let groups = flat_grid(recording, &SHADER, count);
    recording.dispatch(&SHADER, p, &[u, out], groups, cost(p))
}

/// The least work: read all views, write one image, one addition a value read.
pub fn cost(p: Params) -> Cost {
    let (written, views) = (u64::from(p.count), u64::from(p.views));
    Cost { operations: 4 * written * views, bytes: 16 * written * (views + 1) }
}

/// The twin.
pub fn reference(u: &Array, set: TransformSet) -> Array {
    let mut sizes = u.sizes().to_vec();
    sizes[0] /= set.views();
    let mut out = Array::zeros(&sizes);
    each(&sizes, set, |from, to| out.data[to] += u.data[from]);
    out
}

/// Sums of at most 24 values of size 1: 24 roundings of 6e-8 at worst, 1e-6 of the largest.
fn cases() -> Vec<Case> {
    sizes()
        .into_iter()
        .map(|(set, [b, h, w, c])| {
            let u = Array::normal(&[b * set.views(), h, w, c], 1.0, 3);
            let expected = reference(&u, set);
            let name = format!("{set} {}", expected.shape);
            Case::new(name, vec![u], expected, Tolerance::largest(1e-6), move |r, i, o, _| record(r, &i[0], set, &o[0]))
        })
        .collect()
}
