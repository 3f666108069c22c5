// Where in its window each maximum stands; of equal values the first one.
//
//   out[r, oh, ow, c] = i · kernel + j of the first maximum, rows before columns, padding never chosen
//
// Shapes     x (R, H, W, C) -> out (R, OH, OW, C) u32; C padded, handled as vec4
// Dispatch   one lane a vec4 of out, folded into y past 65535 groups
// Shared     none
// Order      rows, then columns of the window

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
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;         // (R, H, W, C)
@group(0) @binding(2) var<storage, read_write> out: array<vec4<u32>>; // (R, OH, OW, C)

override WIDTH: u32 = 64u; // lanes a workgroup

@compute @workgroup_size(WIDTH)
fn max_pool_index(
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
    let ow = pixel % params.width;
    let oh = pixel / params.width % params.height;
    let r = pixel / (params.width * params.height);
    // The part of the window that lies in the image; never empty, as padding is at most half a window.
    let top = max(oh * params.stride, params.padding) - params.padding;
    let left = max(ow * params.stride, params.padding) - params.padding;
    let bottom = min(oh * params.stride + params.kernel - params.padding, params.x_height);
    let right = min(ow * params.stride + params.kernel - params.padding, params.x_width);
    let image = r * params.x_height;
    var best = x[((image + top) * params.x_width + left) * params.quads + column];
    var index = vec4((top + params.padding - oh * params.stride) * params.kernel + left + params.padding - ow * params.stride);
    for (var h = top; h < bottom; h++) {
        for (var w = left; w < right; w++) {
            let value = x[((image + h) * params.x_width + w) * params.quads + column];
            let i = h + params.padding - oh * params.stride;
            let j = w + params.padding - ow * params.stride;
            index = select(index, vec4(i * params.kernel + j), value > best);
            best = select(best, value, value > best);
        }
    }
    out[place] = index;
}
