// Gradient of a convolution by its weights, as in conv2d_weight_grad_sliding.wgsl, for compilers that keep an array in memory
// and load its elements where they are used (conv2d_strip.wgsl): sums of an output and a channel at a time. Stride 1 or 2.
//
//   part[g, ky, kx, c, n] = sum over the g-th lines (r, oy), and ox, of
//                           x[r, oy·STRIDE + ky − padding, ox·STRIDE + kx − padding, c] · dy[r, oy, ox, n]
//
// Shapes     x (R, H, W, C), dy (R, OH, OW, Cout) -> part (parts, kh·3·pad4(C), Cout); sum_parts.wgsl adds the parts
// Dispatch   (blocks of 4 slots of all parts / 2, blocks of 16 output channels); a slot is a row of taps and 4 input channels
// Tile       a lane computes the 3 taps of a slot by 16 output channels; each half of a group has a block of slots and a part of its
//            own, so that 12 slots (3 rows of 16 channels) leave no lane idle
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
override SHORT: bool = false;  // whether a line has at most 2 pixels: then two lines fill the place of 4 pixels
override CHANNELS: u32 = 4u;   // 1 or 3 where x has as many channels: its pads are left alone

const WIDTH: u32 = 8u; // lanes a workgroup: the first 8 of one subgroup

// Output n, channel c: taps 0 to 2 from 3 · (4n + c) on.
var<private> sums: array<f32, 192>;

// Adds 4 pixels to 3 taps: d is dy of one output there.
fn add_pixels(at: u32, p: Taps, d: vec4<f32>) {
    var a = sums[at];
    var b = sums[at + 1u];
    var c = sums[at + 2u];
    a = fma(p.a.x, d.x, a);
    b = fma(p.b.x, d.x, b);
    c = fma(p.c.x, d.x, c);
    a = fma(p.a.y, d.y, a);
    b = fma(p.b.y, d.y, b);
    c = fma(p.c.y, d.y, c);
    a = fma(p.a.z, d.z, a);
    b = fma(p.b.z, d.z, b);
    c = fma(p.c.z, d.z, c);
    a = fma(p.a.w, d.w, a);
    b = fma(p.b.w, d.w, b);
    c = fma(p.c.w, d.w, c);
    sums[at] = a;
    sums[at + 1u] = b;
    sums[at + 2u] = c;
}

// One output and the input channels.
fn add_output(n: u32, p: Four, d: vec4<f32>) {
    add_pixels(12u * n, p.x, d);
    if CHANNELS > 1u {
        add_pixels(12u * n + 3u, p.y, d);
        add_pixels(12u * n + 6u, p.z, d);
    }
    if CHANNELS > 3u {
        add_pixels(12u * n + 9u, p.w, d);
    }
}

// 4 outputs from output n on: dy at 4 pixels.
fn add_outputs(n: u32, p: Four, d0: vec4<f32>, d1: vec4<f32>, d2: vec4<f32>, d3: vec4<f32>) {
    add_output(n, p, vec4(d0.x, d1.x, d2.x, d3.x));
    add_output(n + 1u, p, vec4(d0.y, d1.y, d2.y, d3.y));
    add_output(n + 2u, p, vec4(d0.z, d1.z, d2.z, d3.z));
    add_output(n + 3u, p, vec4(d0.w, d1.w, d2.w, d3.w));
}

// All 16 outputs.
fn add_panel(p: Four, d: Panel) {
    add_outputs(0u, p, d.xa, d.ya, d.za, d.wa);
    add_outputs(4u, p, d.xb, d.yb, d.zb, d.wb);
    add_outputs(8u, p, d.xc, d.yc, d.zc, d.wc);
    add_outputs(12u, p, d.xd, d.yd, d.zd, d.wd);
}

// 4 outputs of a tap and channel, whose sum of output 0 lies at `at`.
fn four(at: u32, n: u32) -> vec4<f32> {
    let first = at + 12u * n;
    return vec4(sums[first], sums[first + 12u], sums[first + 24u], sums[first + 36u]);
}

fn store_channel(to: u32, n: u32, at: u32) {
    part[to] = four(at, 0u);
    if n + 1u < params.outputs { part[to + 1u] = four(at, 4u); }
    if n + 2u < params.outputs { part[to + 2u] = four(at, 8u); }
    if n + 3u < params.outputs { part[to + 3u] = four(at, 12u); }
}

// The four channels of a tap.
fn store(g: u32, row: u32, n: u32, tap: u32) {
    let rows = params.kernel_height * params.kernel_width * params.channels;
    let to = (g * rows + row) * 4u * params.outputs + n;
    store_channel(to, n, tap);
    store_channel(to + params.outputs, n, tap + 3u);
    store_channel(to + 2u * params.outputs, n, tap + 6u);
    store_channel(to + 3u * params.outputs, n, tap + 9u);
}

