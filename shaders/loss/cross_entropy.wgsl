// Softmax cross-entropy of each row against a label that is made on the fly from its image's class and its view.
//
//   loss[r] = log(sum_n exp(logits[r, n] - m[r])) - (logits[r, t] - m[r]),   m[r] = max_n logits[r, n]
//   t = class_scale * labels[r / M] + view_scale * (r % M);   loss[r] = 0 where labels[r / M] says "ignore"
//
// Shapes     logits (R, N), labels (B) -> loss (R), R = B·M image-major; a label outside N gives a loss of 3e38
// Dispatch   one workgroup a row, folded into y past 65535; its lanes stride over N
// Shared     WIDTH f32, reused for the maximum and for the sum
// Order      each lane folds its own columns in rising order, then a tree over lanes: the same bits every run
// Paper      SLA, L_SLA: the joint label is y·M + j

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
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;  // (R)

override WIDTH: u32 = 64u; // lanes a row; a power of two, at least 4

const IGNORED: u32 = 0xffffffffu;

var<workgroup> partial: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn cross_entropy(
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

    if lane == 0u {
        let class_label = labels[row / params.views];
        let label = params.class_scale * class_label + params.view_scale * (row % params.views);
        var value = 0.0;
        if class_label != IGNORED {
            var chosen = LOWEST;
            if label < params.columns {
                chosen = logits[first + label];
            }
            value = log(partial[0]) - (chosen - highest);
        }
        loss[row] = value;
    }
    // The last row's group also clears the pads of the losses.
    let padded = (params.rows + 3u) / 4u * 4u;
    if row + 1u == params.rows && lane > 0u && row + lane < padded {
        loss[row + lane] = 0.0;
    }
}
