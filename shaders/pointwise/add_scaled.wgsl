// A tensor plus another times a factor that the device holds: a step along a direction.
//
//   out[i] = a[i] + factor · scale · b[i]
//
// Shapes     a, b, out: any, the same; scale (1); handled as vec4 over the padded elements (pads stay zero)
// Dispatch   QUADS vec4 a lane, WIDTH apart; folded into y past 65535 groups
// Shared     none
// Order      no reduction
// Paper      MAXL eq. 2, the look-ahead step with a rate that follows a schedule

struct Params {
    count: u32, // physical elements / 4
    factor: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>; // any
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>; // as a
@group(0) @binding(3) var<storage, read> scale: array<f32>;           // (1)
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>; // as the input

override WIDTH: u32 = 64u; // lanes a workgroup
override QUADS: u32 = 1u;  // vec4 a lane

@compute @workgroup_size(WIDTH)
fn add_scaled(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * WIDTH * QUADS + lane;
    let end = min(first + WIDTH * QUADS, params.count);
    let factor = params.factor * scale[0];
    for (var i = first; i < end; i += WIDTH) {
        out[i] = a[i] + factor * b[i];
    }
}
