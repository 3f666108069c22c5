// A power of positive values, times a factor.
//
//   out[i] = factor · max(x[i], 1e-30)^exponent
//
// Shapes     x, out: any, the same; handled as vec4 over the padded elements; pads are written as zero
// Dispatch   QUADS vec4 a lane, WIDTH apart; folded into y past 65535 groups
// Shared     none
// Order      no reduction

struct Params {
    count: u32, // physical elements / 4
    quads: u32, // vec4s a row
    last: u32,  // values in a row's last vec4, 1 to 4
    factor: f32,
    exponent: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // any
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // as the input

override WIDTH: u32 = 64u; // lanes a workgroup
override QUADS: u32 = 1u;  // vec4 a lane

@compute @workgroup_size(WIDTH)
fn power(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * WIDTH * QUADS + lane;
    let end = min(first + WIDTH * QUADS, params.count);
    var at = quad_of(first, params.quads);
    for (var i = first; i < end; i += WIDTH) {
        let value = params.factor * pow(max(x[i], vec4(1e-30)), vec4(params.exponent));
        let kept = select(4u, params.last, at.x + 1u == params.quads);
        out[i] = select(vec4(0.0), value, vec4(0u, 1u, 2u, 3u) < vec4(kept));
        at = next_quad(at, params.quads);
    }
}
