//! Mean over views of chosen columns. Shapes: `logits (B·M, W)` → `out (B, N)`.

use super::{Case, Kernel, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, Error, Result};
use crate::gpu::recording::grid;
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `aggregate.wgsl`.
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

/// Which logits are averaged: view `j < used` of an image, column `n·column_scale + j·view_scale` for class `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Views {
    /// M, rows of one image.
    pub views: usize,
    /// How many of them are averaged, from the first on.
    pub used: usize,
    /// N, columns of the result.
    pub columns: usize,
    /// Distance of two classes' columns, at least 1.
    pub column_scale: usize,
    /// Distance of two views' columns.
    pub view_scale: usize,
}

impl Views {
    /// Number of images B of a matrix `(B·M, W)`.
    ///
    /// # Errors
    /// When its rows are not `views` an image, or a chosen column lies outside it.
    pub fn images(&self, rows: usize, width: usize) -> Result<usize> {
        let Self { views, used, columns, column_scale, view_scale } = *self;
        if used < 1 || used > views || columns < 1 || column_scale < 1 {
            return Err(Error::Shape(format!("{self:?}: used is 1 to views, columns and column_scale at least 1")));
        }
        let last = (columns - 1) * column_scale + (used - 1) * view_scale;
        if !rows.is_multiple_of(views) || last >= width {
            return Err(Error::Shape(format!("({rows}, {width}) does not hold {self:?} (last column {last})")));
        }
        Ok(rows / views)
    }

    /// Uniforms for `count` physical elements, given the strides of N and W.
    pub(super) fn params(&self, count: usize, stride: usize, wide_stride: usize) -> Params {
        Params {
            count: count as u32,
            columns: self.columns as u32,
            stride: stride as u32,
            wide_stride: wide_stride as u32,
            views: self.views as u32,
            used: self.used as u32,
            column_scale: self.column_scale as u32,
            view_scale: self.view_scale as u32,
        }
    }

    /// Calls `f(place in (B, N), place in (B·M, W))` for each chosen logit.
    pub(super) fn each(&self, images: usize, width: usize, mut f: impl FnMut(usize, usize)) {
        for b in 0..images {
            for n in 0..self.columns {
                for j in 0..self.used {
                    let column = n * self.column_scale + j * self.view_scale;
                    f(b * self.columns + n, (b * self.views + j) * width + column);
                }
            }
        }
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "aggregate",
    source: include_str!("../../shaders/views/aggregate.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("logits"), write("out")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)]), Variant::base("256", &[("WIDTH", 256.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out[b, n] = 1/used · Σ_{j < used} logits[b·M + j, n·column_scale + j·view_scale]`.
///
/// # Errors
/// When the shapes do not fit `views`.
pub fn record(recording: &mut Recording, logits: &Tensor, views: Views, out: &Tensor) -> Result<()> {
    let [rows, width] = logits.matrix("aggregate: logits")?;
    let images = views.images(rows, width)?;
    out.expect("aggregate: out (B, N)", &[images, views.columns])?;
    let count = out.shape.physical();
    let p = views.params(count, out.shape.stride(), logits.shape.stride());
    let lanes = recording.variant(&SHADER).constant("WIDTH");
    recording.dispatch(&SHADER, p, &[logits, out], grid(count, lanes), cost(p))
}

/// The least work: read the chosen logits, write the means.
pub fn cost(p: Params) -> Cost {
    let means = u64::from(p.count / p.stride) * u64::from(p.columns);
    Cost { operations: means * u64::from(p.used), bytes: 4 * means * (u64::from(p.used) + 1) }
}

/// The twin.
pub fn reference(logits: &Array, views: Views) -> Array {
    let images = logits.shape.rows() / views.views;
    let mut out = Array::zeros(&[images, views.columns]);
    let share = 1.0 / views.used as f64;
    views.each(images, logits.shape.last(), |to, from| out.data[to] += share * logits.data[from]);
    out
}

/// `(B, W, views)`: joint aggregated and single inference, averages over copies, the first view; one view, many
/// views, widths that are not a multiple of four.
pub(super) fn sizes() -> Vec<(usize, usize, Views)> {
    let views =
        |views, used, columns, column_scale, view_scale| Views { views, used, columns, column_scale, view_scale };
    vec![
        (1, 5, views(1, 1, 5, 1, 1)),
        (3, 40, views(4, 4, 10, 4, 1)),
        (3, 40, views(4, 1, 10, 4, 1)),
        (5, 42, views(6, 6, 7, 6, 1)),
        (7, 10, views(2, 2, 10, 1, 0)),
        (4, 7, views(4, 1, 7, 1, 0)),
        (2, 24 * 11, views(24, 24, 11, 24, 1)),
        (64, 400, views(4, 4, 100, 4, 1)),
    ]
}

/// Sums of at most 24 values of size 1 and a division of 2.5 units in the last place: 1e-6 of the largest.
fn cases() -> Vec<Case> {
    sizes()
        .into_iter()
        .enumerate()
        .map(|(i, (images, width, views))| {
            let logits = Array::normal(&[images * views.views, width], 1.0, i as u64);
            let expected = reference(&logits, views);
            let name = format!("{} {views:?}", logits.shape);
            Case::new(name, vec![logits], expected, Tolerance::largest(1e-6), move |r, i, o, _| {
                record(r, &i[0], views, &o[0])
            })
        })
        .collect()
}
