// Convolution of NHWC images, as in conv2d.wgsl, for subgroups of 8 lanes and costly loads (software adapters): the
// lanes load 8 vectors of weights together and pass them round.
//
//   y[r, oy, ox, n] = sum over ky, kx, c of x[r, oy·stride + ky − padding, ox·stride + kx − padding, c] · w[ky, kx, c, n]
//
// Shapes     x (R, H, W, C), w [kh, kw, pad4(C), Cout] -> y (R, OH, OW, Cout); places outside x count as zero
// Dispatch   (pixel blocks, blocks of 16 output channels, fold of x past 65535 groups)
// Tile       a lane computes 12 pixels, 8 apart, by 16 output channels in registers
// Shared     none; needs subgroups of at least 8 lanes
// Order      each output is summed by one lane over ky, kx, c in rising order: the same bits every run
//            SINGLE: images of one channel, stored as four, without a load and products for the pads

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
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;       // (R, H, W, C)
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;       // [kh, kw, pad4(C), Cout]
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>; // (R, OH, OW, Cout)

override SINGLE: bool = false; // whether x has one channel: then 4 taps at a time instead of 4 channels of a tap

const WIDTH: u32 = 8u; // lanes a workgroup: the first 8 of one subgroup

// The first input place under the kernel: image offset in pixels, row, column.
fn corner(pixel: u32) -> vec3<i32> {
    let p = min(pixel, params.rows * params.out_height * params.out_width - 1u);
    let ox = p % params.out_width;
    let oy = (p / params.out_width) % params.out_height;
    let r = p / (params.out_width * params.out_height);
    let place = vec2(oy, ox) * params.stride;
    return vec3(i32(r * params.height * params.width), vec2<i32>(place) - i32(params.padding));
}

// Index into x of the tap's first channels, or -1 outside the image.
fn tap(corner: vec3<i32>, ky: u32, kx: u32) -> i32 {
    let iy = corner.y + i32(ky);
    let ix = corner.z + i32(kx);
    let inside = iy >= 0 && iy < i32(params.height) && ix >= 0 && ix < i32(params.width);
    return select(-1, (corner.x + iy * i32(params.width) + ix) * i32(params.channels), inside);
}

// 4 input channels of a pixel; zero outside the image.
fn pixel(tap: i32, c: u32) -> vec4<f32> {
    return x[u32(max(tap, 0)) + c] * select(0.0, 1.0, tap >= 0);
}

// The one channel of a pixel under tap number `number`.
fn single(corner: vec3<i32>, number: u32) -> f32 {
    let tap = tap(corner, number / params.kernel_width, number % params.kernel_width);
    return x[u32(max(tap, 0))].x * select(0.0, 1.0, tap >= 0);
}

// The one channel under 4 taps; those past the last have no weights.
fn singles(corner: vec3<i32>, first: u32) -> vec4<f32> {
    let number = vec4(first) + vec4(0u, 1u, 2u, 3u);
    return vec4(single(corner, number.x), single(corner, number.y), single(corner, number.z), single(corner, number.w));
}

// Output channels 4n .. under a tap of the one channel; zero past the last tap.
fn weights(number: u32, n: u32) -> vec4<f32> {
    let taps = params.kernel_height * params.kernel_width;
    return w[min(number, taps - 1u) * 4u * params.outputs + n] * select(0.0, 1.0, number < taps);
}

fn store(pixel: u32, n: u32, sums: Sums) {
    if pixel >= params.rows * params.out_height * params.out_width {
        return;
    }
    let at = pixel * params.outputs + n;
    y[at] = sums.a;
    if n + 1u < params.outputs { y[at + 1u] = sums.b; }
    if n + 2u < params.outputs { y[at + 2u] = sums.c; }
    if n + 3u < params.outputs { y[at + 3u] = sums.d; }
}