// The columns below the 2 pixels of each of two lines.
fn two_lines(p: Places, q: Places) -> Four {
    let first = -i32(params.padding);
    let pixel = i32(params.channels);
    let p0 = load(p.x + first * pixel, first, p.end);
    let p1 = load(p.x + (first + 1) * pixel, first + 1, p.end);
    let p2 = load(p.x + (first + 2) * pixel, first + 2, p.end);
    let p3 = load(p.x + (first + 3) * pixel, first + 3, p.end);
    let q0 = load(q.x + first * pixel, first, q.end);
    let q1 = load(q.x + (first + 1) * pixel, first + 1, q.end);
    let q2 = load(q.x + (first + 2) * pixel, first + 2, q.end);
    let q3 = load(q.x + (first + 3) * pixel, first + 3, q.end);
    var p4 = vec4(0.0);
    var q4 = vec4(0.0);
    if STRIDE == 2u {
        p4 = load(p.x + (first + 4) * pixel, first + 4, p.end);
        q4 = load(q.x + (first + 4) * pixel, first + 4, q.end);
    }
    return Four(
        taps_of_two(p0.x, p1.x, p2.x, p3.x, p4.x, q0.x, q1.x, q2.x, q3.x, q4.x),
        taps_of_two(p0.y, p1.y, p2.y, p3.y, p4.y, q0.y, q1.y, q2.y, q3.y, q4.y),
        taps_of_two(p0.z, p1.z, p2.z, p3.z, p4.z, q0.z, q1.z, q2.z, q3.z, q4.z),
        taps_of_two(p0.w, p1.w, p2.w, p3.w, p4.w, q0.w, q1.w, q2.w, q3.w, q4.w),
    );
}

@compute @workgroup_size(WIDTH)
fn conv2d_weight_grad_array(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let n = group.y * 4u;
    let slot = slot_of(group.x * 2u + lane / 4u, lane);
    let padding = i32(params.padding);
    let pixel = i32(params.channels);
    // A place that the compiler does not know: it keeps such an array in memory, and all is zero yet.
    sums[params.stride % 192u] = 0.0;

    let lines = min((slot.g + 1u) * params.lines, params.rows * params.out_height);
    var line = first_line(slot.g);
    for (var i = 0u; i < params.lines; i += select(1u, 2u, SHORT)) {
        let at = places(line, lines, slot, n + lane % 4u);
        if SHORT {
            let under = places(after(line), lines, slot, n + lane % 4u);
            let panel =
                panel_of_halves(upstream(at.dy, 0u), upstream(at.dy, 1u), upstream(under.dy, 0u), upstream(under.dy, 1u));
            add_panel(two_lines(at, under), panel);
            line = after(line);
        } else {
            var p0 = vec4(0.0);
            var p1 = load(at.x + (1 - padding) * pixel, 1 - padding, at.end);
            if padding == 0 {
                p0 = load(at.x, 0, at.end);
            }
            for (var ox = 0u; ox < params.out_width; ox += 4u) {
                let panel = panel_of_halves(
                    upstream(at.dy, ox), upstream(at.dy, ox + 1u), upstream(at.dy, ox + 2u), upstream(at.dy, ox + 3u),
                );
                let ix = i32(ox * STRIDE) - padding;
                let place = at.x + ix * pixel;
                if STRIDE == 2u {
                    p1 = load(place + pixel, ix + 1, at.end);
                }
                let p2 = load(place + 2 * pixel, ix + 2, at.end);
                let p3 = load(place + 3 * pixel, ix + 3, at.end);
                let p4 = load(place + 4 * pixel, ix + 4, at.end);
                let p5 = load(place + 5 * pixel, ix + 5, at.end);
                var p6 = vec4(0.0);
                var p7 = vec4(0.0);
                var p8 = vec4(0.0);
                if STRIDE == 2u {
                    p6 = load(place + 6 * pixel, ix + 6, at.end);
                    p7 = load(place + 7 * pixel, ix + 7, at.end);
                    p8 = load(place + 8 * pixel, ix + 8, at.end);
                }
                let columns = Four(
                    taps_of(p0.x, p1.x, p2.x, p3.x, p4.x, p5.x, p6.x, p7.x, p8.x),
                    taps_of(p0.y, p1.y, p2.y, p3.y, p4.y, p5.y, p6.y, p7.y, p8.y),
                    taps_of(p0.z, p1.z, p2.z, p3.z, p4.z, p5.z, p6.z, p7.z, p8.z),
                    taps_of(p0.w, p1.w, p2.w, p3.w, p4.w, p5.w, p6.w, p7.w, p8.w),
                );
                add_panel(columns, panel);
                p0 = select(p4, p8, STRIDE == 2u);
                p1 = p5;
            }
        }
        line = after(line);
    }

    if slot.number < all_slots() && slot.g < params.parts {
        let first = slot.ky * 3u * params.channels + slot.c;
        store(slot.g, first, n, 0u);
        store(slot.g, first + params.channels, n, 1u);
        store(slot.g, first + 2u * params.channels, n, 2u);
    }
}
