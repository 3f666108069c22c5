//! The factor of the gradients under clipping. Shapes: `norm (1)` → `scale (1)`.

use super::{Case, Kernel, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::shader::PLAIN;
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `clip_scale.wgsl`.
    pub struct Params {
        /// Largest norm allowed; 0 for no clipping.
        pub highest: f32,
        /// Factor without clipping.
        pub base: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "clip_scale",
    source: include_str!("../../shaders/optimise/clip_scale.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("norm"), write("scale")],
    variants: PLAIN,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `scale = base·min(1, highest / (norm·base + 1e-6))`, or `scale = base` without `highest`. `norm` is that of
/// the gradients before `base` (the reciprocal of the number of micro-batches); without `highest` it is not used.
///
/// # Errors
/// When a tensor is not a scalar.
pub fn record(recording: &mut Recording, norm: &Tensor, highest: Option<f32>, base: f32, scale: &Tensor) -> Result<()> {
    norm.expect("clip_scale: norm (1)", &[1])?;
    scale.expect("clip_scale: scale (1)", &[1])?;
    let p = Params { highest: highest.unwrap_or(0.0), base };
    recording.dispatch(&SHADER, p, &[norm, scale], [1, 1, 1], cost(p))
}

/// The least work: one number in, one out.
pub fn cost(_: Params) -> Cost {
    Cost { operations: 4, bytes: 8 }
}

/// The twin.
pub fn reference(norm: f64, highest: Option<f64>, base: f64) -> f64 {
    base * highest.map_or(1.0, |h| (h / (norm * base + 1e-6)).min(1.0))
}

/// Clipped, not clipped, off. One division of 2.5 units in the last place and three more roundings: 1e-6.
fn cases() -> Vec<Case> {
    [(12.5, Some(5.0), 1.0), (3.0, Some(5.0), 1.0), (30.0, Some(0.5), 0.25), (7.0, None, 0.25), (0.0, Some(1.0), 0.5)]
        .into_iter()
        .map(|(norm, highest, base): (f64, Option<f64>, f64)| {
            let expected = Array::scalar(reference(norm, highest, base));
            let name = format!("norm {norm}, {highest:?}, base {base}");
            let tolerance = Tolerance::element(1e-6, 0.0);
            Case::new(name, vec![Array::scalar(norm)], expected, tolerance, move |r, i, o, _| {
                record(r, &i[0], highest.map(|h| h as f32), base as f32, &o[0])
            })
        })
        .collect()
}
