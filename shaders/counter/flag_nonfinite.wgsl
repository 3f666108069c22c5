// Notes the first step at which a number was not finite.
//
//   state[slot] = step number + 1  where x is NaN or infinite and state[slot] is 0
//
// Shapes     x (1), step (8), state (K)
// Dispatch   one lane
// Shared     none
// Order      steps follow each other

struct Params {
    slot: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
// The bits of x: compilers may assume that a float is never NaN and fold a comparison away.
@group(0) @binding(1) var<storage, read> x: array<u32>;            // (1)
@group(0) @binding(2) var<storage, read> step_words: array<u32>;   // (8), word 0 the step's number
@group(0) @binding(3) var<storage, read_write> state: array<f32>;  // (K)

const EXPONENT: u32 = 0x7f800000u; // all ones in NaN and infinity alone

@compute @workgroup_size(1)
fn flag_nonfinite() {
    if (x[0] & EXPONENT) == EXPONENT && state[params.slot] == 0.0 {
        state[params.slot] = f32(step_words[0]) + 1.0;
    }
}
