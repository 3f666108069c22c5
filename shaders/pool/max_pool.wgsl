// Largest value of each window; padding never wins.
//
//   out[r, oh, ow, c] = max over i, j < kernel of x[r, oh·stride + i - padding, ow·stride + j - padding, c]
//
// Shapes     x (R, H, W, C) -> out (R, OH, OW, C); C padded, handled as vec4 (pads are zero and stay zero)
// Dispatch   QUADS vec4 of out a lane, WIDTH apart; folded into y past 65535 groups
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
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // (R, OH, OW, C)

override WIDTH: u32 = 64u; // lanes a workgroup
override QUADS: u32 = 1u;  // vec4 a lane

@compute @workgroup_size(WIDTH)
fn max_pool(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * WIDTH * QUADS + lane;
    let end = min(first + WIDTH * QUADS, params.count);
    let walk = walk_through(params.height, params.width, params.quads);
    var at = place_of(first, params.height, params.width, params.quads);
    for (var place = first; place < end; place += WIDTH) {
        let rows = pixels_of(at.h, params.x_height);
        let columns = pixels_of(at.w, params.x_width);
        let image = at.r * params.x_height;
        var best = x[((image + rows.x) * params.x_width + columns.x) * params.quads + at.quad];
        for (var h = rows.x; h < rows.y; h++) {
            for (var w = columns.x; w < columns.y; w++) {
                let value = x[((image + h) * params.x_width + w) * params.quads + at.quad];
                best = select(best, value, value > best);
            }
        }
        out[place] = best;
        at = next_place(at, walk);
    }
}
