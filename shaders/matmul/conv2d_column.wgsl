// Convolution of NHWC images with 3 x 3 kernels, stride 1 and a border of 1, or its gradient by the input, as in
// conv2d_winograd.wgsl but without Winograd's products, for compilers that keep an array in memory and load its elements
// where they are used: more sums than registers then cost a load and a store each, once in 12 multiply-adds.
//
//   y[r, oy, ox, n] = sum over ky, kx, c of x[r, oy + ky − 1, ox + kx − 1, c] · w[ky, kx, c, n], or, where TURNED,
//                     sum over ky, kx, c of x[r, oy + ky − 1, ox + kx − 1, c] · w[2 − ky, 2 − kx, n, c]
//
// Shapes     x (R, H, W, inner), w [3, 3, pad4(C), Cout] -> y (R, H, W, outer); places outside x count as zero
// Dispatch   (R · down · across, blocks of 16 or 32 output channels, fold of x past 65535 groups)
// Tile       the lanes are neighbours in a row; each computes a column of 8 pixels by 16 output channels, or 32
// Shared     none; needs subgroups of at least 8 lanes
// Order      each output is summed by one lane over c in fours, kx, c within the four, ky: the same bits every run

struct Params {
    rows: u32,   // R
    height: u32, // H
    width: u32,  // W
    inner: u32,  // channels of x, in vec4
    outer: u32,  // channels of y
    across: u32, // blocks of 8 x 8 pixels in a row of the image
    down: u32,   // blocks in a column of the image
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;       // (R, H, W, inner)
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;       // [3, 3, pad4(C), Cout]
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>; // (R, H, W, outer)

override TURNED: bool = false;
override EDGES: bool = true; // whether a row of the image has several blocks
override WIDE: bool = false; // whether a lane takes 32 outputs, for which it loads no more of x

const WIDTH: u32 = 8u; // lanes a workgroup: the first 8 of one subgroup

// Output n: rows 0 to 3 at 2n, rows 4 to 7 at 2n + 1.
var<private> sums: array<vec4<f32>, 64>;

// A row of the input under a block, and, in lanes 0 and 7, the pixels to its left and right.
struct Row {
    own: vec4<f32>,
    beside: vec4<f32>,
}

fn row_of(own: vec4<f32>, lane: u32, l: vec4<f32>, r: vec4<f32>) -> Row {
    return Row(own, select(l, r, lane == 7u));
}

// The row as the tap kx sees it: of lane `source`, or the pixel beside the block.
fn seen(row: Row, source: u32, outside: bool) -> vec4<f32> {
    return select(subgroupShuffle(row.own, source), row.beside, outside);
}

// One input channel of the 10 rows.
struct Channel {
    r0: vec4<f32>, // rows 0 to 3
    r4: vec4<f32>,
    r8: vec2<f32>,
}

// 4 input channels.
struct Window {
    x: Channel,
    y: Channel,
    z: Channel,
    w: Channel,
}

struct Column {
    upper: vec4<f32>,
    lower: vec4<f32>,
}

// sum + 3 taps of one inner step.
fn taps(sum: Column, c: Channel, top: f32, middle: f32, bottom: f32) -> Column {
    var s = sum;
    s.upper = fma(c.r0, vec4(top), s.upper);
    s.lower = fma(c.r4, vec4(top), s.lower);
    s.upper = fma(vec4(c.r0.yzw, c.r4.x), vec4(middle), s.upper);
    s.lower = fma(vec4(c.r4.yzw, c.r8.x), vec4(middle), s.lower);
    s.upper = fma(vec4(c.r0.zw, c.r4.xy), vec4(bottom), s.upper);
    s.lower = fma(vec4(c.r4.zw, c.r8), vec4(bottom), s.lower);
    return s;
}

// Adds 3 taps of 4 inner steps (x, y, z, w) to an output.
fn add_output(n: u32, x: Window, top: vec4<f32>, middle: vec4<f32>, bottom: vec4<f32>) {
    var s = Column(sums[2u * n], sums[2u * n + 1u]);
    s = taps(s, x.x, top.x, middle.x, bottom.x);
    s = taps(s, x.y, top.y, middle.y, bottom.y);
    s = taps(s, x.z, top.z, middle.z, bottom.z);
    s = taps(s, x.w, top.w, middle.w, bottom.w);
    sums[2u * n] = s.upper;
    sums[2u * n + 1u] = s.lower;
}

fn store(r: u32, oy: u32, ox: u32, n: u32, row: u32, at: u32) {
    if oy < params.height && ox < params.width {
        let place = (r * params.height + oy) * params.width + ox;
        store_outputs(place, n, row, at);
    }
}

@compute @workgroup_size(WIDTH)
fn conv2d_column(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let index = group.x + group.z * groups.x;
    let r = index / (params.across * params.down);
    if r >= params.rows {
        return;
    }
    let image = i32(r * params.height * params.width * params.inner);
    let x0 = index % params.across * 8u;
    let y0 = index / params.across % params.down * 8u;
    let n = group.y * select(4u, 8u, WIDE);
    let column0 = i32(x0 + lane);
    let row0 = i32(y0) - 1;
    // Lane l looks after the row l / 2 of four, beside the block on the left and right.
    let edge_column = i32(x0) + select(-1, 8, lane % 2u == 1u);
    let edge_row = row0 + i32(lane / 2u);
    // A place that the compiler does not know: it keeps such an array in memory, and all is zero yet.
    sums[params.across % 64u] = vec4(0.0);
    for (var k = 0u; k < params.inner; k++) {
        var e0 = vec4(0.0);
        var e1 = vec4(0.0);
        var e2 = vec4(0.0);
        if EDGES {
            e0 = pixel(image, edge_row, edge_column, k);
            e1 = pixel(image, edge_row + 4, edge_column, k);
            e2 = pixel(image, edge_row + 8, edge_column, k);
        }
        let r0 = row_of(pixel(image, row0, column0, k), lane, subgroupBroadcast(e0, 0u), subgroupBroadcast(e0, 1u));
        let r1 = row_of(pixel(image, row0 + 1, column0, k), lane, subgroupBroadcast(e0, 2u), subgroupBroadcast(e0, 3u));
        let r2 = row_of(pixel(image, row0 + 2, column0, k), lane, subgroupBroadcast(e0, 4u), subgroupBroadcast(e0, 5u));
        let r3 = row_of(pixel(image, row0 + 3, column0, k), lane, subgroupBroadcast(e0, 6u), subgroupBroadcast(e0, 7u));
        let r4 = row_of(pixel(image, row0 + 4, column0, k), lane, subgroupBroadcast(e1, 0u), subgroupBroadcast(e1, 1u));
        let r5 = row_of(pixel(image, row0 + 5, column0, k), lane, subgroupBroadcast(e1, 2u), subgroupBroadcast(e1, 3u));
        let r6 = row_of(pixel(image, row0 + 6, column0, k), lane, subgroupBroadcast(e1, 4u), subgroupBroadcast(e1, 5u));
        let r7 = row_of(pixel(image, row0 + 7, column0, k), lane, subgroupBroadcast(e1, 6u), subgroupBroadcast(e1, 7u));
        let r8 = row_of(pixel(image, row0 + 8, column0, k), lane, subgroupBroadcast(e2, 0u), subgroupBroadcast(e2, 1u));
        let r9 = row_of(pixel(image, row0 + 9, column0, k), lane, subgroupBroadcast(e2, 2u), subgroupBroadcast(e2, 3u));
        let w0 = weights_at(k, n, 0u, lane);
        let w1 = weights_at(k, n, 1u, lane);
        let w2 = weights_at(k, n + 4u, 0u, lane);
        let w3 = weights_at(k, n + 4u, 1u, lane);
        for (var kx = 0u; kx < 3u; kx++) {
            let place = lane + kx + 7u;
            let source = place % 8u;
            let outside = place < 8u || place > 15u;
            let a = seen(r0, source, outside);
            let b = seen(r1, source, outside);
            let c = seen(r2, source, outside);
            let d = seen(r3, source, outside);
            let e = seen(r4, source, outside);
            let f = seen(r5, source, outside);
            let g = seen(r6, source, outside);
            let h = seen(r7, source, outside);
            let i = seen(r8, source, outside);
            let j = seen(r9, source, outside);
            let window = Window(
                Channel(vec4(a.x, b.x, c.x, d.x), vec4(e.x, f.x, g.x, h.x), vec2(i.x, j.x)),
                Channel(vec4(a.y, b.y, c.y, d.y), vec4(e.y, f.y, g.y, h.y), vec2(i.y, j.y)),
                Channel(vec4(a.z, b.z, c.z, d.z), vec4(e.z, f.z, g.z, h.z), vec2(i.z, j.z)),
                Channel(vec4(a.w, b.w, c.w, d.w), vec4(e.w, f.w, g.w, h.w), vec2(i.w, j.w)),
            );
            let places = tap() * select(vec3(kx, 3u + kx, 6u + kx), vec3(8u - kx, 5u - kx, 2u - kx), TURNED);
            add_block(0u, w0, w1, places, window);
            if WIDE {
                add_block(16u, w2, w3, places, window);
            }
        }
    }
    let ox = x0 + lane;
    store(r, y0, ox, n, 0u, 0u);
    store(r, y0 + 1u, ox, n, 1u, 0u);
    store(r, y0 + 2u, ox, n, 2u, 0u);
    store(r, y0 + 3u, ox, n, 3u, 0u);
    store(r, y0 + 4u, ox, n, 0u, 1u);
    store(r, y0 + 5u, ox, n, 1u, 1u);
    store(r, y0 + 6u, ox, n, 2u, 1u);
    store(r, y0 + 7u, ox, n, 3u, 1u);
}
