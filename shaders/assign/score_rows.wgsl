// What the transport kernels need of each row of logits: its maximum and the log of its sum of exponentials.
//
//   out[i] = (m, log(sum_k exp(logits[i, k] + bias[k] - m)), 0, 0),   m = max_k (logits[i, k] + bias[k])
//
// Shapes     logits (W, K), bias (K) -> out (W, 4)
// Dispatch   one workgroup a row in use, folded into y past 65535; its lanes stride over K
// Shared     WIDTH f32, reused for the maximum and for the sum
// Order      each lane folds its own columns in rising order, then a tree over lanes: the same bits every run

struct Params {
    rows: u32,    // W, those in use
    columns: u32, // K
    stride: u32,  // K padded
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;          // (W, K)
@group(0) @binding(2) var<storage, read> bias: array<f32>;            // (K)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // (W, 4)

override WIDTH: u32 = 64u; // lanes a row; a power of two

var<workgroup> partial: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn score_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= params.rows {
        return;
    }
    let first = row * params.stride;
    var highest = LOWEST;
    for (var k = lane; k < params.columns; k += WIDTH) {
        highest = max(highest, logits[first + k] + bias[k]);
    }
    partial[lane] = highest;
    fold_maximum(lane);
    highest = partial[0];
    workgroupBarrier(); // every lane has read the maximum before the sum overwrites it

    var sum = 0.0;
    for (var k = lane; k < params.columns; k += WIDTH) {
        sum += exp(logits[first + k] + bias[k] - highest);
    }
    partial[lane] = sum;
    fold_sum(lane);
    if lane == 0u {
        out[row] = vec4(highest, log(partial[0]), 0.0, 0.0);
    }
}
