//! Random words for given counters: the proof that `shaders/shared/philox.wgsl` gives the bits of `base::philox`.
//! Shapes: `counters (n, 4)` u32 → `out (n, 16)` u32. Source: Salmon et al., SC 2011.

use super::{Case, Kernel, Output, params, shared};
use crate::base::compare::Tolerance;
use crate::base::philox::{Sequence, Stream, below, key, philox4x32, unit};
use crate::base::{Array, DType, Result};
use crate::gpu::recording::grid;
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `philox_words.wgsl`.
    pub struct Params {
        /// Number of counters.
        pub count: u32,
        /// Key, first word.
        pub key_low: u32,
        /// Key, second word.
        pub key_high: u32,
        /// Bound of the integers, at most 2²⁴ so that float32 holds them.
        pub bound: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "philox_words",
    source: include_str!("../../shaders/random/philox_words.wgsl"),
    shared: &[shared::PHILOX],
    params: size_of::<Params>(),
    bindings: &[read("counters"), write("out")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records the words of every counter: upper halves, lower halves, `below(word, bound)`, `2²⁴ · unit(word)`.
///
/// # Errors
/// When `counters` is not `(n, 4)` or `out` not `(n, 16)`.
pub fn record(recording: &mut Recording, counters: &Tensor, key: [u32; 2], bound: u32, out: &Tensor) -> Result<()> {
    let [count, _] = counters.matrix("philox_words: counters (n, 4)")?;
    counters.expect("philox_words: counters (n, 4)", &[count, 4])?;
    out.expect("philox_words: out (n, 16)", &[count, 16])?;
    let width = recording.variant(&SHADER).constant("WIDTH");
    let p = Params { count: count as u32, key_low: key[0], key_high: key[1], bound };
    recording.dispatch(&SHADER, p, &[counters, out], grid(count, width), cost(p))
}

/// The least work: integer work alone, a counter read and sixteen words written.
pub fn cost(p: Params) -> Cost {
    Cost { operations: 0, bytes: 80 * u64::from(p.count) }
}

/// The twin.
pub fn reference(counters: &[[u32; 4]], key: [u32; 2], bound: u32) -> Array {
    let mut data = Vec::new();
    for &c in counters {
        let words = philox4x32(c, key);
        data.extend(words.map(|w| f64::from(w >> 16)));
        data.extend(words.map(|w| f64::from(w & 0xffff)));
        data.extend(words.map(|w| f64::from(below(w, bound))));
        data.extend(words.map(|w| f64::from(unit(w) * 16_777_216.0)));
    }
    Array::new(&[counters.len(), 16], data)
}

/// The known-answer counters, small ones as dropout uses them, and random ones; integers, so exact.
fn cases() -> Vec<Case> {
    let mut sequence = Sequence::new(5, Stream::Test, 2);
    let known = vec![[0; 4], [u32::MAX; 4], [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]];
    let small = (0..65).map(|i| [i, 7 * i, 3, 1]).collect();
    let random = (0..257).map(|_| [(); 4].map(|()| sequence.word())).collect();
    type List = (&'static str, [u32; 2], u32, Vec<[u32; 4]>);
    let lists: [List; 4] = [
        ("known, key of ones", [u32::MAX; 2], 9, known.clone()),
        ("known, key of pi", [0xa409_3822, 0x299f_31d0], 16_777_215, known),
        ("small", key(42, Stream::Dropout), 10, small),
        ("random", key(0x1234_5678_9abc_def0, Stream::Augment), 65_537, random),
    ];
    lists
        .into_iter()
        .map(|(name, key, bound, counters)| {
            // The device gets whole words, which float64 holds exactly.
            let words = counters.iter().flatten().map(|&w| f64::from(w)).collect();
            let expected = reference(&counters, key, bound);
            Case {
                name: name.into(),
                inputs: vec![(Array::new(&[counters.len(), 4], words), DType::U32)],
                outputs: vec![Output { expected, initial: None, dtype: DType::U32, tolerance: Tolerance::EXACT }],
                scratch: Vec::new(),
                record: Box::new(move |r, i, o, _| record(r, &i[0], key, bound, &o[0])),
            }
        })
        .collect()
}
