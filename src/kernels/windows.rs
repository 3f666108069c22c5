//! Products over a few images at a time, so that the maps that a variant binds as uniform buffers fit into them.

use std::ops::Range;

use super::conv2d::Geometry;
use crate::base::{DType, Shape};
use crate::gpu::shader::{ALIGNMENT, WINDOW};
use crate::gpu::{Shader, Tensor, Variants};

/// Parts of maps begin at multiples of so many bytes, 16 channels; devices with windows allow it
/// ([`Engine::windows`](crate::gpu::Engine::windows)).
pub const ALIGN: usize = ALIGNMENT as usize;

/// Operations of a window that save 0.1 ms, in the subgroup forms and in the sliding weight gradient.
pub const WORTH: u64 = 3_000_000;
/// The same in Winograd's form, which loads less.
pub const WORTH_WINOGRAD: u64 = 10_000_000;

/// How many of `rows` images one dispatch takes, from the bytes of an image: `bound` maps have to fit into a window, and all
/// parts of maps to begin at multiples of [`ALIGN`]. `None` where not even one image fits.
pub fn images(rows: usize, bound: &[usize], stored: &[usize]) -> Option<usize> {
    let most = WINDOW as usize / bound.iter().max()?;
    if rows <= most {
        return Some(rows);
    }
    let aligned = |n: &usize| bound.iter().chain(stored).all(|bytes| (n * bytes).is_multiple_of(ALIGN));
    (1..=most).rev().find(aligned)
}

/// A variant that may have windows.
#[derive(Clone, Copy)]
pub struct Form {
    /// The kernel.
    pub shader: &'static Shader,
    /// Its variant.
    pub variant: usize,
    /// Operations from which on a dispatch more is worth it; 0 for all.
    pub least: u64,
}

impl Form {
    /// The form that `forms` names. A form that is named alone is used for all that it can compute; a dispatch costs about
    /// 0.1 ms more on software adapters, which a window saves in as many operations as `worth`.
    pub fn of(forms: &Variants, shader: &'static Shader, variant: usize, worth: u64) -> Self {
        Self { shader, variant, least: if forms.kernels.len() == 1 { 0 } else { worth } }
    }
}

/// The variant to take and the images of each of its dispatches: a variant without windows takes all at once, and stands in
/// where the maps do not fit or a window has too little work. `bound` are the variant's windows, `stored` the other maps.
pub fn split(form: Form, geometry: &Geometry, bound: &[&Tensor], stored: &[&Tensor]) -> (usize, Vec<Range<usize>>) {
    let Form { shader, variant, least } = form;
    let rows = bound[0].shape.sizes()[0];
    let parts = |n: usize| (0..rows).step_by(n).map(|first| first..rows.min(first + n)).collect();
    if shader.variants[variant].windows.is_empty() {
        return (variant, parts(rows));
    }
    let bytes = |maps: &[&Tensor]| maps.iter().map(|t| t.bytes() as usize / rows).collect::<Vec<_>>();
    let floats = bound.iter().all(|t| t.dtype == DType::F32);
    let enough = |n: &usize| geometry.of_images(*n).cost().operations >= least;
    match images(rows, &bytes(bound), &bytes(stored)).filter(|n| floats && enough(n)) {
        Some(n) => (variant, parts(n)),
        None => (without(shader, variant), parts(rows)),
    }
}

/// The variant that a variant with windows was made of.
pub fn without(shader: &Shader, variant: usize) -> usize {
    let own = &shader.variants[variant];
    let plain = shader.variants.iter().position(|v| v.windows.is_empty() && v.constants == own.constants);
    plain.expect("a variant with windows comes after its plain one")
}

/// Some images of a map `(R, H, W, C)`.
pub fn part(map: &Tensor, images: &Range<usize>) -> Tensor {
    let mut sizes = map.shape.sizes().to_vec();
    let bytes = map.bytes() / sizes[0] as u64;
    sizes[0] = images.len();
    map.part(bytes * images.start as u64, Shape::new(&sizes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dispatch_takes_what_fits_and_is_aligned() {
        // 14 x 14 x 16 floats: 5 images of 196 · 64 bytes.
        assert_eq!(images(256, &[12_544], &[6_272]), Some(5));
        assert_eq!(images(256, &[12_544], &[6_304]), Some(4), "odd counts of the other map begin between");
        assert_eq!(images(3, &[12_540], &[4]), Some(3), "one part begins at its tensor's start");
        assert_eq!(images(32, &[65_536], &[65_536]), Some(1));
        assert_eq!(images(32, &[65_552], &[16]), None);
        assert_eq!(images(1000, &[400], &[]), Some(160), "4 images begin at a multiple of 64");
        assert_eq!(images(1000, &[60_004], &[]), None);
    }
}
