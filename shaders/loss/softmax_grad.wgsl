// Derivatives of softmax and log-softmax, applied to a gradient or a tangent u; p is the softmax.
//
//   mode 0   out[r, n] = p[r, n] * (u[r, n] - sum_k p[r, k] u[r, k])     softmax; its own transpose
//   mode 1   out[r, n] = u[r, n] - p[r, n] * sum_k u[r, k]               log-softmax, reverse
//   mode 2   out[r, n] = u[r, n] - sum_k p[r, k] u[r, k]                 log-softmax, forward (transpose of mode 1)
//
// Shapes     p, u (R, N) -> out (R, N)
// Dispatch   one workgroup a row, folded into y past 65535; its lanes stride over N
// Shared     WIDTH f32
// Order      each lane adds its own columns in rising order, then a tree over lanes: the same bits every run

struct Params {
    rows: u32,    // R
    columns: u32, // N
    stride: u32,  // N padded
    mode: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> p: array<f32>;          // (R, N)
@group(0) @binding(2) var<storage, read> u: array<f32>;          // (R, N)
@group(0) @binding(3) var<storage, read_write> out: array<f32>;  // (R, N)

override WIDTH: u32 = 64u; // lanes a row; a power of two

var<workgroup> partial: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn softmax_grad(
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
        let weight = select(p[first + n], 1.0, params.mode == 1u);
        total += weight * u[first + n];
    }
    partial[lane] = total;
    fold_sum(lane);
    total = partial[0];

    // Where one p is close to 1, u - sum p u is a small difference of large numbers. p sums to 1, so the same is done
    // again to the differences: what is left of them is the error of the first sum.
    var left = 0.0;
    if params.mode != 1u {
        workgroupBarrier(); // every lane has read the first sum before the second overwrites it
        for (var n = lane; n < params.columns; n += WIDTH) {
            left += p[first + n] * (u[first + n] - total);
        }
        partial[lane] = left;
        fold_sum(lane);
        left = partial[0];
    }

    for (var n = lane; n < params.stride; n += WIDTH) {
        var value = 0.0;
        if n < params.columns {
            if params.mode == 0u {
                value = p[first + n] * (u[first + n] - total - left);
            } else if params.mode == 1u {
                value = u[first + n] - p[first + n] * total;
            } else {
                value = u[first + n] - total - left;
            }
        }
        out[first + n] = value;
    }
}
