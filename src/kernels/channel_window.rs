//! A window of channels moved to another place, with spatial subsampling, and its transpose.
//! Shapes: `x (R, H, W, C)` → `out (R, ⌈H/stride⌉, ⌈W/stride⌉, channels)`; `(R, D)` counts as `(R, 1, 1, D)`.

use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::recording::grid;
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `channel_window.wgsl`.
    pub struct Params {
        /// Lines of `out`: R · H.
        pub lines: u32,
        /// H of `out`.
        pub height: u32,
        /// W of `out`.
        pub width: u32,
        /// Vec4 values a pixel of `out`.
        pub quads: u32,
        /// H of `x`.
        pub x_height: u32,
        /// W of `x`.
        pub x_width: u32,
        /// Vec4 values a pixel of `x`.
        pub x_quads: u32,
        /// First channel of the window in `x`.
        pub first_in: u32,
        /// First channel of the window in `out`.
        pub first_out: u32,
        /// Channels of the window.
        pub channels: u32,
        /// Spatial step.
        pub stride: u32,
        /// 0 subsample, 1 its transpose.
        pub mode: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "channel_window",
    source: include_str!("../../shaders/layout/channel_window.wgsl"),
    shared: &[shared::WALK],
    params: size_of::<Params>(),
    bindings: &[read("x"), write("out")],
    variants: &[
        Variant::base("64", &[("WIDTH", 64.0), ("FLAT", 0.0)]),
        Variant::base("256", &[("WIDTH", 256.0), ("FLAT", 1.0)]),
        Variant::base("8", &[("WIDTH", 8.0), ("FLAT", 0.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Channels `from..from + count` of every `stride`-th pixel, placed at `to..to + count` of `channels`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelWindow {
    /// First channel read.
    pub from: usize,
    /// First channel written.
    pub to: usize,
    /// Channels copied.
    pub count: usize,
    /// Channels of the result; those outside the window are zero.
    pub channels: usize,
    /// Every how manieth row and column of pixels is kept.
    pub stride: usize,
}

impl ChannelWindow {
    /// The result's shape.
    ///
    /// # Errors
    /// When `x` has neither rank 2 nor 4, or the window does not lie in both tensors.
    pub fn infer(&self, x: &Shape) -> Result<Shape> {
        let fits = self.count > 0
            && self.from.checked_add(self.count).is_some_and(|end| end <= x.last())
            && self.to.checked_add(self.count).is_some_and(|end| end <= self.channels);
        if !fits || self.stride == 0 {
            return Err(Error::Shape(format!("channel_window: {self:?} does not fit {x}")));
        }
        match *x.sizes() {
            [r, _] => Ok(Shape::new(&[r, self.channels])),
            [r, h, w, _] => Ok(Shape::new(&[r, h.div_ceil(self.stride), w.div_ceil(self.stride), self.channels])),
            _ => Err(Error::Shape(format!("channel_window: takes (R, H, W, C) or (R, D), not {x}"))),
        }
    }
}

/// `(R, H, W, C)` of a shape of rank 2 or 4.
fn image(shape: &Shape) -> [usize; 4] {
    match *shape.sizes() {
        [r, h, w, c] => [r, h, w, c],
        _ => [shape.rows(), 1, 1, shape.last()],
    }
}

/// Records the window of `x`.
///
/// # Errors
/// When the shapes do not fit the window.
pub fn record(recording: &mut Recording, window: ChannelWindow, x: &Tensor, out: &Tensor) -> Result<()> {
    out.expect("channel_window: out", window.infer(&x.shape)?.sizes())?;
    dispatch(recording, 0, window, window.from, window.to, x, out)
}

/// Records the transpose: `dy`, shaped as the window's result, back to `dx`, shaped as its input.
///
/// # Errors
/// When the shapes do not fit the window.
pub fn record_transpose(recording: &mut Recording, window: ChannelWindow, dy: &Tensor, dx: &Tensor) -> Result<()> {
    dy.expect("channel_window_transpose: dy", window.infer(&dx.shape)?.sizes())?;
    dispatch(recording, 1, window, window.to, window.from, dy, dx)
}

fn dispatch(
    recording: &mut Recording,
    mode: u32,
    window: ChannelWindow,
    from: usize,
    to: usize,
    x: &Tensor,
    out: &Tensor,
) -> Result<()> {
    let ([r, h, w, _], [_, xh, xw, _]) = (image(&out.shape), image(&x.shape));
    let p = Params {
        lines: (r * h) as u32,
        height: h as u32,
        width: w as u32,
        quads: (out.shape.stride() / 4) as u32,
        x_height: xh as u32,
        x_width: xw as u32,
        x_quads: (x.shape.stride() / 4) as u32,
        first_in: from as u32,
        first_out: to as u32,
        channels: window.count as u32,
        stride: window.stride as u32,
        mode,
    };
    let [width, flat] = ["WIDTH", "FLAT"].map(|name| recording.variant(&SHADER).constant(name));
    let groups = if flat > 0 { grid(r * h * w * p.quads as usize, 4 * width) } else { grid(r * h, 1) };
    recording.dispatch_constant(&SHADER, p, &[x, out], groups, cost(p))
}

/// The least work: write every value, read each value of the window once.
pub fn cost(p: Params) -> Cost {
    let pixels = u64::from(p.lines) * u64::from(p.width);
    let shared =
        if p.mode == 0 { pixels } else { pixels / u64::from(p.height * p.width) * u64::from(p.x_height * p.x_width) };
    Cost { operations: 0, bytes: 16 * pixels * u64::from(p.quads) + 4 * shared * u64::from(p.channels) }
}

/// Pairs of flat indices `(in the result, in the input)` that the window joins.
fn pairs(window: ChannelWindow, x: &Shape, y: &Shape) -> Vec<(usize, usize)> {
    let ([r, h, w, c], [_, xh, xw, xc]) = (image(y), image(x));
    let mut out = Vec::new();
    for pixel in 0..r * h * w {
        let (i, j, k) = (pixel / (h * w), pixel / w % h, pixel % w);
        let source = (i * xh + j * window.stride) * xw + k * window.stride;
        out.extend((0..window.count).map(|n| (pixel * c + window.to + n, source * xc + window.from + n)));
    }
    out
}

/// The twin of [`record`].
pub fn reference(window: ChannelWindow, x: &Array) -> Array {
    let [r, h, w, _] = image(&x.shape);
    let (h, w) = (h.div_ceil(window.stride), w.div_ceil(window.stride));
    let rank = x.shape.rank();
    let mut out =
        if rank == 2 { Array::zeros(&[r, window.channels]) } else { Array::zeros(&[r, h, w, window.channels]) };
    for (to, from) in pairs(window, &x.shape, &out.shape) {
        out.data[to] = x.data[from];
    }
    out
}

/// The twin of [`record_transpose`]; `shape` is the window's input's.
pub fn reference_transpose(window: ChannelWindow, dy: &Array, shape: &Shape) -> Array {
    let mut out = Array::zeros(shape.sizes());
    for (from, to) in pairs(window, shape, &dy.shape) {
        out.data[to] = dy.data[from];
    }
    out
}

/// Aligned and not, appended and cut, odd sizes under a stride, matrices, a real layer; copies, so exact.
fn cases() -> Vec<Case> {
    let list: [(&[usize], [usize; 5]); 9] = [
        (&[1, 1, 1, 1], [0, 1, 1, 3, 1]),
        (&[2, 3, 5, 5], [0, 0, 5, 10, 2]),
        (&[2, 3, 5, 7], [0, 2, 7, 11, 1]),
        (&[2, 4, 3, 9], [3, 0, 5, 5, 1]),
        (&[2, 5, 4, 12], [4, 8, 6, 17, 3]),
        (&[2, 5, 4, 12], [1, 5, 7, 12, 2]),
        (&[3, 6], [2, 3, 4, 9, 1]),
        (&[5, 8], [4, 0, 4, 4, 1]),
        (&[2, 32, 32, 16], [0, 8, 16, 32, 2]),
    ];
    let mut cases = Vec::new();
    for (i, (sizes, [from, to, count, channels, stride])) in list.into_iter().enumerate() {
        let window = ChannelWindow { from, to, count, channels, stride };
        let x = Array::normal(sizes, 1.0, i as u64);
        let forward = reference(window, &x);
        let dy = Array::normal(forward.sizes(), 1.0, 30 + i as u64);
        let transpose = reference_transpose(window, &dy, &x.shape);
        let name = format!("{} {window:?}", x.shape);
        cases.push(Case::new(format!("forward {name}"), vec![x], forward, Tolerance::EXACT, move |r, i, o, _| {
            record(r, window, &i[0], &o[0])
        }));
        cases.push(Case::new(format!("transpose {name}"), vec![dy], transpose, Tolerance::EXACT, move |r, i, o, _| {
            record_transpose(r, window, &i[0], &o[0])
        }));
    }
    cases
}
