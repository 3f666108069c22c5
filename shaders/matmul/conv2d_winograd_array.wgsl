// Convolution of NHWC images with 3 x 3 kernels, stride 1 and a border of 1, or its gradient by the input, by Winograd's F(2 x 2, 3 x 3):
// 16 products for 4 outputs instead of 36. For compilers that keep an array in memory and load its elements where they are used.
//
//   y[r, oy, ox, n] = sum over ky, kx, c of x[r, oy + ky − 1, ox + kx − 1, c] · w[ky, kx, c, n], or, where TURNED,
//                     sum over ky, kx, c of x[r, oy + ky − 1, ox + kx − 1, c] · w[2 − ky, 2 − kx, n, c]
//   by tiles          Y = Aᵀ [ sum over c of (G w Gᵀ) ⊙ (Bᵀ x B) ] A
//
// Shapes     x (R, H, W, inner), w [3, 3, pad4(C), Cout] -> y (R, H, W, outer); places outside x count as zero
// Dispatch   (strips / 8, blocks of 16 output channels, fold of x past 65535 groups); a strip is 2 columns of 8 rows
// Tile       a lane computes a strip, 4 tiles of 2 x 2 pixels, by 16 output channels; the lanes' strips are neighbours, so that a lane
//            loads its own columns and has those beside them from others
// Shared     none; needs subgroups of at least 8 lanes
// Order      each output adds 16 sums over c in rising order, one for each position: the same bits every run
// Paper      Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016

