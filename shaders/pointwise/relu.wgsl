// Rectified linear unit, and its derivative applied to a tangent or a gradient.
//
//   mode 0   out[i] = max(x[i], 0)
//   mode 1   out[i] = u[i] where x[i] > 0, else 0          (PyTorch's convention: the derivative at 0 is 0)
//
// Shapes     x, u, out: any, the same; handled as vec4 over the padded elements (0 maps to 0, so pads stay zero)
// Dispatch   one lane a vec4, folded into y past 65535 groups
// Shared     none
// Order      no reduction

struct Params {
    count: u32, // physical elements / 4
    mode: u32,  // 0 forward, 1 derivative
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;         // any
@group(0) @binding(2) var<storage, read> u: array<vec4<f32>>;         // as x; x itself in mode 0
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // as x

override WIDTH: u32 = 64u; // lanes a workgroup

@compute @workgroup_size(WIDTH)
fn relu(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WIDTH + lane;
    if i >= params.count {
        return;
    }
    let value = x[i];
    if params.mode == 0u {
        // Not max(): it may turn NaN into 0 and hide that the weights have diverged.
        out[i] = select(value, vec4(0.0), value <= vec4(0.0));
    } else {
        out[i] = select(vec4(0.0), u[i], value > vec4(0.0));
    }
}
