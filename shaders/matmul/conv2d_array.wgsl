// Convolution of NHWC images with any kernel, stride and border, or its gradient by the input, as in conv2d_strip.wgsl (sums in an
// array), but each of a lane's pixels is loaded for each tap, so that they may be any.
//
//   y[r, oy, ox, n] = sum over ky, kx, c of x[r, oy·stride + ky − padding, ox·stride + kx − padding, c] · w[ky, kx, c, n], or,
//   where TURNED,     sum over ky, kx, c of x[r, (oy + padding − ky) / stride, (ox + padding − kx) / stride, c] · w[ky, kx, n, c]
//                     where both are whole
//
// Shapes     x (R, H, W, inner), w [kh, kw, pad4(C), Cout] -> y (R, OH, OW, outer); places outside x count as zero
// Dispatch   (blocks of 64 pixels · phases, blocks of 16 or 32 output channels, fold of x past 65535 groups); phases are neighbours, as
//            their work differs and a software adapter gives each core one half of the groups
// Tile       a lane computes 8 pixels, 8 apart, by 16 output channels, or 32 where WIDE, for which it loads no more of x
// Shared     none; needs subgroups of at least 8 lanes
// Order      each output is summed by one lane over ky, kx and c in fours, three of these at a time, in which it is c within the four,
//            then which of the three: the same bits every run

