// Each row of a matrix times its own factor.
//
//   out[r, n] = factors[r] * x[r, n]
//
// Shapes     factors (R), x (R, N) -> out (R, N); handled as vec4, pads of x are zero and stay so
// Dispatch   one lane a vec4, folded into y past 65535 groups
// Shared     none
// Order      no reduction

struct Params {
    count: u32, // physical elements of x / 4
    quads: u32, // vec4s a row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> factors: array<f32>;          // (R)
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;          // (R, N)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;  // (R, N)

override WIDTH: u32 = 64u; // lanes a workgroup

@compute @workgroup_size(WIDTH)
fn row_scale(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WIDTH + lane;
    if i >= params.count {
        return;
    }
    out[i] = factors[i / params.quads] * x[i];
}
