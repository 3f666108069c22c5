//! Dropout with a counter-based mask. Shapes: `x (…, C)`, `step (8)` u32 → `out (…, C)`.
//! Source: Srivastava et al., "Dropout", 2014, with PyTorch's inverted scaling.

use super::flat::{VARIANTS, flat_grid};
use super::{Case, Kernel, params, shared};
use crate::base::compare::Tolerance;
use crate::base::philox::{Stream, key, philox4x32, unit};
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `dropout.wgsl`.
    pub struct Params {
        /// Vec4 values of `x`.
        pub count: u32,
        /// Vec4 values a row.
        pub quads: u32,
        /// Key, first word.
        pub key_low: u32,
        /// Key, second word.
        pub key_high: u32,
        /// Which dropout of the network.
        pub layer: u32,
        /// Probability of zero.
        pub p: f32,
        /// 1 / (1 − p).
        pub scale: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "dropout",
    source: include_str!("../../shaders/random/dropout.wgsl"),
    shared: &[shared::PHILOX, shared::WALK],
    params: size_of::<Params>(),
    bindings: &[read("x"), read("step"), write("out")],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Which values are dropped: the probability, and what the mask is a function of besides step and place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Probability of zero, in [0, 1).
    pub p: f32,
    /// The run's seed.
    pub seed: u64,
    /// Which dropout of the network.
    pub layer: u32,
}

/// Records `out = mask · x / (1 − p)` with the mask of the step and micro-batch that `step` holds.
///
/// # Errors
/// When `step` is not `(8)` or `out` has another shape than `x`.
pub fn record(recording: &mut Recording, dropout: Dropout, x: &Tensor, step: &Tensor, out: &Tensor) -> Result<()> {
    step.expect("dropout: step (8)", &[8])?;
    out.expect("dropout: out, as x", x.shape.sizes())?;
    let [key_low, key_high] = key(dropout.seed, Stream::Dropout);
    let p = Params {
        count: (x.shape.physical() / 4) as u32,
        quads: (x.shape.stride() / 4) as u32,
        key_low,
        key_high,
        layer: dropout.layer,
        p: dropout.p,
        scale: 1.0 / (1.0 - dropout.p),
    };
    let groups = flat_grid(recording, &SHADER, p.count as usize);
    recording.dispatch(&SHADER, p, &[x, step, out], groups, cost(p))
}

/// The least work: read and write every value once; one multiplication each (the mask is integer work).
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.count);
    Cost { operations: values, bytes: 8 * values }
}

/// The twin.
pub fn reference(dropout: Dropout, x: &Array, step: &Array) -> Array {
    let (c, rows) = (x.shape.last(), x.shape.rows());
    let key = key(dropout.seed, Stream::Dropout);
    let (number, micro_batch) = (step.data[0] as u32, step.data[4] as usize);
    let scale = 1.0 / (1.0 - f64::from(dropout.p));
    Array::from_fn(x.sizes(), |i| {
        let (row, column) = (i / c + micro_batch * rows, i % c);
        let words = philox4x32([(column / 4) as u32, row as u32, number, dropout.layer], key);
        if unit(words[column % 4]) >= dropout.p { scale * x.data[i] } else { 0.0 }
    })
}

/// Odd columns, more than a group, other steps, micro-batches and layers, no dropout at all. The scale and the product
/// round once each: 3e-7 relative.
fn cases() -> Vec<Case> {
    let list: [(&[usize], f32, u32, u32, u32); 6] = [
        (&[1, 5], 0.5, 0, 0, 0),
        (&[3, 7], 0.0, 1, 0, 0),
        (&[67, 5], 0.3, 7, 2, 1),
        (&[2, 3, 4, 5], 0.5, 7, 0, 2),
        (&[16, 1030], 0.9, 70_000, 3, 3),
        (&[2, 6, 6, 256], 0.5, 1, 0, 0),
    ];
    list.into_iter()
        .enumerate()
        .map(|(i, (sizes, p, number, micro_batch, layer))| {
            let dropout = Dropout { p, seed: 0x1_0000_0007 * (i as u64 + 1), layer };
            let x = Array::normal(sizes, 1.0, i as u64);
            let mut step = Array::zeros(&[8]);
            step.data[0] = f64::from(number);
            step.data[4] = f64::from(micro_batch);
            let expected = reference(dropout, &x, &step);
            let name = format!("{} step {number} micro-batch {micro_batch} {dropout:?}", x.shape);
            Case::new(name, vec![x, step], expected, Tolerance::element(3e-7, 0.0), move |r, i, o, _| {
                record(r, dropout, &i[0], &i[1], &o[0])
            })
            .integer_input(1)
        })
        .collect()
}
