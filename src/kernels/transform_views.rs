//! All views of each image. Shapes: `images (B, H, W, C)` → `out (B·M, H, W, C)`.

use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result, TransformSet};
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `transform_views.wgsl`.
    pub struct Params {
        /// B.
        pub images: u32,
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
    name: "transform_views",
    source: include_str!("../../shaders/input/transform_views.wgsl"),
    shared: &[shared::VIEWS],
    params: size_of::<Params>(),
    bindings: &[read("images"), write("out")],
    variants: &[
        Variant::base("8 x 32", &[("WIDTH", 8.0), ("ROWS", 32.0)]),
        Variant::base("32 x 4", &[("WIDTH", 32.0), ("ROWS", 4.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records the views of all images, image-major: row `b·M + j` is view `j` of image `b`.
///
/// # Errors
/// When the set does not fit the images ([`TransformSet::check`]) or `out` has another shape.
pub fn record(recording: &mut Recording, images: &Tensor, set: TransformSet, out: &Tensor) -> Result<()> {
    let [b, h, w, c] = images.image("transform_views: images")?;
    set.check(h, w, c)?;
    out.expect("transform_views: out (B·M, H, W, C)", &[b * set.views(), h, w, c])?;
    let p = Params {
        images: b as u32,
        height: h as u32,
        width: w as u32,
        quads: (images.shape.stride() / 4) as u32,
        views: set.views() as u32,
        orders: set.colour_orders() as u32,
        step: set.turn_step() as u32,
    };
    let strips = (h as u32).div_ceil(recording.variant(&SHADER).constant("ROWS"));
    recording.dispatch(&SHADER, p, &[images, out], [strips, p.images, p.views], cost(p))
}

/// The least work: read each image once, write all views.
pub fn cost(p: Params) -> Cost {
    let image = u64::from(p.height) * u64::from(p.width) * u64::from(p.quads);
    Cost { operations: 0, bytes: 16 * image * u64::from(p.images) * (u64::from(p.views) + 1) }
}

/// Calls `f(place in the views, place in the images)` for every logical element of the views.
pub(super) fn each(sizes: &[usize], set: TransformSet, mut f: impl FnMut(usize, usize)) {
    let &[b, h, w, c] = sizes else { panic!("images have four sizes, not {sizes:?}") };
    for row in 0..b * set.views() {
        let (turns, order) = set.view(row % set.views());
        for i in 0..h * w * c {
            let (y, x, channel) = (i / (w * c), i / c % w, i % c);
            let (from_y, from_x) = match turns {
                1 => (x, w - 1 - y),
                2 => (h - 1 - y, w - 1 - x),
                3 => (h - 1 - x, y),
                _ => (y, x),
            };
            let from = if set.needs_colour() { order[channel] } else { channel };
            f(row * h * w * c + i, (((row / set.views()) * h + from_y) * w + from_x) * c + from);
        }
    }
}

/// The twin.
pub fn reference(images: &Array, set: TransformSet) -> Array {
    let mut sizes = images.sizes().to_vec();
    sizes[0] *= set.views();
    let mut out = Array::zeros(&sizes);
    each(images.sizes(), set, |to, from| out.data[to] = images.data[from]);
    out
}

/// Every set on odd and even squares, and what each allows besides: one channel, more than four, not square.
pub(super) fn sizes() -> Vec<(TransformSet, [usize; 4])> {
    let mut all = Vec::new();
    for set in TransformSet::ALL {
        all.extend([(set, [2, 5, 5, 3]), (set, [3, 8, 8, 3])]);
        if !set.needs_colour() {
            all.extend([(set, [2, 7, 7, 1]), (set, [1, 4, 4, 6])]);
        }
        if !set.needs_square() {
            all.push((set, [2, 3, 5, 3]));
        }
    }
    all.push((TransformSet::Rotation, [4, 32, 32, 3]));
    all
}

fn cases() -> Vec<Case> {
    sizes()
        .into_iter()
        .map(|(set, sizes)| {
            let images = Array::normal(&sizes, 1.0, 3);
            let expected = reference(&images, set);
            let name = format!("{set} {}", images.shape);
            Case::new(name, vec![images], expected, Tolerance::EXACT, move |r, i, o, _| record(r, &i[0], set, &o[0]))
        })
        .collect()
}
