// Rectified linear unit.
//
//   out[i] = max(x[i], 0)
//
// Shapes     x, out: any, the same; handled as vec4 over the padded elements (0 maps to 0, so pads stay zero)
// Dispatch   QUADS vec4 a lane, WIDTH apart; folded into y past 65535 groups
// Shared     none
// Order      no reduction

struct Params {
    count: u32, // physical elements / 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;         // any
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // as x

override WIDTH: u32 = 64u; // lanes a workgroup
override QUADS: u32 = 1u;  // vec4 a lane

@compute @workgroup_size(WIDTH)
fn relu(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * WIDTH * QUADS + lane;
    let end = min(first + WIDTH * QUADS, params.count);
    for (var i = first; i < end; i += WIDTH) {
        let value = x[i];
        // Not max(): it may turn NaN into 0 and hide that the weights have diverged.
        out[i] = select(value, vec4(0.0), value <= vec4(0.0));
    }
}
