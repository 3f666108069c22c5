// The gradient of max-pooling: every input collects from the windows whose maximum it is (no atomics).
//
//   out[r, h, w, c] = sum of dy[r, oh, ow, c] over the windows that hold (h, w) and whose index points there
//
// Shapes     index (R, OH, OW, C) u32, dy (R, OH, OW, C) -> out (R, H, W, C); C padded (pads are zero and stay zero)
// Dispatch   one lane a vec4 of out, folded into y past 65535 groups
// Shared     none
// Order      windows by rising oh, then ow: fixed

struct Params {
    count: u32,    // vec4 of out
    height: u32,   // OH
    width: u32,    // OW
    quads: u32,    // vec4 a pixel
    x_height: u32, // H
    x_width: u32,  // W
    kernel: u32,   // window size
    stride: u32,
    padding: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> index: array<vec4<u32>>;     // (R, OH, OW, C)
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;        // (R, OH, OW, C)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // (R, H, W, C)

override WIDTH: u32 = 64u; // lanes a workgroup

// First window along one axis that holds place p (already shifted by the padding).
fn first_window(p: u32) -> u32 {
    return (max(p + params.stride, params.kernel) - params.kernel) / params.stride;
}

@compute @workgroup_size(WIDTH)
fn max_pool_grad(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = (group.x + group.y * groups.x) * WIDTH + lane;
    if place >= params.count {
        return;
    }
    let column = place % params.quads;
    let pixel = place / params.quads;
    let w = pixel % params.x_width + params.padding;
    let h = pixel / params.x_width % params.x_height + params.padding;
    let r = pixel / (params.x_width * params.x_height);
    let bottom = min(h / params.stride + 1u, params.height);
    let right = min(w / params.stride + 1u, params.width);
    var total = vec4(0.0);
    for (var oh = first_window(h); oh < bottom; oh++) {
        for (var ow = first_window(w); ow < right; ow++) {
            let i = ((r * params.height + oh) * params.width + ow) * params.quads + column;
            let here = (h - oh * params.stride) * params.kernel + w - ow * params.stride;
            total += select(vec4(0.0), dy[i], index[i] == vec4(here));
        }
    }
    out[place] = total;
}
