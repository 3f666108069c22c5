// Convolution of NHWC images with 3 x 3 kernels, stride 1 and a border of 1, or its gradient by the input (which is
// such a convolution by turned weights), for subgroups of 8 lanes and costly loads (software adapters). Winograd's
// F(2, 3) down the columns: 4 products for 2 outputs and 3 taps instead of 6. The lanes are neighbours in a row, so
// the taps to the left and right are other lanes' values.
//
//   y[r, oy, ox, n] = sum over ky, kx, c of x[r, oy + ky − 1, ox + kx − 1, c] · w[ky, kx, c, n], or, where TURNED,
//                     sum over ky, kx, c of x[r, oy + ky − 1, ox + kx − 1, c] · w[2 − ky, 2 − kx, n, c]
//
// Shapes     x (R, H, W, inner), w [3, 3, pad4(C), Cout] -> y (R, H, W, outer); places outside x count as zero
// Dispatch   (R · down · across, blocks of 16 output channels, fold of x past 65535 groups)
// Tile       a lane computes 4 tiles of 2 pixels, one below the other, by 16 output channels in registers
// Shared     none; needs subgroups of at least 8 lanes
// Order      each output adds 4 sums over c and kx in rising order, one for each position: the same bits every run

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

const WIDTH: u32 = 8u; // lanes a workgroup: the first 8 of one subgroup

// A row of a block, and, in lanes 0 and 7, the pixels to its left and right.
struct Row {
    own: vec4<f32>,
    beside: vec4<f32>,
}

// A row and the pixels beside it, which other lanes have loaded.
fn row_of(own: vec4<f32>, lane: u32, l: vec4<f32>, r: vec4<f32>) -> Row {
    return Row(own, select(l, r, lane == 7u));
}

// Weights of the three taps in a column, 8 vectors of them spread over the lanes.
struct Column {
    top: vec4<f32>,
    middle: vec4<f32>,
    bottom: vec4<f32>,
}

fn column(at: u32, kx: u32) -> Column {
    let tap = params.inner * 4u * ((params.outer + 3u) / 4u);
    return Column(
        w[at + select(kx, 8u - kx, TURNED) * tap],
        w[at + select(3u + kx, 5u - kx, TURNED) * tap],
        w[at + select(6u + kx, 2u - kx, TURNED) * tap],
    );
}

// The weights of a position, transformed.
fn at_position(position: u32, k: Column) -> vec4<f32> {
    switch position {
        case 0u: { return k.top; }
        case 1u: { return 0.5 * ((k.top + k.bottom) + k.middle); }
        case 2u: { return 0.5 * ((k.top + k.bottom) - k.middle); }
        default: { return k.bottom; }
    }
}

// 4 rows of the input under a tile, transformed for a position.
fn input_at(position: u32, r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32>) -> vec4<f32> {
    switch position {
        case 0u: { return r0 - r2; }
        case 1u: { return r1 + r2; }
        case 2u: { return r2 - r1; }
        default: { return r1 - r3; }
    }
}

// One position's sums of the 4 tiles.
struct Tiles {
    t0: Sums,
    t1: Sums,
    t2: Sums,
    t3: Sums,
}

// One position of the 4 tiles: a lane's value and those to its left and right.
struct Line {
    left: vec4<f32>,
    middle: vec4<f32>,
    right: vec4<f32>,
}

// A position of the tile under 4 rows.
fn line_of(lane: u32, p: u32, r0: Row, r1: Row, r2: Row, r3: Row) -> Line {
    let middle = input_at(p, r0.own, r1.own, r2.own, r3.own);
    var beside = vec4(0.0);
    if EDGES {
        beside = input_at(p, r0.beside, r1.beside, r2.beside, r3.beside);
    }
    let left = select(subgroupShuffle(middle, (lane + 7u) % 8u), beside, lane == 0u);
    let right = select(subgroupShuffle(middle, (lane + 1u) % 8u), beside, lane == 7u);
    return Line(left, middle, right);
}

