// Mean over views of chosen columns of a matrix of logits: aggregated, single and averaged inference.
//
//   out[b, n] = 1/used * sum_{j < used} logits[b·M + j, n * column_scale + j * view_scale]
//
// Shapes     logits (B·M, W) image-major -> out (B, N)
// Dispatch   one lane a physical element of out, folded into y past 65535 groups
// Shared     none
// Order      views in rising order
// Paper      SLA, P_agg: the mean of logits of the matching transformation (used = M, column_scale = M, view_scale = 1)

struct Params {
    count: u32,         // physical elements of out
    columns: u32,       // N
    stride: u32,        // N padded
    wide_stride: u32,   // W padded
    views: u32,         // M
    used: u32,
    column_scale: u32,
    view_scale: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;     // (B·M, W)
@group(0) @binding(2) var<storage, read_write> out: array<f32>;  // (B, N)

override WIDTH: u32 = 64u; // lanes a workgroup

@compute @workgroup_size(WIDTH)
fn aggregate(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WIDTH + lane;
    if i >= params.count {
        return;
    }
    let b = i / params.stride;
    let n = i % params.stride;
    var total = 0.0;
    if n < params.columns {
        for (var j = 0u; j < params.used; j++) {
            let column = n * params.column_scale + j * params.view_scale;
            total += logits[(b * params.views + j) * params.wide_stride + column];
        }
    }
    out[i] = total / f32(params.used);
}
