//! Copy: the bytes per second that a plain kernel reaches. Shapes: `x` any → `out`, the same.

use super::flat::{VARIANTS, flat_grid};
use super::{Case, Kernel, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, write};

params! {
    /// Uniforms of `copy.wgsl`.
    pub struct Params {
        /// Physical elements / 4.
        pub count: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "copy",
    source: include_str!("../../shaders/ceiling/copy.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("x"), write("out")],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records `out = x`.
///
/// # Errors
/// When the shapes differ.
pub fn record(recording: &mut Recording, x: &Tensor, out: &Tensor) -> Result<()> {
    out.expect("copy: out, as x", x.shape.sizes())?;
    let p = Params { count: (x.shape.physical() / 4) as u32 };
    let groups = flat_grid(recording, &SHADER, p.count as usize);
    recording.dispatch(&SHADER, p, &[x, out], groups, cost(p))
}

/// Each value read and written once.
pub fn cost(p: Params) -> Cost {
    Cost { operations: 0, bytes: 32 * u64::from(p.count) }
}

/// The twin.
pub fn reference(x: &Array) -> Array {
    x.clone()
}

/// One value, around a workgroup's width and its values, a prime.
fn cases() -> Vec<Case> {
    let sizes: [&[usize]; 5] = [&[1], &[1, 255], &[7, 257], &[1, 2049], &[2, 3, 5, 7]];
    let one = |s: &[usize]| {
        let x = Array::normal(s, 1.0, 1);
        let expected = reference(&x);
        Case::new(format!("{}", x.shape), vec![x], expected, Tolerance::EXACT, |r, i, o, _| record(r, &i[0], &o[0]))
    };
    sizes.into_iter().map(one).collect()
}
