// Derivative of the rectified linear unit, applied to a tangent or a gradient.
//
//   out[i] = u[i] where x[i] > 0, else 0          (PyTorch's convention: the derivative at 0 is 0)
//
// Shapes     x, u, out: any, the same; handled as vec4 over the padded elements (0 maps to 0, so pads stay zero)
// Dispatch   QUADS vec4 a lane, WIDTH apart; folded into y past 65535 groups
// Shared     none
// Order      no reduction

struct Params {
    count: u32, // physical elements / 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;         // any
@group(0) @binding(2) var<storage, read> u: array<vec4<f32>>;         // as x
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // as x

override WIDTH: u32 = 64u; // lanes a workgroup
override QUADS: u32 = 1u;  // vec4 a lane

@compute @workgroup_size(WIDTH)
fn relu_derivative(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * WIDTH * QUADS + lane;
    let end = min(first + WIDTH * QUADS, params.count);
    for (var i = first; i < end; i += WIDTH) {
        out[i] = select(vec4(0.0), u[i], x[i] > vec4(0.0));
    }
}
