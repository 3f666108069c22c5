// Gradient of a convolution by its weights, as in conv2d_weight_grad.wgsl, for subgroups of 8 lanes and costly loads
// (software adapters): the lanes load 8 vectors of dy together and pass them round.
//
//   part[g, ky, kx, c, n] = sum over the g-th lines (r, oy), and ox, of
//                           x[r, oy·stride + ky − padding, ox·stride + kx − padding, c] · dy[r, oy, ox, n]
//
// Shapes     x (R, H, W, C), dy (R, OH, OW, Cout) -> part (parts, kh·kw·pad4(C), Cout); sum_parts.wgsl adds the parts
// Dispatch   (blocks of 24 slots, blocks of 16 output channels, parts); a slot is a tap and 4 input channels. SINGLE: (1, blocks, parts / 8)
// Tile       a lane computes 3 slots, 8 apart, by 16 output channels in registers
// Shared     none; needs subgroups of at least 8 lanes
// Order      each part is summed by one lane, four lines at a time, down each column: the same bits every run

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

// Whether x has one channel and the kernel at most 12 taps: then a lane has all taps, 4 in the place of 4 channels, and lines of
// its own.
override SINGLE: bool = false;

const WIDTH: u32 = 8u; // lanes a workgroup: the first 8 of one subgroup

// A tap relative to the pixel, and the place of its channels.
struct Slot {
    ky: i32, // minus padding
    kx: i32, // minus padding
    c: u32,
}

fn slot(index: u32) -> Slot {
    let i = min(index, params.kernel_height * params.kernel_width * params.channels - 1u);
    let k = i / params.channels;
    let padding = i32(params.padding);
    return Slot(i32(k / params.kernel_width) - padding, i32(k % params.kernel_width) - padding, i % params.channels);
}

// Index into x of the slot's channels at column 0 of the line, or -1 outside the image.
fn line_of(slot: Slot, line: u32) -> i32 {
    let own = min(line, params.rows * params.out_height - 1u);
    let r = own / params.out_height;
    let oy = own % params.out_height;
    let iy = i32(oy * params.stride) + slot.ky;
    let row = (i32(r * params.height) + iy) * i32(params.width * params.channels) + i32(slot.c);
    return select(-1, row, iy >= 0 && iy < i32(params.height));
}

// The lines of 4 pixels of one column: short lines fill them as well as long ones. Past the last line dy is zero.
fn lines_of(slot: Slot, line: u32) -> vec4<i32> {
    return vec4(line_of(slot, line), line_of(slot, line + 1u), line_of(slot, line + 2u), line_of(slot, line + 3u));
}

// 4 channels of the slot at column ix of the line; zero outside the image.
fn channels_at(slot: Slot, line: i32, ix: i32) -> vec4<f32> {
    let inside = line >= 0 && ix >= 0 && ix < i32(params.width);
    return x[u32(select(0, line + ix * i32(params.channels), inside))] * select(0.0, 1.0, inside);
}

// 4 channels of a slot by 16 output channels.
struct Block {
    x: Sums,
    y: Sums,
    z: Sums,
    w: Sums,
}

// block + the slot's channels at 4 pixels, times dy there (the panel's 4 steps).
fn add_pixels(block: Block, slot: Slot, lines: vec4<i32>, ox: u32, panel: Panel) -> Block {
    let ix = i32(ox * params.stride) + slot.kx;
    let p0 = channels_at(slot, lines.x, ix);
    let p1 = channels_at(slot, lines.y, ix);
    let p2 = channels_at(slot, lines.z, ix);
    let p3 = channels_at(slot, lines.w, ix);
    return Block(
        multiply_add(block.x, vec4(p0.x, p1.x, p2.x, p3.x), panel),
        multiply_add(block.y, vec4(p0.y, p1.y, p2.y, p3.y), panel),
        multiply_add(block.z, vec4(p0.z, p1.z, p2.z, p3.z), panel),
        multiply_add(block.w, vec4(p0.w, p1.w, p2.w, p3.w), panel),
    );
}

fn store_sums(at: u32, n: u32, sums: Sums) {
    part[at] = sums.a;
    if n + 1u < params.outputs { part[at + 1u] = sums.b; }
    if n + 2u < params.outputs { part[at + 2u] = sums.c; }
    if n + 3u < params.outputs { part[at + 3u] = sums.d; }
}

fn store(g: u32, slot: u32, n: u32, block: Block) {
    let slots = params.kernel_height * params.kernel_width * params.channels;
    if slot >= slots || g >= params.parts {
        return;
    }
    let at = (g * slots + slot) * 4u * params.outputs + n;
    store_sums(at, n, block.x);
    store_sums(at + params.outputs, n, block.y);
    store_sums(at + 2u * params.outputs, n, block.z);
    store_sums(at + 3u * params.outputs, n, block.w);
}

// 4 output channels of dy at 4 lines of one column; zero from line `end` on.
fn upstream_of_lines(line: u32, ox: u32, end: u32, n: u32) -> mat4x4<f32> {
    return mat4x4(
        upstream(line, ox, end, n), upstream(line + 1u, ox, end, n),
        upstream(line + 2u, ox, end, n), upstream(line + 3u, ox, end, n),
    );
}

