//! Moves running statistics towards a batch's, in place. Shapes: `stats (2, C)`, `running (2, C)`.
//! Source: PyTorch's `BatchNorm2d` (unbiased variance, `(1 − momentum) · running + momentum · batch`).

use super::{Case, Kernel, Output, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, DType, Error, Result};
use crate::gpu::recording::grid;
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, read_write};

params! {
    /// Uniforms of `batch_norm_running.wgsl`.
    pub struct Params {
        /// Vec4 values a row.
        pub quads: u32,
        /// 1 − momentum.
        pub keep: f32,
        /// Weight of the batch.
        pub momentum: f32,
        /// n / (n − 1).
        pub unbias: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "batch_norm_running",
    source: include_str!("../../shaders/norm/batch_norm_running.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("stats"), read_write("running")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// `n / (n − 1)`, and 1 for a single value, whose variance has no unbiased estimate.
pub fn unbias(count: usize) -> f64 {
    if count > 1 { count as f64 / (count as f64 - 1.0) } else { 1.0 }
}

/// The uniforms of an update with statistics of `count` values a channel.
pub fn update(momentum: f32, count: usize, channels: usize) -> Params {
    Params { quads: channels.div_ceil(4) as u32, keep: 1.0 - momentum, momentum, unbias: unbias(count) as f32 }
}

/// Records the update of `running` with statistics of `count` values a channel.
///
/// # Errors
/// When the shapes are not both `(2, C)`.
pub fn record(recording: &mut Recording, stats: &Tensor, momentum: f32, count: usize, running: &Tensor) -> Result<()> {
    if stats.shape.rank() != 2 || stats.shape.rows() != 2 {
        return Err(Error::Shape(format!("batch_norm_running: stats (2, C): got {}", stats.shape)));
    }
    running.expect("batch_norm_running: running, as stats", stats.shape.sizes())?;
    let p = update(momentum, count, stats.shape.last());
    let width = recording.variant(&SHADER).constant("WIDTH");
    recording.dispatch(&SHADER, p, &[stats, running], grid(stats.shape.physical() / 4, width), cost(p))
}

/// The least work: both read, one written.
pub fn cost(p: Params) -> Cost {
    let values = 8 * u64::from(p.quads);
    Cost { operations: 3 * values, bytes: 12 * values }
}

/// The twin: the new value of `running`.
pub fn reference(stats: &Array, momentum: f32, count: usize, running: &Array) -> Array {
    let (c, m) = (stats.shape.last(), f64::from(momentum));
    Array::from_fn(stats.sizes(), |i| {
        let weight = if i >= c { m * unbias(count) } else { m };
        (1.0 - m) * running.data[i] + weight * stats.data[i]
    })
}

/// Odd channels, more than a group, a single value. Four roundings of values of order one, of which two may cancel:
/// 3e-7 relative to the largest.
fn cases() -> Vec<Case> {
    [(5, 18, 0.1f32), (16, 2048, 0.1), (130, 2, 0.25), (3, 1, 0.1)]
        .into_iter()
        .map(|(channels, count, momentum)| {
            let stats = Array::normal(&[2, channels], 1.0, 3);
            let running = Array::normal(&[2, channels], 1.0, 4);
            let expected = reference(&stats, momentum, count, &running);
            Case {
                name: format!("{channels} channels of {count} values, momentum {momentum}"),
                inputs: vec![(stats, DType::F32)],
                outputs: vec![Output {
                    expected,
                    initial: Some(running),
                    dtype: DType::F32,
                    tolerance: Tolerance::largest(3e-7),
                }],
                scratch: Vec::new(),
                record: Box::new(move |r, i, o, _| record(r, &i[0], momentum, count, &o[0])),
            }
        })
        .collect()
}
