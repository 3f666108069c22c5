// The factors of a convolution's gradient by its input as a matrix product: rows are the input pixels of a phase, the
// inner dimension is the taps that meet them and their outputs, columns are input channels. Appended after a kernel with
// conv2d_input_grad.wgsl's parameters and bindings, patch.wgsl, taps.wgsl; the kernel sets `here` first.

// The pixels of a phase: every stride-th row and column from `start` on. They have the same taps.
struct Phase {
    start: vec2<u32>,     // first row, first column
    size: vec2<u32>,      // rows, columns
    first_tap: vec2<u32>, // the first ky, kx that meet these pixels; the others follow a stride apart
    taps: vec2<u32>,      // how many there are in each direction
    place: vec2<i32>,     // oy, ox of the first pixel under the first tap
}

var<private> here: Phase;

fn phase_of(index: u32) -> Phase {
    let start = vec2(index / params.stride, index % params.stride);
    let size = (max(vec2(params.height, params.width), start) - start + params.stride - 1u) / params.stride;
    let first_tap = (start + params.padding) % params.stride;
    let kernel = vec2(params.kernel_height, params.kernel_width);
    let taps = (max(kernel, first_tap) - first_tap + params.stride - 1u) / params.stride;
    return Phase(start, size, first_tap, taps, vec2<i32>((start + params.padding - first_tap) / params.stride));
}

fn pixels(phase: Phase) -> u32 {
    return params.rows * phase.size.x * phase.size.y;
}

fn tap_vectors() -> u32 {
    return params.outputs;
}

// At least one: a phase without taps has no round, but steps all the same.
fn taps_across() -> u32 {
    return max(here.taps.y, 1u);
}

// Rounds of 16 steps.
fn rounds(phase: Phase) -> u32 {
    return (phase.taps.x * phase.taps.y * params.outputs + 3u) / 4u;
}

// Image offset in output pixels, and oy, ox under the first tap.
fn corner(pixel: u32) -> vec3<i32> {
    let p = min(pixel, pixels(here) - 1u);
    let i = vec2((p / here.size.y) % here.size.x, p % here.size.y);
    let r = p / (here.size.x * here.size.y);
    return vec3(i32(r * params.out_height * params.out_width), here.place + vec2<i32>(i));
}

// The corners of 4 pixels.
struct RowPlace {
    p0: vec3<i32>,
    p1: vec3<i32>,
    p2: vec3<i32>,
    p3: vec3<i32>,
}

fn row_place(m: u32) -> RowPlace {
    return RowPlace(corner(m), corner(m + 1u), corner(m + 2u), corner(m + 3u));
}

fn counts(step: Step) -> bool {
    return step.y < here.taps.x && step.x < here.taps.y;
}

// 4 outputs that a tap leads to; zero outside and past the last tap.
fn under(corner: vec3<i32>, step: Step) -> vec4<f32> {
    let oy = corner.y - i32(step.y);
    let ox = corner.z - i32(step.x);
    let inside = oy >= 0 && oy < i32(params.out_height) && ox >= 0 && ox < i32(params.out_width) && counts(step);
    let at = select(0u, u32(corner.x + oy * i32(params.out_width) + ox) * params.outputs + step.c, inside);
    return kept(inside, dy[at]);
}

fn load_rows(place: RowPlace, step: Step) -> Patch {
    return across(under(place.p0, step), under(place.p1, step), under(place.p2, step), under(place.p3, step));
}

// 4 input channels, a multiple of 4.
struct ColumnPlace {
    c: u32,
}

// Columns past the last are computed again and not stored.
fn column_place(c: u32) -> ColumnPlace {
    return ColumnPlace(min(c, (params.channels + 3u) / 4u * 4u - 4u));
}

fn load_columns(place: ColumnPlace, step: Step) -> Patch {
    let k = here.first_tap + vec2(step.y, step.x) * params.stride;
    let row = (k.x * params.kernel_width + k.y) * ((params.channels + 3u) / 4u * 4u) + place.c;
    let at = select(0u, row * params.outputs + step.c, counts(step));
    return across(
        kept(counts(step), w[at]),
        kept(counts(step), w[at + params.outputs]),
        kept(counts(step), w[at + 2u * params.outputs]),
        kept(counts(step), w[at + 3u * params.outputs]),
    );
}

// Channels past C are pads and stay zero.
fn store(m: u32, c: u32, value: vec4<f32>) {
    if m >= pixels(here) || c >= params.channels {
        return;
    }
    let i = vec2((m / here.size.y) % here.size.x, m % here.size.y) * params.stride + here.start;
    let r = m / (here.size.x * here.size.y);
    let at = ((r * params.height + i.x) * params.width + i.y) * ((params.channels + 3u) / 4u) + c / 4u;
    dx[at] = select(vec4(0.0), value, vec4(c) + vec4(0u, 1u, 2u, 3u) < vec4(params.channels));
}