// sum + 3 taps of 4 inner steps for 4 outputs: few sums at a time, so that they stay in registers.
fn taps(
    sum: vec4<f32>, line: Line,
    lx: vec4<f32>, ly: vec4<f32>, lz: vec4<f32>, lw: vec4<f32>,
    mx: vec4<f32>, my: vec4<f32>, mz: vec4<f32>, mw: vec4<f32>,
    rx: vec4<f32>, ry: vec4<f32>, rz: vec4<f32>, rw: vec4<f32>,
) -> vec4<f32> {
    var s = fma(vec4(line.left.x), lx, sum);
    s = fma(vec4(line.left.y), ly, s);
    s = fma(vec4(line.left.z), lz, s);
    s = fma(vec4(line.left.w), lw, s);
    s = fma(vec4(line.middle.x), mx, s);
    s = fma(vec4(line.middle.y), my, s);
    s = fma(vec4(line.middle.z), mz, s);
    s = fma(vec4(line.middle.w), mw, s);
    s = fma(vec4(line.right.x), rx, s);
    s = fma(vec4(line.right.y), ry, s);
    s = fma(vec4(line.right.z), rz, s);
    return fma(vec4(line.right.w), rw, s);
}

// sums + 3 taps of 4 inner steps for 16 outputs.
fn add_line(sums: Sums, line: Line, l: Panel, m: Panel, r: Panel) -> Sums {
    return Sums(
        taps(sums.a, line, l.xa, l.ya, l.za, l.wa, m.xa, m.ya, m.za, m.wa, r.xa, r.ya, r.za, r.wa),
        taps(sums.b, line, l.xb, l.yb, l.zb, l.wb, m.xb, m.yb, m.zb, m.wb, r.xb, r.yb, r.zb, r.wb),
        taps(sums.c, line, l.xc, l.yc, l.zc, l.wc, m.xc, m.yc, m.zc, m.wc, r.xc, r.yc, r.zc, r.wc),
        taps(sums.d, line, l.xd, l.yd, l.zd, l.wd, m.xd, m.yd, m.zd, m.wd, r.xd, r.yd, r.zd, r.wd),
    );
}

// The weights of 4 inner steps: two halves of three columns.
struct Weights {
    l0: Column,
    l1: Column,
    m0: Column,
    m1: Column,
    r0: Column,
    r1: Column,
}

// The 10 rows of the input under a block.
struct Rows {
    r0: Row, r1: Row, r2: Row, r3: Row, r4: Row,
    r5: Row, r6: Row, r7: Row, r8: Row, r9: Row,
}

// sums + 4 inner steps of a position, in all 4 tiles.
fn add_position(sums: Tiles, p: u32, lane: u32, x: Rows, k: Weights) -> Tiles {
    let l = panel_of(at_position(p, k.l0), at_position(p, k.l1));
    let m = panel_of(at_position(p, k.m0), at_position(p, k.m1));
    let r = panel_of(at_position(p, k.r0), at_position(p, k.r1));
    return Tiles(
        add_line(sums.t0, line_of(lane, p, x.r0, x.r1, x.r2, x.r3), l, m, r),
        add_line(sums.t1, line_of(lane, p, x.r2, x.r3, x.r4, x.r5), l, m, r),
        add_line(sums.t2, line_of(lane, p, x.r4, x.r5, x.r6, x.r7), l, m, r),
        add_line(sums.t3, line_of(lane, p, x.r6, x.r7, x.r8, x.r9), l, m, r),
    );
}

fn store_inside(r: u32, oy: u32, ox: u32, n: u32, sums: Sums) {
    if oy < params.height && ox < params.width {
        store_pixel((r * params.height + oy) * params.width + ox, n, sums);
    }
}

// The two rows of a tile out of its four positions.
fn store(r: u32, oy: u32, ox: u32, n: u32, m0: Sums, m1: Sums, m2: Sums, m3: Sums) {
    let top = Sums(m0.a + m1.a + m2.a, m0.b + m1.b + m2.b, m0.c + m1.c + m2.c, m0.d + m1.d + m2.d);
    let bottom = Sums(m1.a - m2.a - m3.a, m1.b - m2.b - m3.b, m1.c - m2.c - m3.c, m1.d - m2.d - m3.d);
    store_inside(r, oy, ox, n, top);
    store_inside(r, oy + 1u, ox, n, bottom);
}

