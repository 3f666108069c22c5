// Derivatives of the focal loss of every class by the logits, applied to a gradient or a tangent u.
//
//   mode 0   out[r, n] = w[n] u[n] - p[n] * sum_k w[k] u[k]     reverse
//   mode 1   out[r, n] = w[n] * (u[n] - sum_k p[k] u[k])        forward (transpose of mode 0)
//   p = softmax(logits)[r],   w = p f'(p),   f(p) = -(1 - p)^gamma * log(p + 1e-20)
//
// Shapes     logits, u (R, N) -> out (R, N)
// Dispatch   one workgroup a row, folded into y past 65535; its lanes stride over N
// Shared     WIDTH f32, reused for the maximum and for three sums
// Order      each lane folds its own columns in rising order, then a tree over lanes: the same bits every run
// Paper      MAXL eq. 6 (focal loss of Lin et al. 2017 with soft targets)

struct Params {
    rows: u32,    // R
    columns: u32, // N
    stride: u32,  // N padded
    gamma: f32,
    mode: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;     // (R, N)
@group(0) @binding(2) var<storage, read> u: array<f32>;          // (R, N)
@group(0) @binding(3) var<storage, read_write> out: array<f32>;  // (R, N)

override WIDTH: u32 = 64u; // lanes a row; a power of two

var<workgroup> partial: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn focal_grad(
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

    workgroupBarrier();

    var dot = 0.0;
    for (var n = lane; n < params.columns; n += WIDTH) {
        let x = probability(logits[first + n], sums);
        dot += u[first + n] * select(x.p, focal_slope(x, params.gamma), params.mode == 0u);
    }
    partial[lane] = dot;
    fold_sum(lane);
    dot = partial[0];

    for (var n = lane; n < params.stride; n += WIDTH) {
        var value = 0.0;
        if n < params.columns {
            let x = probability(logits[first + n], sums);
            let slope = focal_slope(x, params.gamma);
            if params.mode == 0u {
                // The own term apart: 1 - p would cancel where p is close to 1.
                let own = slope * u[first + n];
                value = own * x.rest - x.p * (dot - own);
            } else {
                value = slope * (u[first + n] - dot);
            }
        }
        out[first + n] = value;
    }
}
