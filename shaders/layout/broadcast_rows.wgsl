// One row repeated, times a factor: the transpose of sum_rows.
//
//   out[z, row, c] = factor · b[z, c]
//
// Shapes     b (Z, C) -> out (Z, rows, C); C padded, handled as vec4
// Dispatch   one lane a vec4 of out, folded into y past 65535 groups
// Shared     none
// Order      no reduction

struct Params {
    count: u32,  // vec4 of out
    rows: u32,   // rows of one z
    quads: u32,  // vec4 a row
    factor: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;         // (Z, C)
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // (Z, rows, C)

override WIDTH: u32 = 64u; // lanes a workgroup

@compute @workgroup_size(WIDTH)
fn broadcast_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WIDTH + lane;
    if i >= params.count {
        return;
    }
    let column = i % params.quads;
    let z = i / (params.rows * params.quads);
    out[i] = params.factor * b[z * params.quads + column];
}