// The one channel under tap number `number`, at 4 lines of one column; zero outside the image and past the last tap.
fn single(number: u32, line: u32, ox: u32) -> vec4<f32> {
    let padding = i32(params.padding);
    let inside = select(0.0, 1.0, number < params.kernel_height * params.kernel_width);
    let tap = Slot(i32(number / params.kernel_width) - padding, i32(number % params.kernel_width) - padding, 0u);
    let lines = lines_of(tap, line);
    let ix = i32(ox * params.stride) + tap.kx;
    return inside * vec4(
        channels_at(tap, lines.x, ix).x, channels_at(tap, lines.y, ix).x,
        channels_at(tap, lines.z, ix).x, channels_at(tap, lines.w, ix).x,
    );
}

// block + 4 taps at 4 lines of one column, times dy there.
fn add_taps(block: Block, first: u32, line: u32, ox: u32, panel: Panel) -> Block {
    return Block(
        multiply_add(block.x, single(first, line, ox), panel),
        multiply_add(block.y, single(first + 1u, line, ox), panel),
        multiply_add(block.z, single(first + 2u, line, ox), panel),
        multiply_add(block.w, single(first + 3u, line, ox), panel),
    );
}

// One tap of the one channel; its pads are zero.
fn store_single(g: u32, number: u32, n: u32, sums: Sums) {
    if number < params.kernel_height * params.kernel_width {
        store(g, number, n, Block(sums, Sums(), Sums(), Sums()));
    }
}

// 4 output channels of dy; zero from line `end` on.
fn upstream(line: u32, ox: u32, end: u32, n: u32) -> vec4<f32> {
    let inside = line < end;
    let pixel = select(0u, line * params.out_width + ox, inside);
    return dy[pixel * params.outputs + min(n, params.outputs - 1u)] * select(0.0, 1.0, inside);
}

// Part g, whose lines are the lane's own, of images with one channel.
fn all_taps(g: u32, n: u32) {
    var b0 = Block();
    var b1 = Block();
    var b2 = Block();
    let end = min((g + 1u) * params.lines, params.rows * params.out_height);
    for (var line = g * params.lines; line < end; line += 4u) {
        for (var ox = 0u; ox < params.out_width; ox++) {
            let a = upstream_of_lines(line, ox, end, n);
            let b = upstream_of_lines(line, ox, end, n + 1u);
            let c = upstream_of_lines(line, ox, end, n + 2u);
            let d = upstream_of_lines(line, ox, end, n + 3u);
            let panel = Panel(
                a[0], b[0], c[0], d[0], a[1], b[1], c[1], d[1], a[2], b[2], c[2], d[2], a[3], b[3], c[3], d[3],
            );
            b0 = add_taps(b0, 0u, line, ox, panel);
            b1 = add_taps(b1, 4u, line, ox, panel);
            b2 = add_taps(b2, 8u, line, ox, panel);
        }
    }
    store_single(g, 0u, n, b0.x);
    store_single(g, 1u, n, b0.y);
    store_single(g, 2u, n, b0.z);
    store_single(g, 3u, n, b0.w);
    store_single(g, 4u, n, b1.x);
    store_single(g, 5u, n, b1.y);
    store_single(g, 6u, n, b1.z);
    store_single(g, 7u, n, b1.w);
    store_single(g, 8u, n, b2.x);
    store_single(g, 9u, n, b2.y);
    store_single(g, 10u, n, b2.z);
    store_single(g, 11u, n, b2.w);
}

@compute @workgroup_size(WIDTH)
fn conv2d_weight_grad_subgroup(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = group.x * 24u + lane;
    let n = group.y * 4u;
    if SINGLE {
        all_taps(group.z * WIDTH + lane, n);
        return;
    }
    let g = group.z;
    let k0 = slot(first);
    let k1 = slot(first + 8u);
    let k2 = slot(first + 16u);
    var b0 = Block();
    var b1 = Block();
    var b2 = Block();

    let end = min((g + 1u) * params.lines, params.rows * params.out_height);
    for (var line = g * params.lines; line < end; line += 4u) {
        let l0 = lines_of(k0, line);
        let l1 = lines_of(k1, line);
        let l2 = lines_of(k2, line);
        for (var ox = 0u; ox < params.out_width; ox++) {
            // Lane l loads pixel l / 4 of two, output channels 4 · (l % 4) ..
            let a = upstream(line + lane / 4u, ox, end, n + lane % 4u);
            let b = upstream(line + 2u + lane / 4u, ox, end, n + lane % 4u);
            let panel = panel_of_lanes(a, b);
            b0 = add_pixels(b0, k0, l0, ox, panel);
            b1 = add_pixels(b1, k1, l1, ox, panel);
            b2 = add_pixels(b2, k2, l2, ox, panel);
        }
    }

    store(g, first, n, b0);
    store(g, first + 8u, n, b1);
    store(g, first + 16u, n, b2);
}
