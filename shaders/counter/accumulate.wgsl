// Adds numbers to slots of a state that follow each other.
//
//   state[slot] += factor_a · a,  state[slot + 1] += factor_b · b, ...   the first `count` of them
//
// Shapes     a, b, c, d (1), state (K)
// Dispatch   one lane
// Shared     none
// Order      steps follow each other

struct Params {
    slot: u32,
    count: u32, // 1 to 4
    factor_a: f32,
    factor_b: f32,
    factor_c: f32,
    factor_d: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;           // (1)
@group(0) @binding(2) var<storage, read> b: array<f32>;           // (1)
@group(0) @binding(3) var<storage, read> c: array<f32>;           // (1)
@group(0) @binding(4) var<storage, read> d: array<f32>;           // (1)
@group(0) @binding(5) var<storage, read_write> state: array<f32>; // (K)

@compute @workgroup_size(1)
fn accumulate() {
    let slot = params.slot;
    state[slot] += params.factor_a * a[0];
    if params.count > 1u {
        state[slot + 1u] += params.factor_b * b[0];
    }
    if params.count > 2u {
        state[slot + 2u] += params.factor_c * c[0];
    }
    if params.count > 3u {
        state[slot + 3u] += params.factor_d * d[0];
    }
}
