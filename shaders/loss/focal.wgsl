// Focal loss of every class of a row's softmax: what a target of 1 there would cost.
//
//   out[r, n] = -(1 - p)^gamma * log(p + 1e-20),   p = softmax(logits)[r, n];   gamma = 0: cross-entropy
//
// Shapes     logits (R, N) -> out (R, N)
// Dispatch   one workgroup a row, folded into y past 65535; its lanes stride over N
// Shared     WIDTH f32, reused for the maximum and for two sums
// Order      each lane folds its own columns in rising order, then a tree over lanes: the same bits every run
// Paper      MAXL eq. 6 (focal loss of Lin et al. 2017 with soft targets): the loss is <target, out>

struct Params {
    rows: u32,    // R
    columns: u32, // N
    stride: u32,  // N padded
    gamma: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;     // (R, N)
@group(0) @binding(2) var<storage, read_write> out: array<f32>;  // (R, N)

override WIDTH: u32 = 64u; // lanes a row; a power of two

var<workgroup> partial: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn focal(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= params.rows {
        return;
    }
    let first = row * params.stride;

    let sums = softmax_sums(first, lane);

    for (var n = lane; n < params.stride; n += WIDTH) {
        var value = 0.0;
        if n < params.columns {
            let x = probability(logits[first + n], sums);
            value = -modulation(x.rest, params.gamma) * x.logp;
        }
        out[first + n] = value;
    }
}
