// The values of u where max-pooling found its maxima: the tangent of max-pooling.
//
//   out[r, oh, ow, c] = u[r, oh·stride + i - padding, ow·stride + j - padding, c]  with i·kernel + j = index[r, oh, ow, c]
//
// Shapes     index (R, OH, OW, C) u32, u (R, H, W, C) -> out (R, OH, OW, C); C padded (pads are zero and stay zero)
// Dispatch   QUADS vec4 of out a lane, WIDTH apart; folded into y past 65535 groups
// Shared     none
// Order      no reduction

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
@group(0) @binding(2) var<storage, read> u: array<f32>;               // (R, H, W, C)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // (R, OH, OW, C)

override WIDTH: u32 = 64u; // lanes a workgroup
override QUADS: u32 = 1u;  // vec4 a lane

@compute @workgroup_size(WIDTH)
fn max_pool_select(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * WIDTH * QUADS + lane;
    let end = min(first + WIDTH * QUADS, params.count);
    let walk = walk_through(params.height, params.width, params.quads);
    var at = place_of(first, params.height, params.width, params.quads);
    for (var place = first; place < end; place += WIDTH) {
        let chosen = index[place];
        var value = vec4(0.0);
        for (var j = 0u; j < 4u; j++) {
            // The maximum lies in the image, so nothing falls below zero; min keeps a foreign index inside the tensor.
            let row = quotient(chosen[j], params.kernel);
            let h = min(at.h * params.stride + row - params.padding, params.x_height - 1u);
            let w = min(at.w * params.stride + chosen[j] - row * params.kernel - params.padding, params.x_width - 1u);
            value[j] = u[4u * (((at.r * params.x_height + h) * params.x_width + w) * params.quads + at.quad) + j];
        }
        out[place] = value;
        at = next_place(at, walk);
    }
}
