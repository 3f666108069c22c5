// Convolution of NHWC images with 3 x 3 kernels, stride 1 and a border of 1, or its gradient by the input (which is
// such a convolution by turned weights), for subgroups of 8 lanes and costly loads (software adapters). Winograd's
// F(4, 3) down the columns: 6 products for 4 outputs and 3 taps instead of 12. The lanes are neighbours in a row, so
// the taps to the left and right are other lanes' values.
//
//   y[r, oy, ox, n] = sum over ky, kx, c of x[r, oy + ky − 1, ox + kx − 1, c] · w[ky, kx, c, n], or, where TURNED,
//                     sum over ky, kx, c of x[r, oy + ky − 1, ox + kx − 1, c] · w[2 − ky, 2 − kx, n, c]
//
// Shapes     x (R, H, W, inner), w [3, 3, pad4(C), Cout] -> y (R, H, W, outer); places outside x count as zero
// Dispatch   (pairs of strips · across, blocks of 16 output channels, fold of x past 65535 groups)
// Tile       a lane computes 2 strips by 16 output channels, each 2 tiles of 4 pixels, one below the other; strips follow each
//            other through the images, so that a pair may belong to two
// Shared     none; needs subgroups of at least 8 lanes
// Order      each output adds 6 sums, one for each position, of sums over 4 channels by kx, in rising order: the same bits every run
// Paper      Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016

