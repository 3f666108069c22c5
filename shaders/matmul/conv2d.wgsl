// Convolution of NHWC images, as an implicit matrix product of pixels by output channels.
//
//   y[r, oy, ox, n] = sum over ky, kx, c of x[r, oy·stride + ky − padding, ox·stride + kx − padding, c] · w[ky, kx, c, n]
//
// Shapes     x (R, H, W, C), w [kh, kw, pad4(C), Cout] -> y (R, OH, OW, Cout); places outside x count as zero
// Dispatch   (pixel blocks, blocks of 16 output channels, fold of x past 65535 groups)
// Tile       a lane computes 8 pixels, WIDTH apart, by 16 output channels in registers
// Shared     none
// Order      each output is summed by one lane over ky, kx, c in rising order: the same bits every run

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

override WIDTH: u32 = 64u; // lanes a workgroup

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
fn conv2d(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.z * groups.x) * 8u * WIDTH + lane;
    let n = group.y * 4u;
    // Columns past the last output are computed again and not stored.
    let nb = min(n + 1u, params.outputs - 1u);
    let nc = min(n + 2u, params.outputs - 1u);
    let nd = min(n + 3u, params.outputs - 1u);

    let p0 = corner(first);
    let p1 = corner(first + WIDTH);
    let p2 = corner(first + 2u * WIDTH);
    let p3 = corner(first + 3u * WIDTH);
    let p4 = corner(first + 4u * WIDTH);
    let p5 = corner(first + 5u * WIDTH);
    let p6 = corner(first + 6u * WIDTH);
    let p7 = corner(first + 7u * WIDTH);
    var s0 = Sums();
    var s1 = Sums();
    var s2 = Sums();
    var s3 = Sums();
    var s4 = Sums();
    var s5 = Sums();
    var s6 = Sums();
    var s7 = Sums();

    for (var ky = 0u; ky < params.kernel_height; ky++) {
        for (var kx = 0u; kx < params.kernel_width; kx++) {
            let t0 = tap(p0, ky, kx);
            let t1 = tap(p1, ky, kx);
            let t2 = tap(p2, ky, kx);
            let t3 = tap(p3, ky, kx);
            let t4 = tap(p4, ky, kx);
            let t5 = tap(p5, ky, kx);
            let t6 = tap(p6, ky, kx);
            let t7 = tap(p7, ky, kx);
            let row = (ky * params.kernel_width + kx) * params.channels * 4u;
            for (var c = 0u; c < params.channels; c++) {
                let k0 = (row + c * 4u) * params.outputs;
                let k1 = k0 + params.outputs;
                let k2 = k1 + params.outputs;
                let k3 = k2 + params.outputs;
                let panel = Panel(
                    w[k0 + n], w[k0 + nb], w[k0 + nc], w[k0 + nd],
                    w[k1 + n], w[k1 + nb], w[k1 + nc], w[k1 + nd],
                    w[k2 + n], w[k2 + nb], w[k2 + nc], w[k2 + nd],
                    w[k3 + n], w[k3 + nb], w[k3 + nc], w[k3 + nd],
                );
                s0 = multiply_add(s0, pixel(t0, c), panel);
                s1 = multiply_add(s1, pixel(t1, c), panel);
                s2 = multiply_add(s2, pixel(t2, c), panel);
                s3 = multiply_add(s3, pixel(t3, c), panel);
                s4 = multiply_add(s4, pixel(t4, c), panel);
                s5 = multiply_add(s5, pixel(t5, c), panel);
                s6 = multiply_add(s6, pixel(t6, c), panel);
                s7 = multiply_add(s7, pixel(t7, c), panel);
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
}