@compute @workgroup_size(WIDTH)
fn conv2d_subgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.z * groups.x) * 12u * WIDTH + lane;
    let n = group.y * 4u;
    // Lane l holds row l / 4 of the panel, columns 4 · (l % 4) ..; columns past the last output are not stored.
    let mine = (lane / 4u) * params.outputs + min(n + lane % 4u, params.outputs - 1u);

    let p0 = corner(first);
    let p1 = corner(first + WIDTH);
    let p2 = corner(first + 2u * WIDTH);
    let p3 = corner(first + 3u * WIDTH);
    let p4 = corner(first + 4u * WIDTH);
    let p5 = corner(first + 5u * WIDTH);
    let p6 = corner(first + 6u * WIDTH);
    let p7 = corner(first + 7u * WIDTH);
    let p8 = corner(first + 8u * WIDTH);
    let p9 = corner(first + 9u * WIDTH);
    let p10 = corner(first + 10u * WIDTH);
    let p11 = corner(first + 11u * WIDTH);
    var s0 = Sums();
    var s1 = Sums();
    var s2 = Sums();
    var s3 = Sums();
    var s4 = Sums();
    var s5 = Sums();
    var s6 = Sums();
    var s7 = Sums();
    var s8 = Sums();
    var s9 = Sums();
    var s10 = Sums();
    var s11 = Sums();

    let taps = select(0u, params.kernel_height * params.kernel_width, SINGLE);
    for (var first_tap = 0u; first_tap < taps; first_tap += 4u) {
        let column = min(n + lane % 4u, params.outputs - 1u);
        let xy = weights(first_tap + lane / 4u, column);
        let zw = weights(first_tap + 2u + lane / 4u, column);
        let panel = panel_of_lanes(xy, zw);
        s0 = multiply_add(s0, singles(p0, first_tap), panel);
        s1 = multiply_add(s1, singles(p1, first_tap), panel);
        s2 = multiply_add(s2, singles(p2, first_tap), panel);
        s3 = multiply_add(s3, singles(p3, first_tap), panel);
        s4 = multiply_add(s4, singles(p4, first_tap), panel);
        s5 = multiply_add(s5, singles(p5, first_tap), panel);
        s6 = multiply_add(s6, singles(p6, first_tap), panel);
        s7 = multiply_add(s7, singles(p7, first_tap), panel);
        s8 = multiply_add(s8, singles(p8, first_tap), panel);
        s9 = multiply_add(s9, singles(p9, first_tap), panel);
        s10 = multiply_add(s10, singles(p10, first_tap), panel);
        s11 = multiply_add(s11, singles(p11, first_tap), panel);
    }

    let rows = select(params.kernel_height, 0u, SINGLE);
    for (var ky = 0u; ky < rows; ky++) {
        for (var kx = 0u; kx < params.kernel_width; kx++) {
            let t0 = tap(p0, ky, kx);
            let t1 = tap(p1, ky, kx);
            let t2 = tap(p2, ky, kx);
            let t3 = tap(p3, ky, kx);
            let t4 = tap(p4, ky, kx);
            let t5 = tap(p5, ky, kx);
            let t6 = tap(p6, ky, kx);
            let t7 = tap(p7, ky, kx);
            let t8 = tap(p8, ky, kx);
            let t9 = tap(p9, ky, kx);
            let t10 = tap(p10, ky, kx);
            let t11 = tap(p11, ky, kx);
            let row = (ky * params.kernel_width + kx) * params.channels * 4u;
            for (var c = 0u; c < params.channels; c++) {
                let at = (row + c * 4u) * params.outputs + mine;
                let xy = w[at];
                let zw = w[at + 2u * params.outputs];
                let panel = panel_of_lanes(xy, zw);
                s0 = multiply_add(s0, pixel(t0, c), panel);
                s1 = multiply_add(s1, pixel(t1, c), panel);
                s2 = multiply_add(s2, pixel(t2, c), panel);
                s3 = multiply_add(s3, pixel(t3, c), panel);
                s4 = multiply_add(s4, pixel(t4, c), panel);
                s5 = multiply_add(s5, pixel(t5, c), panel);
                s6 = multiply_add(s6, pixel(t6, c), panel);
                s7 = multiply_add(s7, pixel(t7, c), panel);
                s8 = multiply_add(s8, pixel(t8, c), panel);
                s9 = multiply_add(s9, pixel(t9, c), panel);
                s10 = multiply_add(s10, pixel(t10, c), panel);
                s11 = multiply_add(s11, pixel(t11, c), panel);
            }
        }
    }

    store(first, n, s0);
    store(first + WIDTH, n, s1);
    store(first + 2u * WIDTH, n, s2);
    store(first + 3u * WIDTH, n, s3);
    store(first + 4u * WIDTH, n, s4);
    store(first + 5u * WIDTH, n, s5);
    store(first + 6u * WIDTH, n, s6);
    store(first + 7u * WIDTH, n, s7);
    store(first + 8u * WIDTH, n, s8);
    store(first + 9u * WIDTH, n, s9);
    store(first + 10u * WIDTH, n, s10);
    store(first + 11u * WIDTH, n, s11);
}
