// All views of each image: channels permuted, then turned by quarters counter-clockwise. Bit-exact copies.
//
//   out[b·M + j, y, x, c] = images[b, source(j, y, x), order(j)[c]]
//
// Shapes     images (B, H, W, C) -> out (B·M, H, W, C), image-major; colour orders for C = 3 alone
// Dispatch   one lane a vec4 of out, folded into y past 65535 groups
// Shared     none
// Order      no reduction
// Paper      SLA, section 3: the M transformations t_j

struct Params {
    count: u32,  // vec4s of out
    height: u32, // H
    width: u32,  // W
    quads: u32,  // vec4s a pixel
    views: u32,  // M
    orders: u32, // colour orders: 1, 3 or 6
    step: u32,   // quarter turns between two rotations
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> images: array<vec4<f32>>;     // (B, H, W, C)
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;  // (B·M, H, W, C)

override WIDTH: u32 = 64u; // lanes a workgroup

@compute @workgroup_size(WIDTH)
fn transform_views(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WIDTH + lane;
    if i >= params.count {
        return;
    }
    let quad = i % params.quads;
    let pixel = i / params.quads;
    let x = pixel % params.width;
    let y = pixel / params.width % params.height;
    let row = pixel / (params.width * params.height);
    let j = row % params.views;
    let place = turned(j / params.orders * params.step, y, x, params.height, params.width);
    let image = row / params.views;
    let value = images[((image * params.height + place.x) * params.width + place.y) * params.quads + quad];
    if params.orders == 1u {
        out[i] = value;
        return;
    }
    let order = colour_order(j % params.orders, params.orders);
    out[i] = vec4(value[order.x], value[order.y], value[order.z], 0.0);
}
