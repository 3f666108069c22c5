//! Each row times its own factor. Shapes: `factors (R)`, `x (R, N)` → `out (R, N)`.

use super::softmax::SIZES;
use super::{Case, Kernel, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::recording::grid;
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `row_scale.wgsl`.
    pub struct Params {
        /// Physical elements of x / 4.
        pub count: u32,
        /// Groups of four a row.
        pub quads: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "row_scale",
    source: include_str!("../../shaders/loss/row_scale.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("factors"), read("x"), write("out")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)]), Variant::base("256", &[("WIDTH", 256.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out[r, n] = factors[r]·x[r, n]`.
///
/// # Errors
/// When `x` is not a matrix or another shape does not fit it.
pub fn record(recording: &mut Recording, factors: &Tensor, x: &Tensor, out: &Tensor) -> Result<()> {
    let [rows, columns] = x.matrix("row_scale: x")?;
    factors.expect("row_scale: factors (R)", &[rows])?;
    out.expect("row_scale: out, as x", &[rows, columns])?;
    let count = x.shape.physical() / 4;
    let p = Params { count: count as u32, quads: (x.shape.stride() / 4) as u32 };
    let width = recording.variant(&SHADER).constant("WIDTH");
    recording.dispatch(&SHADER, p, &[factors, x, out], grid(count, width), cost(p))
}

/// The least work: read and write each value once, one product.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.count);
    Cost { operations: values, bytes: 8 * values }
}

/// The twin.
pub fn reference(factors: &Array, x: &Array) -> Array {
    let n = x.shape.last();
    Array::from_fn(x.sizes(), |i| factors.data[i / n] * x.data[i])
}

/// One rounding of one product: half a unit in the last place.
fn cases() -> Vec<Case> {
    SIZES
        .into_iter()
        .enumerate()
        .map(|(i, sizes)| {
            let factors = Array::normal(&sizes[..1], 1.0, 3 + i as u64);
            let x = Array::normal(&sizes, 1.0, 30 + i as u64);
            let expected = reference(&factors, &x);
            let tolerance = Tolerance::element(1e-7, 0.0);
            Case::new(format!("{}", x.shape), vec![factors, x], expected, tolerance, |r, i, o, _| {
                record(r, &i[0], &i[1], &o[0])
            })
        })
        .collect()
}