struct Params {
    rows: u32,   // R
    height: u32, // H
    width: u32,  // W
    inner: u32,  // channels of x, in vec4
    outer: u32,  // channels of y
    across: u32, // strips in a row of the image
    down: u32,   // strips in a column of the image
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;       // (R, H, W, inner)
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;       // [3, 3, pad4(C), Cout]
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>; // (R, H, W, outer)

override TURNED: bool = false;

const WIDTH: u32 = 8u; // lanes a workgroup: the first 8 of one subgroup

// Position p, output n: at 16p + n, an element for each of the 4 tiles.
var<private> sums: array<vec4<f32>, 256>;

// The 10 rows of a column under a strip.
struct Column {
    r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32>, r4: vec4<f32>,
    r5: vec4<f32>, r6: vec4<f32>, r7: vec4<f32>, r8: vec4<f32>, r9: vec4<f32>,
}

// The columns under a strip: left of it, its own, right of it.
struct Window {
    left: Column, first: Column, second: Column, right: Column,
}

// A channel of a column, transformed down the 4 tiles.
fn down(column: Column, c: u32) -> Line {
    return input_of(
        vec4(column.r0[c], column.r2[c], column.r4[c], column.r6[c]),
        vec4(column.r1[c], column.r3[c], column.r5[c], column.r7[c]),
        vec4(column.r2[c], column.r4[c], column.r6[c], column.r8[c]),
        vec4(column.r3[c], column.r5[c], column.r7[c], column.r9[c]),
    );
}

// A channel of the tiles.
fn positions(window: Window, c: u32) -> Positions {
    let l = down(window.left, c);
    let a = down(window.first, c);
    let b = down(window.second, c);
    let r = down(window.right, c);
    return tile_of(l, a, b, r);
}

// G times 3 taps.
fn weights_of(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>) -> Line {
    let outer = 0.5 * (a + c);
    let middle = 0.5 * b;
    return Line(a, outer + middle, outer - middle, c);
}

// The column kx of taps, transformed.
fn taps(first: u32, kx: u32) -> Line {
    let size = params.inner * 4u * ((params.outer + 3u) / 4u);
    return weights_of(
        w[first + select(kx, 8u - kx, TURNED) * size],
        w[first + select(3u + kx, 5u - kx, TURNED) * size],
        w[first + select(6u + kx, 2u - kx, TURNED) * size],
    );
}

// A lane's vector of weights, transformed.
fn weights(first: u32) -> Positions {
    let l = taps(first, 0u);
    let m = taps(first, 1u);
    let r = taps(first, 2u);
    return Positions(weights_of(l.a, m.a, r.a), weights_of(l.b, m.b, r.b), weights_of(l.c, m.c, r.c), weights_of(l.d, m.d, r.d));
}

// Adds 4 channels (x, y, z, w) to the sum of an output at a position; k are their weights.
fn add_output(at: u32, x: vec4<f32>, y: vec4<f32>, z: vec4<f32>, w: vec4<f32>, k: vec4<f32>) {
    var sum = sums[at];
    sum = fma(x, vec4(k.x), sum);
    sum = fma(y, vec4(k.y), sum);
    sum = fma(z, vec4(k.z), sum);
    sum = fma(w, vec4(k.w), sum);
    sums[at] = sum;
}

// The same for 4 outputs.
fn add_outputs(
    at: u32, x: vec4<f32>, y: vec4<f32>, z: vec4<f32>, w: vec4<f32>,
    kx: vec4<f32>, ky: vec4<f32>, kz: vec4<f32>, kw: vec4<f32>,
) {
    add_output(at, x, y, z, w, vec4(kx.x, ky.x, kz.x, kw.x));
    add_output(at + 1u, x, y, z, w, vec4(kx.y, ky.y, kz.y, kw.y));
    add_output(at + 2u, x, y, z, w, vec4(kx.z, ky.z, kz.z, kw.z));
    add_output(at + 3u, x, y, z, w, vec4(kx.w, ky.w, kz.w, kw.w));
}

// The 16 outputs at a position, whose weights the lanes hold in two vectors each.
fn add_position(p: u32, x: vec4<f32>, y: vec4<f32>, z: vec4<f32>, w: vec4<f32>, first: vec4<f32>, second: vec4<f32>) {
    let k = panel_of(first, second);
    add_outputs(16u * p, x, y, z, w, k.xa, k.ya, k.za, k.wa);
    add_outputs(16u * p + 4u, x, y, z, w, k.xb, k.yb, k.zb, k.wb);
    add_outputs(16u * p + 8u, x, y, z, w, k.xc, k.yc, k.zc, k.wc);
    add_outputs(16u * p + 12u, x, y, z, w, k.xd, k.yd, k.zd, k.wd);
}

// A row of positions, from position p on.
fn add_line(p: u32, x: Line, y: Line, z: Line, w: Line, first: Line, second: Line) {
    add_position(p, x.a, y.a, z.a, w.a, first.a, second.a);
    add_position(p + 1u, x.b, y.b, z.b, w.b, first.b, second.b);
    add_position(p + 2u, x.c, y.c, z.c, w.c, first.c, second.c);
    add_position(p + 3u, x.d, y.d, z.d, w.d, first.d, second.d);
}

// An output's 4 pixels of each tile.
struct Tile {
    top: Pair,
    bottom: Pair,
}

struct Pair {
    left: vec4<f32>,
    right: vec4<f32>,
}

// Aᵀ times 4 positions.
fn pair_of(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> Pair {
    return Pair(a + b + c, b - c - d);
}

// The same down a column of positions.
fn column_of(at: u32) -> Pair {
    return pair_of(sums[at], sums[64u + at], sums[128u + at], sums[192u + at]);
}

fn outputs_of(n: u32) -> Tile {
    let a = column_of(n);
    let b = column_of(16u + n);
    let c = column_of(32u + n);
    let d = column_of(48u + n);
    return Tile(pair_of(a.left, b.left, c.left, d.left), pair_of(a.right, b.right, c.right, d.right));
}

fn store_pair(t: u32, place: u32, q: u32, both: bool, a: Pair, b: Pair, c: Pair, d: Pair) {
    let outputs = (params.outer + 3u) / 4u;
    y[place * outputs + q] = masked(vec4(a.left[t], b.left[t], c.left[t], d.left[t]), 4u * q);
    if both {
        y[(place + 1u) * outputs + q] = masked(vec4(a.right[t], b.right[t], c.right[t], d.right[t]), 4u * q);
    }
}

// Where a lane's outputs lie.
struct Place {
    pixel: u32, // the strip's first, among all
    row: u32,
    both: bool, // whether its second column lies in the image
}

// 4 outputs of tile t.
fn store_tile(t: u32, q: u32, at: Place, a: Tile, b: Tile, c: Tile, d: Tile) {
    let pixel = at.pixel + 2u * t * params.width;
    if at.row + 2u * t < params.height {
        store_pair(t, pixel, q, at.both, a.top, b.top, c.top, d.top);
    }
    if at.row + 2u * t + 1u < params.height {
        store_pair(t, pixel + params.width, q, at.both, a.bottom, b.bottom, c.bottom, d.bottom);
    }
}

// 4 outputs from output m of the lane on, which is vector q of a pixel.
fn store_outputs(m: u32, q: u32, at: Place) {
    if q >= (params.outer + 3u) / 4u {
        return;
    }
    let a = outputs_of(m);
    let b = outputs_of(m + 1u);
    let c = outputs_of(m + 2u);
    let d = outputs_of(m + 3u);
    store_tile(0u, q, at, a, b, c, d);
    store_tile(1u, q, at, a, b, c, d);
    store_tile(2u, q, at, a, b, c, d);
    store_tile(3u, q, at, a, b, c, d);
}

// A strip: its image's first vector in x, the row above it and its first column.
struct Strip {
    image: i32,
    row: i32,
    column: i32,
}

// Strips past the last lie above the image, where all is zero.
fn strip_of(index: u32) -> Strip {
    let r = index / (params.across * params.down);
    let row = select(-64, i32(index / params.across % params.down * 8u) - 1, r < params.rows);
    return Strip(i32(r * params.height * params.width * params.inner), row, i32(index % params.across * 2u));
}

fn own_column(strip: Strip, column: i32, k: u32) -> Column {
    return Column(
        pixel(strip.image, strip.row, column, k), pixel(strip.image, strip.row + 1, column, k),
        pixel(strip.image, strip.row + 2, column, k), pixel(strip.image, strip.row + 3, column, k),
        pixel(strip.image, strip.row + 4, column, k), pixel(strip.image, strip.row + 5, column, k),
        pixel(strip.image, strip.row + 6, column, k), pixel(strip.image, strip.row + 7, column, k),
        pixel(strip.image, strip.row + 8, column, k), pixel(strip.image, strip.row + 9, column, k),
    );
}

// A column beside a strip: whose own it is, and what it is for lane `end`, which has no lane on that side.
struct Side {
    source: u32,
    end: bool,
    outside: bool,
}

// A value of it: another lane's, the end's, or zero outside the image.
fn beside(own: vec4<f32>, end: vec4<f32>, side: Side) -> vec4<f32> {
    return select(select(subgroupShuffle(own, side.source), end, side.end), vec4(0.0), side.outside);
}

// e: rows 0 to 3, 4 to 7, 8 and 9 of the end's column, in every second lane from lane `first` on.
fn column_beside(own: Column, e0: vec4<f32>, e1: vec4<f32>, e2: vec4<f32>, first: u32, side: Side) -> Column {
    return Column(
        beside(own.r0, subgroupShuffle(e0, first), side), beside(own.r1, subgroupShuffle(e0, first + 2u), side),
        beside(own.r2, subgroupShuffle(e0, first + 4u), side), beside(own.r3, subgroupShuffle(e0, first + 6u), side),
        beside(own.r4, subgroupShuffle(e1, first), side), beside(own.r5, subgroupShuffle(e1, first + 2u), side),
        beside(own.r6, subgroupShuffle(e1, first + 4u), side), beside(own.r7, subgroupShuffle(e1, first + 6u), side),
        beside(own.r8, subgroupShuffle(e2, first), side), beside(own.r9, subgroupShuffle(e2, first + 2u), side),
    );
}

@compute @workgroup_size(WIDTH)
fn conv2d_winograd_array(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let first = (group.x + group.z * groups.x) * 8u;
    if first >= params.rows * params.across * params.down {
        return;
    }
    let n = group.y * 4u;
    let strip = strip_of(first + lane);
    let left = Side((lane + 7u) % 8u, lane == 0u, strip.column == 0);
    let right = Side((lane + 1u) % 8u, lane == 7u, strip.column + 2 >= i32(params.width));
    // Lane l looks after the row l / 2 of four, left of the first strip and right of the last.
    let end = strip_of(first + lane % 2u * 7u);
    let end_column = end.column + select(-1, 2, lane % 2u == 1u);
    let end_row = end.row + i32(lane / 2u);
    // A place that the compiler does not know: it keeps such an array in memory, and all is zero yet.
    sums[params.across % 256u] = vec4(0.0);
    for (var k = 0u; k < params.inner; k++) {
        let e0 = pixel(end.image, end_row, end_column, k);
        let e1 = pixel(end.image, end_row + 4, end_column, k);
        let e2 = pixel(end.image, end_row + 8, end_column, k);
        let a = own_column(strip, strip.column, k);
        let b = own_column(strip, strip.column + 1, k);
        let window = Window(column_beside(b, e0, e1, e2, 0u, left), a, b, column_beside(a, e0, e1, e2, 1u, right));
        let x = positions(window, 0u);
        let y = positions(window, 1u);
        let z = positions(window, 2u);
        let w = positions(window, 3u);
        let p = weights(weights_at(k, n, 0u, lane));
        let q = weights(weights_at(k, n, 1u, lane));
        add_line(0u, x.a, y.a, z.a, w.a, p.a, q.a);
        add_line(4u, x.b, y.b, z.b, w.b, p.b, q.b);
        add_line(8u, x.c, y.c, z.c, w.c, p.c, q.c);
        add_line(12u, x.d, y.d, z.d, w.d, p.d, q.d);
    }
    if strip.row < -1 {
        return;
    }
    let row = u32(strip.row + 1);
    let pixel = u32(strip.image) / params.inner + row * params.width + u32(strip.column);
    let place = Place(pixel, row, u32(strip.column) + 1u < params.width);
    store_outputs(0u, n, place);
    store_outputs(4u, n + 1u, place);
    store_outputs(8u, n + 2u, place);
    store_outputs(12u, n + 3u, place);
}
