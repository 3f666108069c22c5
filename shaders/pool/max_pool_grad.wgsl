// The gradient of max-pooling: every input collects from the windows whose maximum it is (no atomics).
//
//   out[r, h, w, c] = sum of dy[r, oh, ow, c] over the windows that hold (h, w) and whose index points there
//
// Shapes     index (R, OH, OW, C) u32, dy (R, OH, OW, C) -> out (R, H, W, C); C padded (pads are zero and stay zero)
// Dispatch   QUADS blocks of 2 x 2 vec4 of out a lane, WIDTH apart, so that a window is read once for all that it gives to;
//            folded into y past 65535 groups
// Shared     none
// Order      windows by rising oh, then ow: fixed

struct Params {
    count: u32,    // vec4 of blocks
    height: u32,   // OH
    width: u32,    // OW
    quads: u32,    // vec4 a pixel
    x_height: u32, // H
    x_width: u32,  // W
    kernel: u32,   // window size
    stride: u32,
    padding: u32,
    high: u32,     // rows of blocks; the first block begins `padding` pixels outside
    wide: u32,     // columns of blocks
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> index: array<vec4<u32>>;     // (R, OH, OW, C)
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;        // (R, OH, OW, C)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // (R, H, W, C)

override WIDTH: u32 = 64u; // lanes a workgroup
override QUADS: u32 = 1u;  // blocks a lane

// The number of place (y, x) of a window; none where it lies beside it (what wraps below zero is large).
fn number(y: u32, x: u32) -> vec4<u32> {
    return vec4(select(0xffffffffu, y * params.kernel + x, x < params.kernel && y < params.kernel));
}

fn store(r: u32, h: u32, w: u32, quad: u32, value: vec4<f32>) {
    // Shifted by the padding: what lies before the image wraps.
    let y = h - params.padding;
    let x = w - params.padding;
    if y < params.x_height && x < params.x_width {
        out[((r * params.x_height + y) * params.x_width + x) * params.quads + quad] = value;
    }
}

@compute @workgroup_size(WIDTH)
fn max_pool_grad(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * WIDTH * QUADS + lane;
    let end = min(first + WIDTH * QUADS, params.count);
    let walk = walk_through(params.high, params.wide, params.quads);
    var at = place_of(first, params.high, params.wide, params.quads);
    for (var place = first; place < end; place += WIDTH) {
        let h = 2u * at.h;
        let w = 2u * at.w;
        let rows = windows_of(h, h + 1u, params.height);
        let columns = windows_of(w, w + 1u, params.width);
        var a = vec4(0.0);
        var b = vec4(0.0);
        var c = vec4(0.0);
        var d = vec4(0.0);
        for (var oh = rows.x; oh < rows.y; oh++) {
            for (var ow = columns.x; ow < columns.y; ow++) {
                let i = ((at.r * params.height + oh) * params.width + ow) * params.quads + at.quad;
                let chosen = index[i];
                let given = dy[i];
                let y = h - oh * params.stride;
                let x = w - ow * params.stride;
                a += select(vec4(0.0), given, chosen == number(y, x));
                b += select(vec4(0.0), given, chosen == number(y, x + 1u));
                c += select(vec4(0.0), given, chosen == number(y + 1u, x));
                d += select(vec4(0.0), given, chosen == number(y + 1u, x + 1u));
            }
        }
        store(at.r, h, w, at.quad, a);
        store(at.r, h, w + 1u, at.quad, b);
        store(at.r, h + 1u, w, at.quad, c);
        store(at.r, h + 1u, w + 1u, at.quad, d);
        at = next_place(at, walk);
    }
}
