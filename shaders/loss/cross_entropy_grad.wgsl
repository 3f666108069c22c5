// Gradient of the softmax cross-entropy by the logits, each row weighted by its upstream gradient.
//
//   grad[r, n] = weights[r] * (exp(logits[r, n] - m[r]) / sum_k exp(logits[r, k] - m[r]) - [n = t])
//   t = class_scale * labels[r / M] + view_scale * (r % M);   0 where labels[r / M] says "ignore"
//
// Shapes     logits (R, N), labels (B), weights (R) -> grad (R, N), R = B·M image-major
// Dispatch   one workgroup a row, folded into y past 65535; its lanes stride over N
// Shared     WIDTH f32, reused for the maximum and for the sum
// Order      each lane folds its own columns in rising order, then a tree over lanes: the same bits every run
// Paper      SLA, gradient of L_SLA

struct Params {
    rows: u32,        // R
    columns: u32,     // N
    stride: u32,      // N padded
    views: u32,       // M
    class_scale: u32,
    view_scale: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;      // (R, N)
@group(0) @binding(2) var<storage, read> labels: array<u32>;      // (B)
@group(0) @binding(3) var<storage, read> weights: array<f32>;     // (R)
@group(0) @binding(4) var<storage, read_write> grad: array<f32>;  // (R, N)

override WIDTH: u32 = 64u; // lanes a row; a power of two

const IGNORED: u32 = 0xffffffffu;

var<workgroup> partial: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn cross_entropy_grad(
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
    for (var n = lane; n < params.columns; n += WIDTH) {
        highest = max(highest, logits[first + n]);
    }
    partial[lane] = highest;
    fold_maximum(lane);
    highest = partial[0];
    workgroupBarrier(); // every lane has read the maximum before the sum overwrites it

    var total = 0.0;
    for (var n = lane; n < params.columns; n += WIDTH) {
        total += exp(logits[first + n] - highest);
    }
    partial[lane] = total;
    fold_sum(lane);
    total = partial[0];

    let class_label = labels[row / params.views];
    let label = params.class_scale * class_label + params.view_scale * (row % params.views);
    let weight = weights[row];
    let counts = class_label != IGNORED;
    for (var n = lane; n < params.stride; n += WIDTH) {
        var value = 0.0;
        if counts && n < params.columns {
            value = weight * (exp(logits[first + n] - highest) / total - select(0.0, 1.0, n == label));
        }
        grad[first + n] = value;
    }
}
