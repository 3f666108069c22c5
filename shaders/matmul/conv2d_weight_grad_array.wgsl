// Gradient of a convolution by its weights, as in conv2d_weight_grad_sliding.wgsl, for compilers that keep an array in memory
// and load its elements where they are used (conv2d_column.wgsl): sums of an output and 2 channels at a time. Stride 1 or 2.
//
//   part[g, ky, kx, c, n] = sum over the g-th lines (r, oy), and ox, of
//                           x[r, oy·STRIDE + ky − padding, ox·STRIDE + kx − padding, c] · dy[r, oy, ox, n]
//
// Shapes     x (R, H, W, C), dy (R, OH, OW, Cout) -> part (parts, kh·3·pad4(C), Cout); sum_parts.wgsl adds the parts
// Dispatch   (blocks of 8 slots, blocks of 16 or 32 output channels, parts); a slot is a row of taps and 4 input channels
// Tile       a lane computes the 3 taps of a slot by 16 output channels, or 32 where WIDE, for which it loads no more of x
// Shared     none; needs subgroups of at least 8 lanes
// Order      each part is summed by one lane in rising order of r, oy, ox: the same bits every run

struct Params {
    rows: u32,          // R
    height: u32,        // H
    width: u32,         // W
    channels: u32,      // pad4(C) / 4
    out_height: u32,    // OH
    out_width: u32,     // OW
    outputs: u32,       // pad4(Cout) / 4
    kernel_height: u32, // kh
    kernel_width: u32,  // kw
    stride: u32,
    padding: u32,
    parts: u32,
    lines: u32, // lines a part; a line is one r, oy
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;          // (R, H, W, C)
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;         // (R, OH, OW, Cout)
@group(0) @binding(3) var<storage, read_write> part: array<vec4<f32>>; // (parts, kh·kw·pad4(C), Cout)

override STRIDE: u32 = 1u;
override WIDE: bool = false;
override SINGLE: bool = false; // whether x has one channel: half of its pads are left alone

const WIDTH: u32 = 8u; // lanes a workgroup: the first 8 of one subgroup

// 4 input channels at a column, from its place in x; zero in columns past `end`, and before the first, which wrap round.
fn load(place: i32, column: i32, end: u32) -> vec4<f32> {
    let inside = u32(column) < end;
    return select(vec4(0.0), x[select(0u, u32(place), inside)], inside);
}

// Output n, taps 0 to 2: channels x and y from 6n on, z and w from 6n + 3 on.
var<private> sums: array<vec2<f32>, 192>;

// 2 input channels under 3 taps at 4 output pixels.
struct Pixels {
    a0: vec2<f32>, b0: vec2<f32>, c0: vec2<f32>,
    a1: vec2<f32>, b1: vec2<f32>, c1: vec2<f32>,
    a2: vec2<f32>, b2: vec2<f32>, c2: vec2<f32>,
    a3: vec2<f32>, b3: vec2<f32>, c3: vec2<f32>,
}

fn pixels(
    p0: vec2<f32>, p1: vec2<f32>, p2: vec2<f32>, p3: vec2<f32>, p4: vec2<f32>,
    p5: vec2<f32>, p6: vec2<f32>, p7: vec2<f32>, p8: vec2<f32>,
) -> Pixels {
    if STRIDE == 2u {
        return Pixels(p0, p1, p2, p2, p3, p4, p4, p5, p6, p6, p7, p8);
    }
    return Pixels(p0, p1, p2, p1, p2, p3, p2, p3, p4, p3, p4, p5);
}

// Adds 4 pixels to 3 taps: d is dy of one output there.
fn add_pixels(at: u32, p: Pixels, d: vec4<f32>) {
    var a = sums[at];
    var b = sums[at + 1u];
    var c = sums[at + 2u];
    a = fma(p.a0, vec2(d.x), a);
    b = fma(p.b0, vec2(d.x), b);
    c = fma(p.c0, vec2(d.x), c);
    a = fma(p.a1, vec2(d.y), a);
    b = fma(p.b1, vec2(d.y), b);
    c = fma(p.c1, vec2(d.y), c);
    a = fma(p.a2, vec2(d.z), a);
    b = fma(p.b2, vec2(d.z), b);
    c = fma(p.c2, vec2(d.z), c);
    a = fma(p.a3, vec2(d.w), a);
    b = fma(p.b3, vec2(d.w), b);
    c = fma(p.c3, vec2(d.w), c);
    sums[at] = a;
    sums[at + 1u] = b;
    sums[at + 2u] = c;
}

fn add_output(n: u32, xy: Pixels, zw: Pixels, d: vec4<f32>) {
    add_pixels(6u * n, xy, d);
    if !SINGLE {
        add_pixels(6u * n + 3u, zw, d);
    }
}

// The same for 4 outputs: dy at 4 pixels.
fn add_outputs(n: u32, xy: Pixels, zw: Pixels, p0: vec4<f32>, p1: vec4<f32>, p2: vec4<f32>, p3: vec4<f32>) {
    add_output(n, xy, zw, vec4(p0.x, p1.x, p2.x, p3.x));
    add_output(n + 1u, xy, zw, vec4(p0.y, p1.y, p2.y, p3.y));
    add_output(n + 2u, xy, zw, vec4(p0.z, p1.z, p2.z, p3.z));
    add_output(n + 3u, xy, zw, vec4(p0.w, p1.w, p2.w, p3.w));
}

// The same for 16 outputs from output n on: lane l holds pixel l / 4 of two, output channels 4 · (l % 4) ..
fn add_block(n: u32, xy: Pixels, zw: Pixels, a: vec4<f32>, b: vec4<f32>) {
    let p = panel_of_lanes(a, b);
    add_outputs(n, xy, zw, p.xa, p.ya, p.za, p.wa);
    add_outputs(n + 4u, xy, zw, p.xb, p.yb, p.zb, p.wb);
    add_outputs(n + 8u, xy, zw, p.xc, p.yc, p.zc, p.wc);
    add_outputs(n + 12u, xy, zw, p.xd, p.yd, p.zd, p.wd);
}

// 4 outputs of a channel: `at` is the place of output 0, tap and pair of channels.
fn four(at: u32, channel: u32, n: u32) -> vec4<f32> {
    let first = at + 6u * n;
    return vec4(sums[first][channel], sums[first + 6u][channel], sums[first + 12u][channel], sums[first + 18u][channel]);
}

fn store_channel(to: u32, n: u32, at: u32, channel: u32) {
    part[to] = four(at, channel, 0u);
    if n + 1u < params.outputs { part[to + 1u] = four(at, channel, 4u); }
    if n + 2u < params.outputs { part[to + 2u] = four(at, channel, 8u); }
    if n + 3u < params.outputs { part[to + 3u] = four(at, channel, 12u); }
}

// The four channels of a tap, 16 outputs from n on, which lie from `at` on.
fn store_block(g: u32, row: u32, n: u32, at: u32) {
    let rows = params.kernel_height * params.kernel_width * params.channels;
    let to = (g * rows + row) * 4u * params.outputs + n;
    store_channel(to, n, at, 0u);
    store_channel(to + params.outputs, n, at, 1u);
    store_channel(to + 2u * params.outputs, n, at + 3u, 0u);
    store_channel(to + 3u * params.outputs, n, at + 3u, 1u);
}

fn store(g: u32, row: u32, n: u32, tap: u32) {
    store_block(g, row, n, tap);
    if WIDE && n + 4u < params.outputs {
        store_block(g, row, n + 4u, tap + 96u);
    }
}

// 4 output channels of dy; zero past the end of the line.
fn upstream(line: u32, ox: u32, n: u32) -> vec4<f32> {
    let at = (line * params.out_width + min(ox, params.out_width - 1u)) * params.outputs + min(n, params.outputs - 1u);
    return dy[at] * select(0.0, 1.0, ox < params.out_width);
}

@compute @workgroup_size(WIDTH)
fn conv2d_weight_grad_array(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let n = group.y * select(4u, 8u, WIDE);
    let g = group.z;
    let slot = group.x * 8u + lane;
    let slots = params.kernel_height * params.channels;
    let ky = min(slot, slots - 1u) / params.channels;
    let c = min(slot, slots - 1u) % params.channels;
    let padding = i32(params.padding);
    // A place that the compiler does not know: it keeps such an array in memory, and all is zero yet.
    sums[params.stride % 192u] = vec2(0.0);

    let end = min((g + 1u) * params.lines, params.rows * params.out_height);
    for (var line = g * params.lines; line < end; line++) {
        let r = i32(line / params.out_height);
        let iy = i32(line % params.out_height * STRIDE + ky) - padding;
        // A row outside the image has no columns.
        let end = select(0u, params.width, u32(iy) < params.height);
        let pixel = i32(params.channels);
        let start = (r * i32(params.height) + iy) * i32(params.width) * pixel + i32(c);
        var p0 = load(start - padding * pixel, -padding, end);
        var p1 = load(start + (1 - padding) * pixel, 1 - padding, end);
        for (var ox = 0u; ox < params.out_width; ox += 4u) {
            let d0 = upstream(line, ox + lane / 4u, n + lane % 4u);
            let d1 = upstream(line, ox + 2u + lane / 4u, n + lane % 4u);
            let ix = i32(ox * STRIDE) - padding;
            let place = start + ix * pixel;
            if STRIDE == 2u {
                p1 = load(place + pixel, ix + 1, end);
            }
            let p2 = load(place + 2 * pixel, ix + 2, end);
            let p3 = load(place + 3 * pixel, ix + 3, end);
            let p4 = load(place + 4 * pixel, ix + 4, end);
            let p5 = load(place + 5 * pixel, ix + 5, end);
            var p6 = vec4(0.0);
            var p7 = vec4(0.0);
            var p8 = vec4(0.0);
            if STRIDE == 2u {
                p6 = load(place + 6 * pixel, ix + 6, end);
                p7 = load(place + 7 * pixel, ix + 7, end);
                p8 = load(place + 8 * pixel, ix + 8, end);
            }
            let xy = pixels(p0.xy, p1.xy, p2.xy, p3.xy, p4.xy, p5.xy, p6.xy, p7.xy, p8.xy);
            let zw = pixels(p0.zw, p1.zw, p2.zw, p3.zw, p4.zw, p5.zw, p6.zw, p7.zw, p8.zw);
            add_block(0u, xy, zw, d0, d1);
            if WIDE {
                let d2 = upstream(line, ox + lane / 4u, n + 4u + lane % 4u);
                let d3 = upstream(line, ox + 2u + lane / 4u, n + 4u + lane % 4u);
                add_block(16u, xy, zw, d2, d3);
            }
            p0 = select(p4, p8, STRIDE == 2u);
            p1 = p5;
        }
    }

    if slot < slots && g < params.parts {
        let first = ky * 3u * params.channels + c;
        store(g, first, n, 0u);
        store(g, first + params.channels, n, 1u);
        store(g, first + 2u * params.channels, n, 2u);
    }
}
