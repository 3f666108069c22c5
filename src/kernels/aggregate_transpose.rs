//! Transpose of [`super::aggregate`]. Shapes: `u (B, N)` → `out (B·M, W)`.

use super::aggregate::{Params as Geometry, Views, sizes};
use super::{Case, Kernel, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::recording::grid;
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `aggregate_transpose.wgsl`.
    pub struct Params {
        /// Physical elements of `out`.
        pub count: u32,
        /// N.
        pub columns: u32,
        /// N padded.
        pub stride: u32,
        /// W padded.
        pub wide_stride: u32,
        /// M.
        pub views: u32,
        /// Views that are averaged.
        pub used: u32,
        /// Distance of two classes' columns.
        pub column_scale: u32,
        /// Distance of two views' columns.
        pub view_scale: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "aggregate_transpose",
    source: include_str!("../../shaders/views/aggregate_transpose.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("u"), write("out")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)]), Variant::base("256", &[("WIDTH", 256.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out[b·M + j, n·column_scale + j·view_scale] = u[b, n] / used` for `j < used`, 0 elsewhere.
///
/// # Errors
/// When the shapes do not fit `views`.
pub fn record(recording: &mut Recording, u: &Tensor, views: Views, out: &Tensor) -> Result<()> {
    let [rows, width] = out.matrix("aggregate_transpose: out")?;
    let images = views.images(rows, width)?;
    u.expect("aggregate_transpose: u (B, N)", &[images, views.columns])?;
    let count = out.shape.physical();
    let Geometry { columns, stride, wide_stride, views, used, column_scale, view_scale, .. } =
        views.params(count, u.shape.stride(), out.shape.stride());
    let p = Params { count: count as u32, columns, stride, wide_stride, views, used, column_scale, view_scale };
    let lanes = recording.variant(&SHADER).constant("WIDTH");
    recording.dispatch(&SHADER, p, &[u, out], grid(count, lanes), cost(p))
}

/// The least work: read the gradient of the means, write one a logit.
pub fn cost(p: Params) -> Cost {
    let rows = u64::from(p.count / p.wide_stride);
    let means = rows / u64::from(p.views) * u64::from(p.columns);
    Cost { operations: means * u64::from(p.used), bytes: 4 * (means + u64::from(p.count)) }
}

/// The twin.
pub fn reference(u: &Array, views: Views, width: usize) -> Array {
    let images = u.shape.rows();
    let mut out = Array::zeros(&[images * views.views, width]);
    views.each(images, width, |from, to| out.data[to] = u.data[from] / views.used as f64);
    out
}

/// One division of 2.5 units in the last place.
fn cases() -> Vec<Case> {
    sizes()
        .into_iter()
        .enumerate()
        .map(|(i, (images, width, views))| {
            let u = Array::normal(&[images, views.columns], 1.0, i as u64);
            let expected = reference(&u, views, width);
            let name = format!("{} {views:?}", expected.shape);
            Case::new(name, vec![u], expected, Tolerance::element(3e-7, 0.0), move |r, i, o, _| {
                record(r, &i[0], views, &o[0])
            })
        })
        .collect()
}
