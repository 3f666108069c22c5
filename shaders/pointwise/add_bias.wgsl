// A bias added to every row.
//
//   out[row, c] = x[row, c] + bias[c]
//
// Shapes     x (rows, C), bias (C) -> out (rows, C); C padded, handled as vec4 (pads are zero and stay zero)
// Dispatch   one lane a vec4, folded into y past 65535 groups
// Shared     none
// Order      no reduction

struct Params {
    count: u32, // vec4 of x
    quads: u32, // vec4 a row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;         // (rows, C)
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;      // (C)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // (rows, C)

override WIDTH: u32 = 64u; // lanes a workgroup

@compute @workgroup_size(WIDTH)
fn add_bias(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WIDTH + lane;
    if i >= params.count {
        return;
    }
    out[i] = x[i] + bias[i % params.quads];
}
