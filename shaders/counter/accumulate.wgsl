// Adds a number to one slot of a state.
//
//   state[slot] += x
//
// Shapes     x (1), state (K)
// Dispatch   one lane
// Shared     none
// Order      steps follow each other

struct Params {
    slot: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;            // (1)
@group(0) @binding(2) var<storage, read_write> state: array<f32>;  // (K)

@compute @workgroup_size(1)
fn accumulate() {
    state[params.slot] += x[0];
}
