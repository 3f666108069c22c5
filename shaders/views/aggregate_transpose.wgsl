// Transpose of `aggregate`: gives each chosen logit its share of the gradient of the mean, and zero to the rest.
//
//   out[b·M + j, c] = u[b, n] / used  where j < used and c = n * column_scale + j * view_scale for some n < N, else 0
//
// Shapes     u (B, N) -> out (B·M, W) image-major
// Dispatch   one lane a physical element of out, folded into y past 65535 groups
// Shared     none
// Order      no reduction: an element has at most one source

struct Params {
    count: u32,         // physical elements of out
    columns: u32,       // N
    stride: u32,        // N padded
    wide_stride: u32,   // W padded
    views: u32,         // M
    used: u32,
    column_scale: u32,  // at least 1
    view_scale: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> u: array<f32>;          // (B, N)
@group(0) @binding(2) var<storage, read_write> out: array<f32>;  // (B·M, W)

override WIDTH: u32 = 64u; // lanes a workgroup

@compute @workgroup_size(WIDTH)
fn aggregate_transpose(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WIDTH + lane;
    if i >= params.count {
        return;
    }
    let row = i / params.wide_stride;
    let column = i % params.wide_stride;
    let j = row % params.views;
    let skipped = j * params.view_scale;
    var value = 0.0;
    // A pad column never matches: the last chosen column lies inside W, and n < N bounds the rest.
    if j < params.used && column >= skipped && (column - skipped) % params.column_scale == 0u {
        let n = (column - skipped) / params.column_scale;
        if n < params.columns {
            value = u[row / params.views * params.stride + n] / f32(params.used);
        }
    }
    out[i] = value;
}
