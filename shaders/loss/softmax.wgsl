// Softmax or log-softmax over the columns of each row, safe for any finite logits.
//
//   mode 0   out[r, n] = exp(x[r, n] - m[r]) / s[r],        m[r] = max_n x[r, n],   s[r] = sum_n exp(x[r, n] - m[r])
//   mode 1   out[r, n] = x[r, n] - m[r] - log(s[r])
//
// Shapes     x (R, N) -> out (R, N)
// Dispatch   one workgroup a row, folded into y past 65535; its lanes stride over N
// Shared     WIDTH f32, reused for the maximum and for the sum
// Order      each lane folds its own columns in rising order, then a tree over lanes: the same bits every run
// Paper      SLA eq. 1; MAXL's primary and auxiliary softmax

struct Params {
    rows: u32,    // R
    columns: u32, // N
    stride: u32,  // N padded
    mode: u32,    // 0 softmax, 1 log-softmax
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;          // (R, N)
@group(0) @binding(2) var<storage, read_write> out: array<f32>;  // (R, N)

override WIDTH: u32 = 64u; // lanes a row; a power of two

var<workgroup> partial: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn softmax(
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
        highest = max(highest, x[first + n]);
    }
    partial[lane] = highest;
    fold_maximum(lane);
    highest = partial[0];
    workgroupBarrier(); // every lane has read the maximum before the sum overwrites it

    var total = 0.0;
    for (var n = lane; n < params.columns; n += WIDTH) {
        total += exp(x[first + n] - highest);
    }
    partial[lane] = total;
    fold_sum(lane);
    total = partial[0];

    for (var n = lane; n < params.stride; n += WIDTH) {
        var value = 0.0;
        if n < params.columns {
            let above = x[first + n] - highest;
            if params.mode == 0u {
                value = exp(above) / total;
            } else {
                value = above - log(total);
            }
        }
        out[first + n] = value;
    }
}
