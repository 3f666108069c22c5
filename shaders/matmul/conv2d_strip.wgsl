// Convolution of NHWC images with 3 x 3 kernels, a border of 1 and stride 1 or 2, or, at stride 1, its gradient by the
// input, for images of any size: no lane needs a neighbour. For compilers that keep an array in memory and load its elements where
// they are used: more sums than registers then cost a load and a store each, once in 12 multiply-adds.
//
//   y[r, oy, ox, n] = sum over ky, kx, c of x[r, oy·STRIDE + ky − 1, ox·STRIDE + kx − 1, c] · w[ky, kx, c, n], or, where
//              TURNED, sum over ky, kx, c of x[r, oy + ky − 1, ox + kx − 1, c] · w[2 − ky, 2 − kx, n, c]
//
// Shapes     x (R, H, W, inner), w [3, 3, pad4(C), Cout] -> y (R, OH, OW, outer); places outside x count as zero
// Dispatch   (blocks of 16 strips, or of 32 where SHORT, blocks of 16 or 32 output channels, fold of x past 65535 groups)
// Tile       a strip is 4 rows of a column, or 2 where SHORT; a lane computes 2, or 4, 8 apart in the list of all images'
//            strips, by 16 output channels, or 32 where WIDE, for which it loads no more of x
// Shared     none; needs subgroups of at least 8 lanes
// Order      each output is summed by one lane over c in fours, kx, c within the four, ky: the same bits every run