struct Params {
    rows: u32,   // R
    height: u32, // H
    width: u32,  // W
    inner: u32,  // channels of x, in vec4
    outer: u32,  // channels of y
    across: u32, // strips of 8 x 8 pixels in a row of the image
    down: u32,   // strips in a column of the image
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;       // (R, H, W, inner)
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;       // [3, 3, pad4(C), Cout]
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>; // (R, H, W, outer)

override TURNED: bool = false;
override EDGES: bool = true; // whether a row of the image has several strips

const WIDTH: u32 = 8u; // lanes a workgroup: the first 8 of one subgroup

// A row of a strip, and, in lanes 0 and 7, the pixels to its left and right.
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

// The weights of a position, transformed; what they lack of it, `store` makes up for.
fn at_position(position: u32, k: Column) -> vec4<f32> {
    switch position {
        case 0u: { return k.top; }
        case 1u: { return (k.top + k.bottom) + k.middle; }
        case 2u: { return (k.top + k.bottom) - k.middle; }
        case 3u: { return (k.top + 4.0 * k.bottom) + 2.0 * k.middle; }
        case 4u: { return (k.top + 4.0 * k.bottom) - 2.0 * k.middle; }
        default: { return k.bottom; }
    }
}

// 6 rows of the input under a tile, transformed for a position.
fn input_at(position: u32, r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32>, r4: vec4<f32>, r5: vec4<f32>) -> vec4<f32> {
    switch position {
        case 0u: { return 4.0 * (r0 - r2) + (r4 - r2); }
        case 1u: { return (r4 - 4.0 * r2) + (r3 - 4.0 * r1); }
        case 2u: { return (r4 - 4.0 * r2) - (r3 - 4.0 * r1); }
        case 3u: { return (r4 - r2) + 2.0 * (r3 - r1); }
        case 4u: { return (r4 - r2) - 2.0 * (r3 - r1); }
        default: { return 4.0 * (r1 - r3) + (r5 - r3); }
    }
}

// One position's sums of the 4 tiles: 2 of each strip.
struct Tiles {
    t0: Sums,
    t1: Sums,
    t2: Sums,
    t3: Sums,
}

// One position of a tile: a lane's value and those to its left and right.
struct Line {
    left: vec4<f32>,
    middle: vec4<f32>,
    right: vec4<f32>,
}

// A position of the tile under 6 rows.
fn line_of(lane: u32, p: u32, r0: Row, r1: Row, r2: Row, r3: Row, r4: Row, r5: Row) -> Line {
    let middle = input_at(p, r0.own, r1.own, r2.own, r3.own, r4.own, r5.own);
    var beside = vec4(0.0);
    if EDGES {
        beside = input_at(p, r0.beside, r1.beside, r2.beside, r3.beside, r4.beside, r5.beside);
    }
    let left = select(subgroupShuffle(middle, (lane + 7u) % 8u), beside, lane == 0u);
    let right = select(subgroupShuffle(middle, (lane + 1u) % 8u), beside, lane == 7u);
    return Line(left, middle, right);
}

// sum + 3 taps of 4 inner steps for 4 outputs: few sums at a time, so that they stay in registers. The taps are added up first, since a
// sum of positions, which cancel out in part, must round seldom.
fn taps(
    sum: vec4<f32>, line: Line,
    lx: vec4<f32>, ly: vec4<f32>, lz: vec4<f32>, lw: vec4<f32>,
    mx: vec4<f32>, my: vec4<f32>, mz: vec4<f32>, mw: vec4<f32>,
    rx: vec4<f32>, ry: vec4<f32>, rz: vec4<f32>, rw: vec4<f32>,
) -> vec4<f32> {
    var s = vec4(line.left.x) * lx;
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
    return sum + fma(vec4(line.right.w), rw, s);
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

// The 10 rows of the input under a strip.
struct Rows {
    r0: Row, r1: Row, r2: Row, r3: Row, r4: Row,
    r5: Row, r6: Row, r7: Row, r8: Row, r9: Row,
}

// Where a strip's input lies.
struct Strip {
    image: i32,       // index into x of the image's first vector
    row: i32,         // above the strip
    column: i32,      // of this lane
    edge_row: i32,    // of the pixel beside the strip that this lane looks after: the row l / 2 of four, to the left or right
    edge_column: i32,
}

// The strip of an image from a row on; past the last image it is that one's, and not stored.
fn strip_at(image: u32, top: u32, x0: u32, lane: u32) -> Strip {
    let first = min(image, params.rows - 1u) * params.height * params.width * params.inner;
    let row = i32(top) - 1;
    return Strip(i32(first), row, i32(x0 + lane), row + i32(lane / 2u), i32(x0) + select(-1, 8, lane % 2u == 1u));
}

fn rows_at(strip: Strip, lane: u32, k: u32) -> Rows {
    var e0 = vec4(0.0);
    var e1 = vec4(0.0);
    var e2 = vec4(0.0);
    if EDGES {
        e0 = pixel(strip.image, strip.edge_row, strip.edge_column, k);
        e1 = pixel(strip.image, strip.edge_row + 4, strip.edge_column, k);
        e2 = pixel(strip.image, strip.edge_row + 8, strip.edge_column, k);
    }
    return Rows(
        row_of(pixel(strip.image, strip.row, strip.column, k), lane, subgroupBroadcast(e0, 0u), subgroupBroadcast(e0, 1u)),
        row_of(pixel(strip.image, strip.row + 1, strip.column, k), lane, subgroupBroadcast(e0, 2u), subgroupBroadcast(e0, 3u)),
        row_of(pixel(strip.image, strip.row + 2, strip.column, k), lane, subgroupBroadcast(e0, 4u), subgroupBroadcast(e0, 5u)),
        row_of(pixel(strip.image, strip.row + 3, strip.column, k), lane, subgroupBroadcast(e0, 6u), subgroupBroadcast(e0, 7u)),
        row_of(pixel(strip.image, strip.row + 4, strip.column, k), lane, subgroupBroadcast(e1, 0u), subgroupBroadcast(e1, 1u)),
        row_of(pixel(strip.image, strip.row + 5, strip.column, k), lane, subgroupBroadcast(e1, 2u), subgroupBroadcast(e1, 3u)),
        row_of(pixel(strip.image, strip.row + 6, strip.column, k), lane, subgroupBroadcast(e1, 4u), subgroupBroadcast(e1, 5u)),
        row_of(pixel(strip.image, strip.row + 7, strip.column, k), lane, subgroupBroadcast(e1, 6u), subgroupBroadcast(e1, 7u)),
        row_of(pixel(strip.image, strip.row + 8, strip.column, k), lane, subgroupBroadcast(e2, 0u), subgroupBroadcast(e2, 1u)),
        row_of(pixel(strip.image, strip.row + 9, strip.column, k), lane, subgroupBroadcast(e2, 2u), subgroupBroadcast(e2, 3u)),
    );
}

// sums + 4 inner steps of a position, in all 4 tiles.
fn add_position(sums: Tiles, p: u32, lane: u32, x: Rows, z: Rows, k: Weights) -> Tiles {
    let l = panel_of(at_position(p, k.l0), at_position(p, k.l1));
    let m = panel_of(at_position(p, k.m0), at_position(p, k.m1));
    let r = panel_of(at_position(p, k.r0), at_position(p, k.r1));
    return Tiles(
        add_line(sums.t0, line_of(lane, p, x.r0, x.r1, x.r2, x.r3, x.r4, x.r5), l, m, r),
        add_line(sums.t1, line_of(lane, p, x.r4, x.r5, x.r6, x.r7, x.r8, x.r9), l, m, r),
        add_line(sums.t2, line_of(lane, p, z.r0, z.r1, z.r2, z.r3, z.r4, z.r5), l, m, r),
        add_line(sums.t3, line_of(lane, p, z.r4, z.r5, z.r6, z.r7, z.r8, z.r9), l, m, r),
    );
}

fn scaled(s: Sums, by: f32) -> Sums {
    return Sums(s.a * by, s.b * by, s.c * by, s.d * by);
}

fn sum(s: Sums, t: Sums) -> Sums {
    return Sums(s.a + t.a, s.b + t.b, s.c + t.c, s.d + t.d);
}

fn difference(s: Sums, t: Sums) -> Sums {
    return Sums(s.a - t.a, s.b - t.b, s.c - t.c, s.d - t.d);
}

fn store_row(r: u32, oy: u32, ox: u32, n: u32, sums: Sums) {
    if r < params.rows && oy < params.height && ox < params.width {
        store_pixel((r * params.height + oy) * params.width + ox, n, sums);
    }
}

// The 4 rows of a tile out of its 6 positions.
fn store(r: u32, oy: u32, ox: u32, n: u32, m0: Sums, m1: Sums, m2: Sums, m3: Sums, m4: Sums, m5: Sums) {
    let near = scaled(sum(m1, m2), -1.0 / 6.0);
    let near_odd = scaled(difference(m1, m2), -1.0 / 6.0);
    let far = scaled(sum(m3, m4), 1.0 / 24.0);
    let far_odd = scaled(difference(m3, m4), 1.0 / 12.0);
    store_row(r, oy, ox, n, sum(scaled(m0, 0.25), sum(near, far)));
    store_row(r, oy + 1u, ox, n, sum(near_odd, far_odd));
    store_row(r, oy + 2u, ox, n, sum(near, scaled(far, 4.0)));
    store_row(r, oy + 3u, ox, n, sum(sum(near_odd, scaled(far_odd, 4.0)), m5));
}

@compute @workgroup_size(WIDTH)
fn conv2d_winograd(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group.x + group.z * groups.x;
    let pair = index / params.across * 2u;
    if pair >= params.rows * params.down {
        return;
    }
    let x0 = index % params.across * 8u;
    let n = group.y * 4u;
    let images = vec2(pair, pair + 1u) / params.down;
    let tops = (vec2(pair, pair + 1u) - images * params.down) * 8u;
    let first_strip = strip_at(images.x, tops.x, x0, lane);
    let second_strip = strip_at(images.y, tops.y, x0, lane);
    var a = Tiles();
    var b = Tiles();
    var c = Tiles();
    var d = Tiles();
    var e = Tiles();
    var f = Tiles();
    for (var k = 0u; k < params.inner; k++) {
        let first = weights_at(k, n, 0u, lane);
        let second = weights_at(k, n, 1u, lane);
        let weights = Weights(
            column(first, 0u), column(second, 0u), column(first, 1u), column(second, 1u), column(first, 2u), column(second, 2u),
        );
        let upper = rows_at(first_strip, lane, k);
        let lower = rows_at(second_strip, lane, k);
        a = add_position(a, 0u, lane, upper, lower, weights);
        b = add_position(b, 1u, lane, upper, lower, weights);
        c = add_position(c, 2u, lane, upper, lower, weights);
        d = add_position(d, 3u, lane, upper, lower, weights);
        e = add_position(e, 4u, lane, upper, lower, weights);
        f = add_position(f, 5u, lane, upper, lower, weights);
    }
    store(images.x, tops.x, x0 + lane, n, a.t0, b.t0, c.t0, d.t0, e.t0, f.t0);
    store(images.x, tops.x + 4u, x0 + lane, n, a.t1, b.t1, c.t1, d.t1, e.t1, f.t1);
    store(images.y, tops.y, x0 + lane, n, a.t2, b.t2, c.t2, d.t2, e.t2, f.t2);
    store(images.y, tops.y + 4u, x0 + lane, n, a.t3, b.t3, c.t3, d.t3, e.t3, f.t3);
}
