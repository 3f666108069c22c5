// Gradient of a convolution by its input for 3 x 3 kernels, a border of 1 and stride 2, as in conv2d_strip.wgsl.
//
//   y[r, iy, ix, c] = sum over ky, kx, n of x[r, oy, ox, n] · w[ky, kx, c, n]
//   with oy = (iy + 1 − ky) / 2 and ox = (ix + 1 − kx) / 2 where both are whole and inside
//
// Shapes     x, the upstream gradient, (R, OH, OW, inner), w [3, 3, pad4(C), Cout] -> y (R, H, W, outer)
// Dispatch   (blocks of 16 or 32 channels · 2 phases, blocks of 16 strips, or of 32 where SHORT, fold of y past 65535 groups); phases
//            are neighbours, as their work differs and a software adapter gives each core one half of the groups
// Tile       a strip is 8 rows of a column, or 4 where SHORT; a lane computes 2, or 4, 8 apart in the list of all images' strips
//            of its phase, by 16 channels, or 32 where WIDE
// Shared     none; needs subgroups of at least 8 lanes
// Order      each output is summed by one lane over n in fours, kx, n within the four, ky: the same bits every run
//
// Columns of one phase have the same ix mod 2, hence the same kx: 1 in even columns, 0 and 2 in odd ones.

