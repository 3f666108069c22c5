// Gradient of a convolution by its weights, as in conv2d_weight_grad_subgroup.wgsl, for kernels 3 wide of stride 1:
// neighbouring taps see the same inputs one pixel apart, so each is loaded once and slides along the line.
//
//   part[g, ky, kx, c, n] = sum over the g-th lines (r, oy), and ox, of
//                           x[r, oy + ky − padding, ox + kx − padding, c] · dy[r, oy, ox, n]
//
// Shapes     x (R, H, W, C), dy (R, OH, OW, Cout) -> part (parts, kh·3·pad4(C), Cout); sum_parts.wgsl adds the parts
// Dispatch   (blocks of 4 slots of all parts / 2, blocks of 16 output channels); a slot is a row of taps and 4 input channels
// Tile       a lane computes the 3 taps of a slot by 16 output channels in registers; each half of a group has a block of slots and a
//            part of its own, so that 12 slots (3 rows of 16 channels) leave no lane idle
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

const STRIDE: u32 = 1u;
const WIDTH: u32 = 8u; // lanes a workgroup: the first 8 of one subgroup

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

@compute @workgroup_size(WIDTH)
fn conv2d_weight_grad_sliding(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let n = group.y * 4u;
    let slot = slot_of(group.x * 2u + lane / 4u, lane);
    let padding = i32(params.padding);
    let pixel = i32(params.channels);
    var b0 = Block();
    var b1 = Block();
    var b2 = Block();

    let lines = min((slot.g + 1u) * params.lines, params.rows * params.out_height);
    var line = first_line(slot.g);
    for (var i = 0u; i < params.lines; i++) {
        let at = places(line, lines, slot, n + lane % 4u);
        var p0 = load(at.x - padding * pixel, -padding, at.end);
        var p1 = load(at.x + (1 - padding) * pixel, 1 - padding, at.end);
        for (var ox = 0u; ox < params.out_width; ox += 4u) {
            let panel = panel_of_halves(
                upstream(at.dy, ox), upstream(at.dy, ox + 1u), upstream(at.dy, ox + 2u), upstream(at.dy, ox + 3u),
            );
            let ix = i32(ox) - padding;
            let place = at.x + ix * pixel;
            let p2 = load(place + 2 * pixel, ix + 2, at.end);
            let p3 = load(place + 3 * pixel, ix + 3, at.end);
            b0 = add_pixels(b0, p0, p1, p2, p3, panel);
            let p4 = load(place + 4 * pixel, ix + 4, at.end);
            b1 = add_pixels(b1, p1, p2, p3, p4, panel);
            let p5 = load(place + 5 * pixel, ix + 5, at.end);
            b2 = add_pixels(b2, p2, p3, p4, p5, panel);
            p0 = p4;
            p1 = p5;
        }
        line = after(line);
    }

    if slot.number < all_slots() && slot.g < params.parts {
        let first = slot.ky * 3u * params.channels + slot.c;
        store(slot.g, first, n, b0);
        store(slot.g, first + params.channels, n, b1);
        store(slot.g, first + 2u * params.channels, n, b2);
    }
}
