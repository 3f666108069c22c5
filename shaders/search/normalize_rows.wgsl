// Each row divided by its Euclidean norm; a row of zeros (nothing above 1e-30) stays zero.
//
//   out[r, n] = (x[r, n] / m) / sqrt(sum_k (x[r, k] / m)²),   m = max_k |x[r, k]|
//
// Shapes     x (R, N) -> out (R, N); pads of x are zero and stay so
// Dispatch   one workgroup a row, folded into y past 65535; its lanes stride over N
// Shared     WIDTH f32
// Order      each lane adds its own columns in rising order, then a tree over lanes: the same bits every run. Dividing
//            by the largest first keeps the squares in range

struct Params {
    rows: u32,    // R
    columns: u32, // N
    stride: u32,  // N padded
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;          // (R, N)
@group(0) @binding(2) var<storage, read_write> out: array<f32>;  // (R, N)

override WIDTH: u32 = 64u; // lanes a row; a power of two, at least 4

const SMALLEST: f32 = 1e-30;

var<workgroup> partial: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn normalize_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= params.rows {
        return;
    }
    let first = row * params.stride;
    var largest = 0.0;
    for (var n = lane; n < params.columns; n += WIDTH) {
        largest = max(largest, abs(x[first + n]));
    }
    partial[lane] = largest;
    fold_maximum(lane);
    let top = partial[0];
    workgroupBarrier();
    var factor = 0.0;
    if top > SMALLEST {
        factor = 1.0 / top;
    }
    var total = 0.0;
    for (var n = lane; n < params.columns; n += WIDTH) {
        let value = x[first + n] * factor;
        total += value * value;
    }
    partial[lane] = total;
    fold_sum(lane);
    // At least 1 for any row that is not zero.
    let norm = sqrt(max(partial[0], 1.0));
    for (var n = lane; n < params.stride; n += WIDTH) {
        out[first + n] = x[first + n] * factor / norm;
    }
}
