// Gradient of a convolution of 3 x 3 kernels, stride 1 and a border of 1, by its weights, by Winograd's F(3 x 3, 2 x 2): 16 products
// for a channel, an output and a tile of 2 x 2 pixels instead of 36. For compilers that keep an array in memory and load its
// elements where they are used, as in conv2d_winograd_array.wgsl.
//
//   dw = Gᵀ [ sum over tiles of (Bᵀ x B) ⊙ (A dy Aᵀ) ] G
//   part[g, ky, kx, c, n] = that over the g-th squares of 4 x 4 pixels
//
// Shapes     x (R, H, W, C), dy (R, H, W, Cout) -> part (parts, 3·3·pad4(C), Cout); sum_parts.wgsl adds the parts
// Dispatch   (blocks of 16 input channels of all parts / 2, blocks of 16 output channels)
// Tile       a lane computes the 9 taps of 4 input channels by 16 output channels, from the 4 tiles of a square at a time; each half
//            of a group has a block of channels and a part of its own
// Shared     none; needs subgroups of at least 8 lanes
// Order      each part is summed by one lane over its squares in rising order of r, oy, ox: the same bits every run
// Paper      Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016

struct Params {
    rows: u32,          // R
    height: u32,        // H
    width: u32,         // W
    channels: u32,      // pad4(C) / 4
    out_height: u32,    // H
    out_width: u32,     // W
    outputs: u32,       // pad4(Cout) / 4
    kernel_height: u32, // 3
    kernel_width: u32,  // 3
    stride: u32,
    padding: u32,
    parts: u32,
    lines: u32, // squares a part
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;          // (R, H, W, C)
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;         // (R, H, W, Cout)
@group(0) @binding(3) var<storage, read_write> part: array<vec4<f32>>; // (parts, 9·pad4(C), Cout)

const WIDTH: u32 = 8u; // lanes a workgroup: the first 8 of one subgroup

// Position p, output n: at 16p + n, an element for each of the lane's channels.
var<private> sums: array<vec4<f32>, 256>;

// A times 2 values.
fn upstream_of(a: vec4<f32>, b: vec4<f32>) -> Line {
    return Line(a, a + b, a - b, -b);
}

// A column of x under a square, transformed for its upper and lower tiles.
struct Column {
    upper: Line,
    lower: Line,
}

// Where a lane reads: the first pixel of its square.
struct Square {
    r: u32,
    row: u32,
    column: u32,
    end: u32, // rows of the image, none past the last square
}

// 4 channels of a pixel of x from the square's first on; zero outside the image.
fn x_at(at: Square, dy: i32, dx: i32, c: u32) -> vec4<f32> {
    let iy = i32(at.row) + dy;
    let ix = i32(at.column) + dx;
    let inside = u32(iy) < at.end && u32(ix) < params.width;
    let place = ((i32(at.r * params.height) + iy) * i32(params.width) + ix) * i32(params.channels) + i32(c);
    return select(vec4(0.0), x[select(0u, u32(place), inside)], inside);
}

fn column_at(at: Square, dx: i32, c: u32) -> Column {
    let r0 = x_at(at, -1, dx, c);
    let r1 = x_at(at, 0, dx, c);
    let r2 = x_at(at, 1, dx, c);
    let r3 = x_at(at, 2, dx, c);
    let r4 = x_at(at, 3, dx, c);
    let r5 = x_at(at, 4, dx, c);
    return Column(input_of(r0, r1, r2, r3), input_of(r2, r3, r4, r5));
}

// 4 outputs of a pixel of dy; zero outside the image.
fn dy_at(at: Square, row: u32, column: u32, n: u32) -> vec4<f32> {
    let inside = at.row + row < at.end && at.column + column < params.width;
    let place = ((at.r * params.height + at.row + row) * params.width + at.column + column) * params.outputs + n;
    return select(vec4(0.0), dy[select(0u, place, inside)], inside);
}

// A tile of 2 x 2 pixels of dy.
fn upstream_tile(at: Square, row: u32, column: u32, n: u32) -> Positions {
    let l = upstream_of(dy_at(at, row, column, n), dy_at(at, row + 1u, column, n));
    let r = upstream_of(dy_at(at, row, column + 1u, n), dy_at(at, row + 1u, column + 1u, n));
    return Positions(upstream_of(l.a, r.a), upstream_of(l.b, r.b), upstream_of(l.c, r.c), upstream_of(l.d, r.d));
}

// Adds the 4 tiles to the sum of an output at a position; k are dy's values there.
fn add_output(at: u32, x: Line, k: vec4<f32>) {
    var sum = sums[at];
    sum = fma(x.a, vec4(k.x), sum);
    sum = fma(x.b, vec4(k.y), sum);
    sum = fma(x.c, vec4(k.z), sum);
    sum = fma(x.d, vec4(k.w), sum);
    sums[at] = sum;
}

fn add_outputs(at: u32, x: Line, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) {
    add_output(at, x, vec4(a.x, b.x, c.x, d.x));
    add_output(at + 1u, x, vec4(a.y, b.y, c.y, d.y));
    add_output(at + 2u, x, vec4(a.z, b.z, c.z, d.z));
    add_output(at + 3u, x, vec4(a.w, b.w, c.w, d.w));
}

// The 16 outputs at a position; x and k are its values in the 4 tiles, k's spread over the lanes of a half.
fn add_position(p: u32, x: Line, k: Line) {
    let panel = panel_of_halves(k.a, k.b, k.c, k.d);
    add_outputs(16u * p, x, panel.xa, panel.ya, panel.za, panel.wa);
    add_outputs(16u * p + 4u, x, panel.xb, panel.yb, panel.zb, panel.wb);
    add_outputs(16u * p + 8u, x, panel.xc, panel.yc, panel.zc, panel.wc);
    add_outputs(16u * p + 12u, x, panel.xd, panel.yd, panel.zd, panel.wd);
}

// A row of positions from p on, in the 4 tiles.
fn add_line(p: u32, x0: Line, x1: Line, x2: Line, x3: Line, k0: Line, k1: Line, k2: Line, k3: Line) {
    add_position(p, Line(x0.a, x1.a, x2.a, x3.a), Line(k0.a, k1.a, k2.a, k3.a));
    add_position(p + 1u, Line(x0.b, x1.b, x2.b, x3.b), Line(k0.b, k1.b, k2.b, k3.b));
    add_position(p + 2u, Line(x0.c, x1.c, x2.c, x3.c), Line(k0.c, k1.c, k2.c, k3.c));
    add_position(p + 3u, Line(x0.d, x1.d, x2.d, x3.d), Line(k0.d, k1.d, k2.d, k3.d));
}

// Gᵀ times 4 positions: 3 taps.
struct Taps {
    a: vec4<f32>, b: vec4<f32>, c: vec4<f32>,
}

fn taps_of(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> Taps {
    let outer = 0.5 * (b + c);
    return Taps(a + outer, 0.5 * (b - c), outer + d);
}

fn taps_down(at: u32) -> Taps {
    return taps_of(sums[at], sums[64u + at], sums[128u + at], sums[192u + at]);
}

// An output's taps, row by row.
struct Kernel {
    top: Taps, middle: Taps, bottom: Taps,
}

fn kernel_of(n: u32) -> Kernel {
    let a = taps_down(n);
    let b = taps_down(16u + n);
    let c = taps_down(32u + n);
    let d = taps_down(48u + n);
    return Kernel(taps_of(a.a, b.a, c.a, d.a), taps_of(a.b, b.b, c.b, d.b), taps_of(a.c, b.c, c.c, d.c));
}

// A tap's 4 channels by 4 outputs.
fn store_tap(to: u32, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) {
    part[to] = vec4(a.x, b.x, c.x, d.x);
    part[to + params.outputs] = vec4(a.y, b.y, c.y, d.y);
    part[to + 2u * params.outputs] = vec4(a.z, b.z, c.z, d.z);
    part[to + 3u * params.outputs] = vec4(a.w, b.w, c.w, d.w);
}

fn store_row(to: u32, tap: u32, a: Taps, b: Taps, c: Taps, d: Taps) {
    store_tap(to, a.a, b.a, c.a, d.a);
    store_tap(to + tap, a.b, b.b, c.b, d.b);
    store_tap(to + 2u * tap, a.c, b.c, c.c, d.c);
}

// 4 outputs from the lane's output m on, which are vector q of those of all.
fn store_outputs(m: u32, q: u32, first: u32) {
    if q >= params.outputs {
        return;
    }
    let a = kernel_of(m);
    let b = kernel_of(m + 1u);
    let c = kernel_of(m + 2u);
    let d = kernel_of(m + 3u);
    let tap = 4u * params.channels * params.outputs;
    store_row(first + q, tap, a.top, b.top, c.top, d.top);
    store_row(first + q + 3u * tap, tap, a.middle, b.middle, c.middle, d.middle);
    store_row(first + q + 6u * tap, tap, a.bottom, b.bottom, c.bottom, d.bottom);
}

@compute @workgroup_size(WIDTH)
fn conv2d_weight_grad_winograd(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let blocks = (params.channels + 3u) / 4u;
    let half = group.x * 2u + lane / 4u;
    let g = half / blocks;
    let own = half % blocks * 4u + lane % 4u;
    let c = min(own, params.channels - 1u);
    let n = group.y * 4u;
    let quad = min(n + lane % 4u, params.outputs - 1u);
    let across = (params.width + 3u) / 4u;
    let down = (params.height + 3u) / 4u;
    let squares = min((g + 1u) * params.lines, params.rows * across * down);
    // A place that the compiler does not know: it keeps such an array in memory, and all is zero yet.
    sums[params.stride % 256u] = vec4(0.0);
    for (var i = 0u; i < params.lines; i++) {
        let number = g * params.lines + i;
        let at = Square(
            number / (across * down), number / across % down * 4u, number % across * 4u, select(0u, params.height, number < squares),
        );
        let c0 = column_at(at, -1, c);
        let c1 = column_at(at, 0, c);
        let c2 = column_at(at, 1, c);
        let c3 = column_at(at, 2, c);
        let c4 = column_at(at, 3, c);
        let c5 = column_at(at, 4, c);
        let x0 = tile_of(c0.upper, c1.upper, c2.upper, c3.upper);
        let x1 = tile_of(c2.upper, c3.upper, c4.upper, c5.upper);
        let x2 = tile_of(c0.lower, c1.lower, c2.lower, c3.lower);
        let x3 = tile_of(c2.lower, c3.lower, c4.lower, c5.lower);
        let k0 = upstream_tile(at, 0u, 0u, quad);
        let k1 = upstream_tile(at, 0u, 2u, quad);
        let k2 = upstream_tile(at, 2u, 0u, quad);
        let k3 = upstream_tile(at, 2u, 2u, quad);
        add_line(0u, x0.a, x1.a, x2.a, x3.a, k0.a, k1.a, k2.a, k3.a);
        add_line(4u, x0.b, x1.b, x2.b, x3.b, k0.b, k1.b, k2.b, k3.b);
        add_line(8u, x0.c, x1.c, x2.c, x3.c, k0.c, k1.c, k2.c, k3.c);
        add_line(12u, x0.d, x1.d, x2.d, x3.d, k0.d, k1.d, k2.d, k3.d);
    }
    if own >= params.channels || g >= params.parts {
        return;
    }
    let first = (g * 9u * params.channels + c) * 4u * params.outputs;
    store_outputs(0u, n, first);
    store_outputs(4u, n + 1u, first);
    store_outputs(8u, n + 2u, first);
    store_outputs(12u, n + 3u, first);
}