struct Params {
    rows: u32,       // R
    height: u32,     // OH
    width: u32,      // OW
    inner: u32,      // channels of x, in vec4
    outer: u32,      // channels of y
    out_height: u32, // H
    out_width: u32,  // W
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;       // (R, OH, OW, inner)
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;       // [3, 3, pad4(C), Cout]
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>; // (R, H, W, outer)

override WIDE: bool = false;
override SHORT: bool = false; // whether strips have 4 rows, for images that would leave half of 8 empty

const TURNED: bool = true;
const WIDTH: u32 = 8u; // lanes a workgroup: the first 8 of one subgroup

// Channel c, even rows: the first strip at 2c, the second at 2c + 1; where SHORT, the third beside the first and the fourth beside
// the second. Odd rows are 64 further.
var<private> sums: array<vec4<f32>, 128>;

struct Strip {
    r: u32,
    oy: u32, // of the first row of x
    ox: u32,
}

fn strips_down() -> u32 {
    return select((params.out_height + 7u) / 8u, (params.out_height + 3u) / 4u, SHORT);
}

fn strips(phase: u32) -> u32 {
    return params.rows * strips_down() * ((params.out_width + 1u - phase) / 2u);
}

// Strips past the last are computed again and not stored.
fn strip_of(index: u32, phase: u32) -> Strip {
    let i = min(index, strips(phase) - 1u);
    let across = (params.out_width + 1u - phase) / 2u;
    let down = strips_down();
    return Strip(i / across / down, i / across % down * select(4u, 2u, SHORT), i % across);
}

// One channel of x: what the even rows see under ky = 1 and the odd ones under 2, and what the odd ones see under 0.
struct Taps {
    own: vec4<f32>,
    below: vec4<f32>,
}

// 4 channels of x under 8 rows.
struct Four {
    x: Taps,
    y: Taps,
    z: Taps,
    w: Taps,
}

// The rows of x under a strip, as many as it has.
struct Column {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
    e: vec4<f32>,
}

// `shift` is 1 under kx = 0, else 0.
fn column_of(strip: Strip, shift: u32, k: u32) -> Column {
    let row = i32(strip.oy);
    let column = strip.ox + shift;
    let line = i32(params.width * params.inner);
    let place = (i32(strip.r * params.height) + row) * line + i32(column * params.inner + k);
    let end = select(0u, params.height, column < params.width);
    var s = Column();
    s.a = load(place, row, end);
    s.b = load(place + line, row + 1, end);
    s.c = load(place + 2 * line, row + 2, end);
    if !SHORT {
        s.d = load(place + 3 * line, row + 3, end);
        s.e = load(place + 4 * line, row + 4, end);
    }
    return s;
}

// Of a strip, or, where SHORT, of two.
fn four_of(strip: Strip, beside: Strip, shift: u32, k: u32) -> Four {
    let s = column_of(strip, shift, k);
    if SHORT {
        let t = column_of(beside, shift, k);
        return Four(
            Taps(vec4(s.a.x, s.b.x, t.a.x, t.b.x), vec4(s.b.x, s.c.x, t.b.x, t.c.x)),
            Taps(vec4(s.a.y, s.b.y, t.a.y, t.b.y), vec4(s.b.y, s.c.y, t.b.y, t.c.y)),
            Taps(vec4(s.a.z, s.b.z, t.a.z, t.b.z), vec4(s.b.z, s.c.z, t.b.z, t.c.z)),
            Taps(vec4(s.a.w, s.b.w, t.a.w, t.b.w), vec4(s.b.w, s.c.w, t.b.w, t.c.w)),
        );
    }
    return Four(
        Taps(vec4(s.a.x, s.b.x, s.c.x, s.d.x), vec4(s.b.x, s.c.x, s.d.x, s.e.x)),
        Taps(vec4(s.a.y, s.b.y, s.c.y, s.d.y), vec4(s.b.y, s.c.y, s.d.y, s.e.y)),
        Taps(vec4(s.a.z, s.b.z, s.c.z, s.d.z), vec4(s.b.z, s.c.z, s.d.z, s.e.z)),
        Taps(vec4(s.a.w, s.b.w, s.c.w, s.d.w), vec4(s.b.w, s.c.w, s.d.w, s.e.w)),
    );
}

// What a lane's strips see.
struct Window {
    first: Four,
    second: Four,
}

struct Pair {
    first: vec4<f32>,
    second: vec4<f32>,
}

fn add_even(sum: Pair, a: Taps, b: Taps, middle: f32) -> Pair {
    return Pair(fma(a.own, vec4(middle), sum.first), fma(b.own, vec4(middle), sum.second));
}

fn add_odd(sum: Pair, a: Taps, b: Taps, top: f32, bottom: f32) -> Pair {
    var s = sum;
    s.first = fma(a.below, vec4(top), s.first);
    s.second = fma(b.below, vec4(top), s.second);
    s.first = fma(a.own, vec4(bottom), s.first);
    s.second = fma(b.own, vec4(bottom), s.second);
    return s;
}

// Adds 3 taps of 4 inner steps (x, y, z, w) to a channel.
fn add_output(n: u32, x: Window, top: vec4<f32>, middle: vec4<f32>, bottom: vec4<f32>) {
    var even = Pair(sums[2u * n], sums[2u * n + 1u]);
    even = add_even(even, x.first.x, x.second.x, middle.x);
    even = add_even(even, x.first.y, x.second.y, middle.y);
    even = add_even(even, x.first.z, x.second.z, middle.z);
    even = add_even(even, x.first.w, x.second.w, middle.w);
    sums[2u * n] = even.first;
    sums[2u * n + 1u] = even.second;
    var odd = Pair(sums[64u + 2u * n], sums[65u + 2u * n]);
    odd = add_odd(odd, x.first.x, x.second.x, top.x, bottom.x);
    odd = add_odd(odd, x.first.y, x.second.y, top.y, bottom.y);
    odd = add_odd(odd, x.first.z, x.second.z, top.z, bottom.z);
    odd = add_odd(odd, x.first.w, x.second.w, top.w, bottom.w);
    sums[64u + 2u * n] = odd.first;
    sums[65u + 2u * n] = odd.second;
}

// A row of a strip, whose sums are the parts `part` from `at` on.
fn store_row(strip: Strip, phase: u32, n: u32, row: u32, part: u32, at: u32) {
    let iy = strip.oy * 2u + row;
    if iy < params.out_height {
        let place = (strip.r * params.out_height + iy) * params.out_width + strip.ox * 2u + phase;
        store_pixel(place, n, outputs_of(part, at + row % 2u * 64u));
        if WIDE && (n + 4u) * 4u < params.outer {
            store_pixel(place, n + 4u, outputs_of(part, at + row % 2u * 64u + 32u));
        }
    }
}

fn store(index: u32, phase: u32, n: u32, at: u32) {
    if index < strips(phase) {
        let strip = strip_of(index, phase);
        store_row(strip, phase, n, 0u, 0u, at);
        store_row(strip, phase, n, 1u, 0u, at);
        store_row(strip, phase, n, 2u, 1u, at);
        store_row(strip, phase, n, 3u, 1u, at);
        if !SHORT {
            store_row(strip, phase, n, 4u, 2u, at);
            store_row(strip, phase, n, 5u, 2u, at);
            store_row(strip, phase, n, 6u, 3u, at);
            store_row(strip, phase, n, 7u, 3u, at);
        }
    }
}

// The strip beside another.
fn store_beside(index: u32, phase: u32, n: u32, at: u32) {
    if index < strips(phase) {
        let strip = strip_of(index, phase);
        store_row(strip, phase, n, 0u, 2u, at);
        store_row(strip, phase, n, 1u, 2u, at);
        store_row(strip, phase, n, 2u, 3u, at);
        store_row(strip, phase, n, 3u, 3u, at);
    }
}

@compute @workgroup_size(WIDTH)
fn conv2d_input_grad_strip(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let phase = group.x % 2u;
    let first = (group.y + group.z * groups.y) * select(16u, 32u, SHORT);
    if first >= strips(phase) {
        return;
    }
    let a = strip_of(first + lane, phase);
    let b = strip_of(first + 8u + lane, phase);
    let c = strip_of(first + 16u + lane, phase);
    let d = strip_of(first + 24u + lane, phase);
    let n = group.x / 2u * select(4u, 8u, WIDE);
    // A place that the compiler does not know: it keeps such an array in memory, and all is zero yet.
    sums[params.outer % 128u] = vec4(0.0);
    for (var k = 0u; k < params.inner; k++) {
        let w0 = weights_at(k, n, 0u, lane);
        let w1 = weights_at(k, n, 1u, lane);
        let w2 = weights_at(k, n + 4u, 0u, lane);
        let w3 = weights_at(k, n + 4u, 1u, lane);
        for (var kx = 1u - phase; kx < 3u; kx += 2u) {
            let shift = select(0u, 1u, kx == 0u);
            let window = Window(four_of(a, c, shift, k), four_of(b, d, shift, k));
            let column = vec3(kx, 3u + kx, 6u + kx);
            add_block(0u, w0, w1, column, window);
            if WIDE {
                add_block(16u, w2, w3, column, window);
            }
        }
    }
    store(first + lane, phase, n, 0u);
    store(first + 8u + lane, phase, n, 1u);
    if SHORT {
        store_beside(first + 16u + lane, phase, n, 0u);
        store_beside(first + 24u + lane, phase, n, 1u);
    }
}
