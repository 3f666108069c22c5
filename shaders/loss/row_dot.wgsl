// Inner product of the rows of two matrices.
//
//   out[r] = sum_n a[r, n] * b[r, n]
//
// Shapes     a, b (R, N) -> out (R); pads are zero and add nothing
// Dispatch   one workgroup a row, folded into y past 65535; its lanes stride over N
// Shared     WIDTH f32
// Order      each lane adds its own columns in rising order, then a tree over lanes: the same bits every run

struct Params {
    rows: u32,    // R
    columns: u32, // N
    stride: u32,  // N padded
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;          // (R, N)
@group(0) @binding(2) var<storage, read> b: array<f32>;          // (R, N)
@group(0) @binding(3) var<storage, read_write> out: array<f32>;  // (R)

override WIDTH: u32 = 64u; // lanes a row; a power of two, at least 4

var<workgroup> partial: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn row_dot(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= params.rows {
        return;
    }
    let first = row * params.stride;
    var total = 0.0;
    for (var n = lane; n < params.columns; n += WIDTH) {
        total += a[first + n] * b[first + n];
    }
    partial[lane] = total;
    fold_sum(lane);
    if lane == 0u {
        out[row] = partial[0];
    }
    // The last row's group also clears the pads of the result.
    let padded = (params.rows + 3u) / 4u * 4u;
    if row + 1u == params.rows && lane > 0u && row + lane < padded {
        out[row + lane] = 0.0;
    }
}
