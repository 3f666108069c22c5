// Transpose of `transform_views`: each pixel of an image gathers from all its views.
//
//   out[b, y, x, order(j)[c]] = sum_j u[b·M + j, place of (y, x) in view j, c]
//
// Shapes     u (B·M, H, W, C) image-major -> out (B, H, W, C); colour orders for C = 3 alone
// Dispatch   QUADS vec4 of out a lane, WIDTH apart; folded into y past 65535 groups
// Shared     none
// Order      views in rising order: the same bits every run

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
@group(0) @binding(1) var<storage, read> u: array<vec4<f32>>;          // (B·M, H, W, C)
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;  // (B, H, W, C)

override WIDTH: u32 = 64u; // lanes a workgroup
override QUADS: u32 = 1u;  // vec4 a lane

@compute @workgroup_size(WIDTH)
fn transform_views_transpose(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * WIDTH * QUADS + lane;
    let end = min(first + WIDTH * QUADS, params.count);
    let pixels = params.height * params.width;
    let walk = walk_through(params.height, params.width, params.quads);
    var at = place_of(first, params.height, params.width, params.quads);
    for (var i = first; i < end; i += WIDTH) {
        var total = vec4(0.0);
        for (var j = 0u; j < params.views; j++) {
            // The opposite turn leads from the image to its view.
            let turns = 4u - ((quotient(j, params.orders) * params.step) & 3u);
            let t = turned(turns, params.height, params.width);
            let row = (at.r * params.views + j) * pixels;
            let value = u[(row + u32(t.x + i32(at.h) * t.y + i32(at.w) * t.z)) * params.quads + at.quad];
            if params.orders == 1u {
                total += value;
            } else {
                let order = colour_order(j - quotient(j, params.orders) * params.orders, params.orders);
                total[order.x] += value.x;
                total[order.y] += value.y;
                total[order.z] += value.z;
            }
        }
        out[i] = total;
        at = next_place(at, walk);
    }
}
