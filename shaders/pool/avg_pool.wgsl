// Average pooling in which padding counts as zeros, and its transpose.
//
//   mode 0   out[r, oh, ow, c] = 1/kernel² · sum over i, j of x[r, oh·stride + i - padding, ow·stride + j - padding, c]
//   mode 1   out[r, h, w, c] = 1/kernel² · sum of x[r, oh, ow, c] over the windows that hold (h, w)
//
// Shapes     mode 0: x (R, H, W, C) -> out (R, OH, OW, C); mode 1: x (R, OH, OW, C) -> out (R, H, W, C);
//            C padded, handled as vec4 (pads are zero and stay zero)
// Dispatch   QUADS vec4 of out a lane, WIDTH apart; folded into y past 65535 groups
// Shared     none
// Order      rows, then columns: fixed

struct Params {
    count: u32,    // vec4 of out
    height: u32,   // height of out
    width: u32,    // width of out
    quads: u32,    // vec4 a pixel
    x_height: u32, // height of x
    x_width: u32,  // width of x
    kernel: u32,   // window size
    stride: u32,
    padding: u32,
    mode: u32,     // 0 forward, 1 transpose
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;         // (R, H, W, C) or (R, OH, OW, C)
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // (R, OH, OW, C) or (R, H, W, C)

override WIDTH: u32 = 64u; // lanes a workgroup
override QUADS: u32 = 1u;  // vec4 a lane

// Places of x along one axis that place p of out joins: first and one past the last.
fn reach(p: u32, size: u32) -> vec2<u32> {
    if params.mode == 0u {
        return pixels_of(p, size);
    }
    return windows_of(p + params.padding, p + params.padding, size);
}

@compute @workgroup_size(WIDTH)
fn avg_pool(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * WIDTH * QUADS + lane;
    let end = min(first + WIDTH * QUADS, params.count);
    let walk = walk_through(params.height, params.width, params.quads);
    var at = place_of(first, params.height, params.width, params.quads);
    for (var place = first; place < end; place += WIDTH) {
        let rows = reach(at.h, params.x_height);
        let columns = reach(at.w, params.x_width);
        var total = vec4(0.0);
        for (var h = rows.x; h < rows.y; h++) {
            for (var w = columns.x; w < columns.y; w++) {
                total += x[((at.r * params.x_height + h) * params.x_width + w) * params.quads + at.quad];
            }
        }
        out[place] = total / f32(params.kernel * params.kernel);
        at = next_place(at, walk);
    }
}
