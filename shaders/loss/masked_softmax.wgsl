// Softmax over the columns that belong to each row's class: its auxiliary labels. Safe for any finite logits.
//
//   out[r, n] = exp(x[r, n] - m[r]) / s[r]   for offsets[y] <= n < offsets[y + 1],   y = labels[r]
//   m[r] and s[r]: maximum and sum of exponentials over those columns alone; 0 in every other column
//   a row whose label says "ignore" (or lies outside the classes) is zero
//
// Shapes     x (R, K), labels (R), offsets (N + 1) -> out (R, K); class y owns columns offsets[y] .. offsets[y + 1]
// Dispatch   one workgroup a row, folded into y past 65535; its lanes stride over the class's columns
// Shared     WIDTH f32, reused for the maximum and for the sum
// Order      each lane folds its own columns in rising order, then a tree over lanes: the same bits every run
// Paper      MAXL, the mask softmax of the label generator (as its code has it: masked entries get nothing)

struct Params {
    rows: u32,    // R
    columns: u32, // K
    stride: u32,  // K padded
    classes: u32, // N
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;          // (R, K)
@group(0) @binding(2) var<storage, read> labels: array<u32>;     // (R)
@group(0) @binding(3) var<storage, read> offsets: array<u32>;    // (N + 1)
@group(0) @binding(4) var<storage, read_write> out: array<f32>;  // (R, K)

override WIDTH: u32 = 64u; // lanes a row; a power of two

var<workgroup> partial: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn masked_softmax(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= params.rows {
        return;
    }
    let first = row * params.stride;
    let label = labels[row];
    var begin = 0u;
    var end = 0u;
    if label < params.classes {
        begin = offsets[label];
        end = min(offsets[label + 1u], params.columns);
    }

    var highest = LOWEST;
    for (var n = begin + lane; n < end; n += WIDTH) {
        highest = max(highest, x[first + n]);
    }
    partial[lane] = highest;
    fold_maximum(lane);
    highest = partial[0];
    workgroupBarrier(); // every lane has read the maximum before the sum overwrites it

    var total = 0.0;
    for (var n = begin + lane; n < end; n += WIDTH) {
        total += exp(x[first + n] - highest);
    }
    partial[lane] = total;
    fold_sum(lane);
    total = partial[0];

    for (var n = lane; n < params.stride; n += WIDTH) {
        var value = 0.0;
        if n >= begin && n < end {
            value = exp(x[first + n] - highest) / total;
        }
        out[first + n] = value;
    }
}
