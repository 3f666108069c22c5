// One number in every place of a tensor, times a factor.
//
//   out[i] = factor · s[0]     (pads are zero)
//
// Shapes     s (1), out: any, with `last` columns in rows of `stride`
// Dispatch   QUADS vec4 a lane, WIDTH apart; folded into y past 65535 groups
// Shared     none
// Order      no reduction

struct Params {
    count: u32,  // physical elements / 4
    last: u32,   // logical columns
    stride: u32, // physical columns / 4
    factor: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> s: array<f32>;               // (1)
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // any

override WIDTH: u32 = 64u; // lanes a workgroup
override QUADS: u32 = 1u;  // vec4 a lane

@compute @workgroup_size(WIDTH)
fn broadcast(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * WIDTH * QUADS + lane;
    let end = min(first + WIDTH * QUADS, params.count);
    let value = vec4(params.factor * s[0]);
    var at = quad_of(first, params.stride);
    for (var i = first; i < end; i += WIDTH) {
        out[i] = select(vec4(0.0), value, 4u * at.x + vec4(0u, 1u, 2u, 3u) < vec4(params.last));
        at = next_quad(at, params.stride);
    }
}
