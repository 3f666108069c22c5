//! Dynamic loss scaling. Shapes: `norm (1)`, `scale (1)` and `counts (2)` updated → `factor (1)`.
//!
//! Source: Micikevicius et al. 2018, section 3.2; the numbers are those of PyTorch's `GradScaler`.

use super::{Case, Kernel, Output, clip_scale, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, DType, Result};
use crate::gpu::shader::PLAIN;
use crate::gpu::{Cost, Recording, Shader, Tensor, read, read_write, write};

params! {
    /// Uniforms of `loss_scale.wgsl`.
    pub struct Params {
        /// Largest norm allowed; 0 for no clipping.
        pub highest: f32,
        /// Factor without clipping.
        pub base: f32,
        /// Steps with finite gradients until the scale doubles.
        pub interval: u32,
    }
}

/// The scale of a run's first steps.
pub const FIRST: f32 = 65_536.0;
/// Steps with finite gradients until the scale doubles.
pub const INTERVAL: u32 = 2_000;
/// The largest scale.
const MOST: f64 = 16_777_216.0;

/// The shader.
pub static SHADER: Shader = Shader {
    name: "loss_scale",
    source: include_str!("../../shaders/optimise/loss_scale.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("norm"), read_write("scale"), read_write("counts"), write("factor")],
    variants: PLAIN,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// The tensors of one step.
#[derive(Clone, Copy, Debug)]
pub struct Buffers<'a> {
    /// Norm of the scaled gradients, before `base` `(1)`.
    pub norm: &'a Tensor,
    /// What the loss is multiplied by `(1)`, updated.
    pub scale: &'a Tensor,
    /// Steps since the scale changed, and steps left out in all `(2)`, updated.
    pub counts: &'a Tensor,
    /// The optimizer's factor of the gradients `(1)`; negative where the step is left out.
    pub factor: &'a Tensor,
}

/// Records `factor = base / scale`, clipped to `highest` as [`clip_scale`] does, and −1 where `norm` is not finite; the scale
/// then halves, and doubles after `interval` steps without that.
///
/// # Errors
/// When a tensor has another shape.
pub fn record(
    recording: &mut Recording,
    highest: Option<f32>,
    base: f32,
    interval: u32,
    buffers: Buffers<'_>,
) -> Result<()> {
    let Buffers { norm, scale, counts, factor } = buffers;
    norm.expect("loss_scale: norm (1)", &[1])?;
    scale.expect("loss_scale: scale (1)", &[1])?;
    counts.expect("loss_scale: counts (2)", &[2])?;
    factor.expect("loss_scale: factor (1)", &[1])?;
    let p = Params { highest: highest.unwrap_or(0.0), base, interval };
    recording.dispatch(&SHADER, p, &[norm, scale, counts, factor], [1, 1, 1], cost(p))
}

/// The least work: six numbers.
pub fn cost(_: Params) -> Cost {
    Cost { operations: 6, bytes: 32 }
}

/// The twin: factor, scale and counts after a step.
pub fn reference(
    norm: f64,
    highest: Option<f64>,
    base: f64,
    interval: u32,
    scale: f64,
    [row, left]: [f64; 2],
) -> (f64, f64, [f64; 2]) {
    if !norm.is_finite() {
        return (-1.0, scale / 2.0, [0.0, left + 1.0]);
    }
    let factor = clip_scale::reference(norm, highest, base / scale);
    match row + 1.0 >= f64::from(interval) {
        true => (factor, (2.0 * scale).min(MOST), [0.0, left]),
        false => (factor, scale, [row + 1.0, left]),
    }
}

/// Finite, clipped, NaN, both infinities, the last step before the scale doubles, the largest scale. Two divisions of 2.5 units
/// in the last place and three more roundings: 1e-6.
fn cases() -> Vec<Case> {
    [
        (3e5, None, 1.0, 65_536.0, [4.0, 1.0]),
        (3e6, Some(5.0), 0.25, 1024.0, [4.0, 0.0]),
        (12.0, Some(5.0), 1.0, 2.0, [8.0, 7.0]),
        (f64::NAN, Some(5.0), 1.0, 65_536.0, [3.0, 2.0]),
        (f64::INFINITY, None, 1.0, 8.0, [9.0, 0.0]),
        (f64::NEG_INFINITY, None, 0.5, 1.0, [0.0, 40.0]),
        (7.0, None, 1.0, 512.0, [9.0, 3.0]),
        (7.0, None, 1.0, MOST, [9.0, 3.0]),
    ]
    .into_iter()
    .map(|(norm, highest, base, scale, counts): (f64, Option<f64>, f64, f64, [f64; 2])| {
        const SHORT: u32 = 10;
        let (factor, next, after) = reference(norm, highest, base, SHORT, scale, counts);
        let updated = |expected: Array, initial: Array| Output {
            expected,
            initial: Some(initial),
            dtype: DType::F32,
            tolerance: Tolerance::EXACT,
        };
        let pair = |values: [f64; 2]| Array::new(&[2], values.to_vec());
        let mut case = Case::new(
            format!("norm {norm}, {highest:?}, base {base}, scale {scale}, counts {counts:?}"),
            vec![Array::scalar(norm)],
            Array::scalar(factor),
            Tolerance::element(1e-6, 0.0),
            move |r, i, o, _| {
                let buffers = Buffers { norm: &i[0], scale: &o[1], counts: &o[2], factor: &o[0] };
                record(r, highest.map(|h| h as f32), base as f32, SHORT, buffers)
            },
        );
        case.outputs.push(updated(Array::scalar(next), Array::scalar(scale)));
        case.outputs.push(updated(pair(after), pair(counts)));
        case
    })
    .collect()
}
