// Gradient of a convolution by its weights, as in conv2d_weight_grad_subgroup.wgsl, for kernels 3 wide of stride 1:
// neighbouring taps see the same inputs one pixel apart, so each is loaded once and slides along the line.
//
//   part[g, ky, kx, c, n] = sum over the g-th lines (r, oy), and ox, of
//                           x[r, oy + ky − padding, ox + kx − padding, c] · dy[r, oy, ox, n]
//
// Shapes     x (R, H, W, C), dy (R, OH, OW, Cout) -> part (parts, kh·3·pad4(C), Cout); sum_parts.wgsl adds the parts
// Dispatch   (blocks of 8 slots, blocks of 16 output channels, parts); a slot is a row of taps and 4 input channels
// Tile       a lane computes the 3 taps of a slot by 16 output channels in registers
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

const WIDTH: u32 = 8u; // lanes a workgroup: the first 8 of one subgroup

// 4 input channels at a column of a line; zero outside the image. `line` is the index into x of column 0, or -1.
fn channels_at(line: i32, ix: i32) -> vec4<f32> {
    let inside = line >= 0 && ix >= 0 && ix < i32(params.width);
    return x[u32(select(0, line + ix * i32(params.channels), inside))] * select(0.0, 1.0, inside);
}

// 4 input channels of a tap by 16 output channels.
struct Block {
    x: Sums,
    y: Sums,
    z: Sums,
    w: Sums,
}

// block + the channels at 4 pixels, times dy there (the panel's 4 steps).
fn add_pixels(block: Block, p0: vec4<f32>, p1: vec4<f32>, p2: vec4<f32>, p3: vec4<f32>, panel: Panel) -> Block {
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

fn store(g: u32, row: u32, n: u32, block: Block) {
    let rows = params.kernel_height * params.kernel_width * params.channels;
    let at = (g * rows + row) * 4u * params.outputs + n;
    store_sums(at, n, block.x);
    store_sums(at + params.outputs, n, block.y);
    store_sums(at + 2u * params.outputs, n, block.z);
    store_sums(at + 3u * params.outputs, n, block.w);
}

// 4 output channels of dy; zero past the end of the line.
fn upstream(line: u32, ox: u32, n: u32) -> vec4<f32> {
    let at = (line * params.out_width + min(ox, params.out_width - 1u)) * params.outputs + min(n, params.outputs - 1u);
    return dy[at] * select(0.0, 1.0, ox < params.out_width);
}

@compute @workgroup_size(WIDTH)
fn conv2d_weight_grad_sliding(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let n = group.y * 4u;
    let g = group.z;
    let slot = group.x * 8u + lane;
    let slots = params.kernel_height * params.channels;
    let ky = min(slot, slots - 1u) / params.channels;
    let c = min(slot, slots - 1u) % params.channels;
    let padding = i32(params.padding);
    var b0 = Block();
    var b1 = Block();
    var b2 = Block();

    let end = min((g + 1u) * params.lines, params.rows * params.out_height);
    for (var line = g * params.lines; line < end; line++) {
        let r = i32(line / params.out_height);
        let iy = i32(line % params.out_height + ky) - padding;
        let start = (r * i32(params.height) + iy) * i32(params.width * params.channels) + i32(c);
        let row = select(-1, start, iy >= 0 && iy < i32(params.height));
        var p0 = channels_at(row, -padding);
        var p1 = channels_at(row, 1 - padding);
        for (var ox = 0u; ox < params.out_width; ox += 4u) {
            // Lane l loads pixel l / 4 of two, output channels 4 · (l % 4) ..
            let a = upstream(line, ox + lane / 4u, n + lane % 4u);
            let b = upstream(line, ox + 2u + lane / 4u, n + lane % 4u);
            let panel = panel_of_lanes(a, b);
            let ix = i32(ox) - padding;
            let p2 = channels_at(row, ix + 2);
            let p3 = channels_at(row, ix + 3);
            b0 = add_pixels(b0, p0, p1, p2, p3, panel);
            let p4 = channels_at(row, ix + 4);
            b1 = add_pixels(b1, p1, p2, p3, p4, panel);
            let p5 = channels_at(row, ix + 5);
            b2 = add_pixels(b2, p2, p3, p4, p5, panel);
            p0 = p4;
            p1 = p5;
        }
    }

    if slot < slots && g < params.parts {
        let first = ky * 3u * params.channels + c;
        store(g, first, n, b0);
        store(g, first + params.channels, n, b1);
        store(g, first + 2u * params.channels, n, b2);
    }
}