struct Params {
    rows: u32,       // R
    height: u32,     // H
    width: u32,      // W
    inner: u32,      // channels of x, in vec4
    outer: u32,      // channels of y
    out_height: u32, // OH
    out_width: u32,  // OW
    kernel_height: u32,
    kernel_width: u32,
    stride: u32,
    padding: u32,
    phases: u32, // of the pixels of y: 1, or, where TURNED, stride²
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;       // (R, H, W, inner)
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;       // [kh, kw, pad4(C), Cout]
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>; // (R, OH, OW, outer)

override TURNED: bool = false;
override WIDE: bool = false;
override CHANNELS: u32 = 4u; // 1 or 3 where x has as many channels: its pads are left alone

const WIDTH: u32 = 8u; // lanes a workgroup: the first 8 of one subgroup

// Output n: the first 4 pixels at 2n, the second at 2n + 1.
var<private> sums: array<vec4<f32>, 64>;

// The pixels of y that the group computes; `step` walks over their taps.
var<private> here: Phase;

fn tap_vectors() -> u32 {
    return params.inner;
}

fn taps_across() -> u32 {
    return here.taps.y;
}

fn counts(step: Step) -> bool {
    return step.y < here.taps.x && step.x < here.taps.y;
}

fn pixels(phase: Phase) -> u32 {
    return params.rows * phase.size.x * phase.size.y;
}

// Image, row and column of a pixel among those of the phase; past the last, that one's.
fn pixel_of(index: u32) -> vec3<u32> {
    let i = min(index, pixels(here) - 1u);
    return vec3(i / here.size.y / here.size.x, i / here.size.y % here.size.x, i % here.size.y);
}

// What the first tap sees of x: its pixel, row and column.
fn corner(index: u32) -> vec3<i32> {
    let p = pixel_of(index);
    let place = here.place + vec2<i32>(p.yz * select(params.stride, 1u, TURNED));
    return vec3((i32(p.x * params.height) + place.x) * i32(params.width) + place.y, place);
}

// 4 channels under a tap; there are none past the last tap.
fn seen(corner: vec3<i32>, step: Step) -> vec4<f32> {
    let tap = vec3(i32(step.y * params.width + step.x), i32(step.y), i32(step.x));
    let at = select(corner + tap, corner - tap, TURNED);
    let met = u32(at.z) < params.width && counts(step);
    return load(at.x * i32(params.inner) + i32(step.c), at.y, select(0u, params.height, met));
}

// 4 pixels.
struct Corners {
    a: vec3<i32>,
    b: vec3<i32>,
    c: vec3<i32>,
    d: vec3<i32>,
}

fn corners(first: u32) -> Corners {
    return Corners(corner(first), corner(first + 8u), corner(first + 16u), corner(first + 24u));
}

struct Steps {
    a: Step,
    b: Step,
    c: Step,
}

fn four_of(at: Corners, steps: Steps) -> Four {
    let a0 = seen(at.a, steps.a);
    let b0 = seen(at.b, steps.a);
    let c0 = seen(at.c, steps.a);
    let d0 = seen(at.d, steps.a);
    let a1 = seen(at.a, steps.b);
    let b1 = seen(at.b, steps.b);
    let c1 = seen(at.c, steps.b);
    let d1 = seen(at.d, steps.b);
    let a2 = seen(at.a, steps.c);
    let b2 = seen(at.b, steps.c);
    let c2 = seen(at.c, steps.c);
    let d2 = seen(at.d, steps.c);
    return Four(
        Taps(vec4(a0.x, b0.x, c0.x, d0.x), vec4(a1.x, b1.x, c1.x, d1.x), vec4(a2.x, b2.x, c2.x, d2.x)),
        Taps(vec4(a0.y, b0.y, c0.y, d0.y), vec4(a1.y, b1.y, c1.y, d1.y), vec4(a2.y, b2.y, c2.y, d2.y)),
        Taps(vec4(a0.z, b0.z, c0.z, d0.z), vec4(a1.z, b1.z, c1.z, d1.z), vec4(a2.z, b2.z, c2.z, d2.z)),
        Taps(vec4(a0.w, b0.w, c0.w, d0.w), vec4(a1.w, b1.w, c1.w, d1.w), vec4(a2.w, b2.w, c2.w, d2.w)),
    );
}

// Where a step's weights lie, from those of tap (0, 0) and the first channels; past the last tap, any.
fn weights_of(step: Step) -> u32 {
    let k = here.first_tap + vec2(step.y, step.x) * select(1u, params.stride, TURNED);
    let channels = step.c * select(4u * ((params.outer + 3u) / 4u), 1u, TURNED);
    return select(0u, (k.x * params.kernel_width + k.y) * tap() + channels, counts(step));
}

fn store(index: u32, n: u32, row: u32, at: u32) {
    if index < pixels(here) {
        let p = pixel_of(index);
        let i = here.start + p.yz * select(1u, params.stride, TURNED);
        let place = (p.x * params.out_height + i.x) * params.out_width + i.y;
        store_outputs(place, n, row, at);
    }
}

@compute @workgroup_size(WIDTH)
fn conv2d_array(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let index = group.x + group.z * groups.x;
    let size = vec2(params.out_height, params.out_width);
    // Forward all pixels meet all taps.
    var phase = Phase(vec2(0u), size, vec2(0u), vec2(params.kernel_height, params.kernel_width), vec2(-i32(params.padding)));
    if TURNED {
        phase = phase_of(index % params.phases, size);
    }
    here = phase;
    let block = index / params.phases * 64u;
    if block >= pixels(phase) {
        return;
    }
    let first = block + lane;
    let upper = corners(first);
    let lower = corners(first + 32u);
    let n = group.y * select(4u, 8u, WIDE);
    let w0 = weights_at(0u, n, 0u, lane);
    let w1 = weights_at(0u, n, 1u, lane);
    let w2 = weights_at(0u, n + 4u, 0u, lane);
    let w3 = weights_at(0u, n + 4u, 1u, lane);
    // A place that the compiler does not know: it keeps such an array in memory, and all is zero yet.
    sums[params.outer % 64u] = vec4(0.0);
    var step = first_step(0u);
    for (var k = 0u; k < phase.taps.x * phase.taps.y * params.inner; k += 3u) {
        let steps = Steps(step, next_step(step, 1u), next_step(step, 2u));
        let window = Window(four_of(upper, steps), four_of(lower, steps));
        let places = vec3(weights_of(steps.a), weights_of(steps.b), weights_of(steps.c));
        add_block(0u, w0, w1, places, window);
        if WIDE {
            add_block(16u, w2, w3, places, window);
        }
        step = next_step(step, 3u);
    }
    store(first, n, 0u, 0u);
    store(first + 8u, n, 1u, 0u);
    store(first + 16u, n, 2u, 0u);
    store(first + 24u, n, 3u, 0u);
    store(first + 32u, n, 0u, 1u);
    store(first + 40u, n, 1u, 1u);
    store(first + 48u, n, 2u, 1u);
    store(first + 56u, n, 3u, 1u);
}
