//! The gradient where a residual branches off, and the sums of batch normalisation over it, in one pass. Shapes:
//! `y, a, b, x (…, C)`, `stats (2, C)` → `u (…, C)`, `out (2, C)`. [`join`](super::join::join) puts it where a recording has
//! `relu_derivative_sum` in front of `batch_norm_sums`. Source: Ioffe and Szegedy, 2015, section 3.

use super::batch_norm::{self, Form, Masked};
use super::columns::SUMS;
use super::{Case, Kernel, Output, batch_norm_sums, join, relu_derivative_sum, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, DType};
use crate::gpu::{Shader, read, write};

/// The shader. Its parameters are those of `batch_norm_sums`.
pub static SHADER: Shader = Shader {
    name: "batch_norm_residual_sums",
    source: include_str!("../../shaders/norm/batch_norm_residual_sums.wgsl"),
    shared: &[shared::COLUMNS, shared::WHOLE_SUMS, shared::GRADIENT_SUMS],
    params: size_of::<batch_norm_sums::Params>(),
    bindings: &[read("y"), read("a"), read("b"), read("x"), read("stats"), write("u"), write("out")],
    variants: SUMS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: batch_norm_sums::FIELDS, cases };

/// As `batch_norm_sums`: 4e-6 relative to the largest; the gradient itself is one rounded addition.
fn cases() -> Vec<Case> {
    let one = |(i, name, m): (usize, String, Masked)| {
        let [y, a, b] = [300, 400, 500].map(|seed| Array::normal(m.x.sizes(), 1.0, seed + i as u64));
        let form = Form::normalise(1e-5);
        let u = relu_derivative_sum::reference(&y, &a, &b);
        let sums = batch_norm_sums::reference(form, &m.x, &m.stats, &u);
        let scratch = vec![batch_norm_sums::scratch(&m.x.shape)];
        let output = |expected, tolerance| Output { expected, initial: None, dtype: DType::F32, tolerance };
        Case {
            name,
            inputs: [y, a, b, m.x, m.stats].into_iter().map(|array| (array, DType::F32)).collect(),
            outputs: vec![output(u, Tolerance::element(2e-7, 2e-7)), output(sums, Tolerance::largest(4e-6))],
            scratch,
            record: Box::new(move |r, i, o, s| {
                let variant = r.variants.index(&SHADER);
                r.variants.insert(batch_norm_sums::SHADER.name, variant);
                relu_derivative_sum::record(r, &i[0], &i[1], &i[2], &o[0])?;
                batch_norm_sums::record(r, form, [&i[3], &i[4], &o[0]], &s[0], &o[1])?;
                join::join(r)
            }),
        }
    };
    batch_norm::masked_inputs(1e-5).into_iter().map(one).collect()
}