@compute @workgroup_size(WIDTH)
fn conv2d_winograd(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group.x + group.z * groups.x;
    let r = index / (params.across * params.down);
    if r >= params.rows {
        return;
    }
    let image = i32(r * params.height * params.width * params.inner);
    let x0 = index % params.across * 8u;
    let y0 = index / params.across % params.down * 8u;
    let n = group.y * 4u;
    let column0 = i32(x0 + lane);
    let row0 = i32(y0) - 1;
    // Lane l looks after the row l / 2 of four, beside the block on the left and right.
    let edge_column = i32(x0) + select(-1, 8, lane % 2u == 1u);
    let edge_row = row0 + i32(lane / 2u);
    var a = Tiles();
    var b = Tiles();
    var c = Tiles();
    var d = Tiles();
    for (var k = 0u; k < params.inner; k++) {
        let first = weights_at(k, n, 0u, lane);
        let second = weights_at(k, n, 1u, lane);
        let weights = Weights(
            column(first, 0u), column(second, 0u), column(first, 1u), column(second, 1u), column(first, 2u), column(second, 2u),
        );
        var e0 = vec4(0.0);
        var e1 = vec4(0.0);
        var e2 = vec4(0.0);
        if EDGES {
            e0 = pixel(image, edge_row, edge_column, k);
            e1 = pixel(image, edge_row + 4, edge_column, k);
            e2 = pixel(image, edge_row + 8, edge_column, k);
        }
        let rows = Rows(
            row_of(pixel(image, row0, column0, k), lane, subgroupBroadcast(e0, 0u), subgroupBroadcast(e0, 1u)),
            row_of(pixel(image, row0 + 1, column0, k), lane, subgroupBroadcast(e0, 2u), subgroupBroadcast(e0, 3u)),
            row_of(pixel(image, row0 + 2, column0, k), lane, subgroupBroadcast(e0, 4u), subgroupBroadcast(e0, 5u)),
            row_of(pixel(image, row0 + 3, column0, k), lane, subgroupBroadcast(e0, 6u), subgroupBroadcast(e0, 7u)),
            row_of(pixel(image, row0 + 4, column0, k), lane, subgroupBroadcast(e1, 0u), subgroupBroadcast(e1, 1u)),
            row_of(pixel(image, row0 + 5, column0, k), lane, subgroupBroadcast(e1, 2u), subgroupBroadcast(e1, 3u)),
            row_of(pixel(image, row0 + 6, column0, k), lane, subgroupBroadcast(e1, 4u), subgroupBroadcast(e1, 5u)),
            row_of(pixel(image, row0 + 7, column0, k), lane, subgroupBroadcast(e1, 6u), subgroupBroadcast(e1, 7u)),
            row_of(pixel(image, row0 + 8, column0, k), lane, subgroupBroadcast(e2, 0u), subgroupBroadcast(e2, 1u)),
            row_of(pixel(image, row0 + 9, column0, k), lane, subgroupBroadcast(e2, 2u), subgroupBroadcast(e2, 3u)),
        );
        a = add_position(a, 0u, lane, rows, weights);
        b = add_position(b, 1u, lane, rows, weights);
        c = add_position(c, 2u, lane, rows, weights);
        d = add_position(d, 3u, lane, rows, weights);
    }
    store(r, y0, x0 + lane, n, a.t0, b.t0, c.t0, d.t0);
    store(r, y0 + 2u, x0 + lane, n, a.t1, b.t1, c.t1, d.t1);
    store(r, y0 + 4u, x0 + lane, n, a.t2, b.t2, c.t2, d.t2);
    store(r, y0 + 6u, x0 + lane, n, a.t3, b.t3, c.t3, d.t3);
}
