// All views of each image: channels permuted, then turned by quarters counter-clockwise. Bit-exact copies.
//
//   out[b·M + j, y, x, c] = images[b, source(j, y, x), order(j)[c]]
//
// Shapes     images (B, H, W, C) -> out (B·M, H, W, C), image-major; colour orders for C = 3 alone
// Dispatch   (ceil(H / ROWS), B, M): a workgroup copies a strip of a view, so that no lane divides by a size
// Shared     none
// Order      no reduction
// Paper      SLA, section 3: the M transformations t_j

struct Params {
    images: u32, // B
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

override WIDTH: u32 = 8u; // lanes a workgroup, side by side in an image row
override ROWS: u32 = 32u;  // image rows a workgroup

@compute @workgroup_size(WIDTH)
fn transform_views(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let image = group.y;
    let j = group.z;
    if image >= params.images || j >= params.views {
        return;
    }
    var turns = j * params.step;
    var order = vec3(0u, 1u, 2u);
    if params.orders > 1u {
        turns = j / params.orders * params.step;
        order = colour_order(j % params.orders, params.orders);
    }
    let t = turned(turns, params.height, params.width);
    let pixels = params.height * params.width;
    let top = group.x * ROWS;
    let bottom = min(top + ROWS, params.height);
    for (var y = top; y < bottom; y++) {
        let start = ((image * params.views + j) * pixels + y * params.width) * params.quads;
        let from_row = i32(image * pixels) + t.x + i32(y) * t.y;
        for (var i = lane; i < params.width * params.quads; i += WIDTH) {
            var x = i;
            var quad = 0u;
            if params.quads > 1u {
                x = i / params.quads;
                quad = i % params.quads;
            }
            var value = images[u32(from_row + i32(x) * t.z) * params.quads + quad];
            if params.orders > 1u {
                value = vec4(value[order.x], value[order.y], value[order.z], 0.0);
            }
            out[start + i] = value;
        }
    }
}