struct Params {
    rows: u32,       // R
    height: u32,     // H
    width: u32,      // W
    inner: u32,      // channels of x, in vec4
    outer: u32,      // channels of y
    out_height: u32, // OH
    out_width: u32,  // OW
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;       // (R, H, W, inner)
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;       // [3, 3, pad4(C), Cout]
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>; // (R, OH, OW, outer)

override STRIDE: u32 = 1u;
override TURNED: bool = false;
override WIDE: bool = false;
override SHORT: bool = false;  // whether strips have 2 rows, for images that would leave half of 4 empty
override CHANNELS: u32 = 4u;   // 1 where x has one channel: its pads are left alone

const WIDTH: u32 = 8u; // lanes a workgroup: the first 8 of one subgroup

// Output n: the first strip at 2n, the second at 2n + 1; where SHORT, the third beside the first and the fourth beside the second.
var<private> sums: array<vec4<f32>, 64>;

struct Strip {
    r: u32,
    oy: u32, // of the first row
    ox: u32,
}

fn strip_rows() -> u32 {
    return select(4u, 2u, SHORT);
}

fn strips_down() -> u32 {
    return (params.out_height + strip_rows() - 1u) / strip_rows();
}

fn strips() -> u32 {
    return params.rows * strips_down() * params.out_width;
}

// Strips past the last are computed again and not stored.
fn strip_of(index: u32) -> Strip {
    let i = min(index, strips() - 1u);
    let down = strips_down();
    return Strip(i / params.out_width / down, i / params.out_width % down * strip_rows(), i % params.out_width);
}

// The rows of x under a strip, as many as it has.
struct Column {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
    e: vec4<f32>,
    f: vec4<f32>,
    g: vec4<f32>,
    h: vec4<f32>,
    i: vec4<f32>,
}

// The pixels under a strip as the taps kx see them.
fn column_of(strip: Strip, kx: u32, k: u32) -> Column {
    let row = i32(strip.oy * STRIDE) - 1;
    let column = strip.ox * STRIDE + kx - 1u;
    let line = i32(params.width * params.inner);
    let place = (i32(strip.r * params.height) + row) * line + i32(column * params.inner + k);
    // Column -1 wraps round and is past the last as well.
    let end = select(0u, params.height, column < params.width);
    var s = Column();
    s.a = load(place, row, end);
    s.b = load(place + line, row + 1, end);
    s.c = load(place + 2 * line, row + 2, end);
    s.d = load(place + 3 * line, row + 3, end);
    if !SHORT || STRIDE == 2u {
        s.e = load(place + 4 * line, row + 4, end);
    }
    if !SHORT {
        s.f = load(place + 5 * line, row + 5, end);
    }
    if !SHORT && STRIDE == 2u {
        s.g = load(place + 6 * line, row + 6, end);
        s.h = load(place + 7 * line, row + 7, end);
        s.i = load(place + 8 * line, row + 8, end);
    }
    return s;
}

// Of a strip, or, where SHORT, of two.
fn four_of(strip: Strip, beside: Strip, kx: u32, k: u32) -> Four {
    let s = column_of(strip, kx, k);
    if SHORT {
        let t = column_of(beside, kx, k);
        return Four(
            taps_of_two(s.a.x, s.b.x, s.c.x, s.d.x, s.e.x, t.a.x, t.b.x, t.c.x, t.d.x, t.e.x),
            taps_of_two(s.a.y, s.b.y, s.c.y, s.d.y, s.e.y, t.a.y, t.b.y, t.c.y, t.d.y, t.e.y),
            taps_of_two(s.a.z, s.b.z, s.c.z, s.d.z, s.e.z, t.a.z, t.b.z, t.c.z, t.d.z, t.e.z),
            taps_of_two(s.a.w, s.b.w, s.c.w, s.d.w, s.e.w, t.a.w, t.b.w, t.c.w, t.d.w, t.e.w),
        );
    }
    return Four(
        taps_of(s.a.x, s.b.x, s.c.x, s.d.x, s.e.x, s.f.x, s.g.x, s.h.x, s.i.x),
        taps_of(s.a.y, s.b.y, s.c.y, s.d.y, s.e.y, s.f.y, s.g.y, s.h.y, s.i.y),
        taps_of(s.a.z, s.b.z, s.c.z, s.d.z, s.e.z, s.f.z, s.g.z, s.h.z, s.i.z),
        taps_of(s.a.w, s.b.w, s.c.w, s.d.w, s.e.w, s.f.w, s.g.w, s.h.w, s.i.w),
    );
}

// A row of a strip, whose sums are the parts `part` from `at` on.
fn store_row(strip: Strip, n: u32, row: u32, part: u32, at: u32) {
    let oy = strip.oy + row;
    if oy < params.out_height {
        let place = (strip.r * params.out_height + oy) * params.out_width + strip.ox;
        store_outputs(place, n, part, at);
    }
}

// A strip, whose first row's sums are part `part`.
fn store(index: u32, n: u32, part: u32, at: u32) {
    if index < strips() {
        let strip = strip_of(index);
        store_row(strip, n, 0u, part, at);
        store_row(strip, n, 1u, part + 1u, at);
        if !SHORT {
            store_row(strip, n, 2u, part + 2u, at);
            store_row(strip, n, 3u, part + 3u, at);
        }
    }
}

@compute @workgroup_size(WIDTH)
fn conv2d_strip(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let first = (group.x + group.z * groups.x) * select(16u, 32u, SHORT);
    if first >= strips() {
        return;
    }
    let a = strip_of(first + lane);
    let b = strip_of(first + 8u + lane);
    let c = strip_of(first + 16u + lane);
    let d = strip_of(first + 24u + lane);
    let n = group.y * select(4u, 8u, WIDE);
    // A place that the compiler does not know: it keeps such an array in memory, and all is zero yet.
    sums[params.outer % 64u] = vec4(0.0);
    for (var k = 0u; k < params.inner; k++) {
        let w0 = weights_at(k, n, 0u, lane);
        let w1 = weights_at(k, n, 1u, lane);
        let w2 = weights_at(k, n + 4u, 0u, lane);
        let w3 = weights_at(k, n + 4u, 1u, lane);
        for (var kx = 0u; kx < 3u; kx++) {
            let window = Window(four_of(a, c, kx, k), four_of(b, d, kx, k));
            let places = tap() * select(vec3(kx, 3u + kx, 6u + kx), vec3(8u - kx, 5u - kx, 2u - kx), TURNED);
            add_block(0u, w0, w1, places, window);
            if WIDE {
                add_block(16u, w2, w3, places, window);
            }
        }
    }
    store(first + lane, n, 0u, 0u);
    store(first + 8u + lane, n, 0u, 1u);
    if SHORT {
        store(first + 16u + lane, n, 2u, 0u);
        store(first + 24u + lane, n, 2u, 1u);
    }
}
