// The factors of a convolution's gradient by its input as a matrix product: rows are the input pixels of a phase, the
// inner dimension is the taps that meet them and their outputs, columns are input channels. Appended after a kernel with
// conv2d_input_grad.wgsl's parameters and bindings, patch.wgsl, taps.wgsl, phase.wgsl; the kernel sets `here` first.

// As they lie in memory (gpu/elements.rs).
alias dy_element = vec4<f32>;
alias w_element = vec4<f32>;
alias RowVector = dy_element;
alias ColumnVector = w_element;

const ROWS_ALONG_K = true;
const COLUMNS_ALONG_K = true;
// Places outside the image count as zero.
const ROWS_INSIDE = false;

var<private> here: Phase;

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

// Steps of the inner dimension.
fn steps(phase: Phase) -> u32 {
    return 4u * phase.taps.x * phase.taps.y * params.outputs;
}

// The output pixel under the first tap, and its oy, ox.
fn corner(pixel: u32) -> vec3<i32> {
    let p = min(pixel, pixels(here) - 1u);
    let i = vec2((p / here.size.y) % here.size.x, p % here.size.y);
    let r = p / (here.size.x * here.size.y);
    let place = here.place + vec2<i32>(i);
    return vec3(i32(r * params.out_height * params.out_width) + place.x * i32(params.out_width) + place.y, place);
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
    return (step.y < here.taps.x) & (step.x < here.taps.y);
}

// Whether a tap leads to an output pixel; not past the last tap.
fn in_image(corner: vec3<i32>, step: Step) -> bool {
    // What is negative is large.
    let met = (u32(corner.y - i32(step.y)) < params.out_height) & (u32(corner.z - i32(step.x)) < params.out_width);
    return met & counts(step);
}

fn load_rows(place: RowPlace, step: Step) -> RowPatch {
    let tap = i32(step.y * params.out_width + step.x);
    let pixels = vec4(place.p0.x, place.p1.x, place.p2.x, place.p3.x) - tap;
    let inside = vec4(in_image(place.p0, step), in_image(place.p1, step), in_image(place.p2, step), in_image(place.p3, step));
    let at = select(vec4(0u), vec4<u32>(pixels) * params.outputs + step.c, inside);
    return RowPatch(dy_element(dy[at.x]), dy_element(dy[at.y]), dy_element(dy[at.z]), dy_element(dy[at.w]), bits(inside));
}

// 4 input channels, a multiple of 4.
struct ColumnPlace {
    c: u32,
}

// Columns past the last are computed again and not stored.
fn column_place(c: u32) -> ColumnPlace {
    return ColumnPlace(min(c, (params.channels + 3u) / 4u * 4u - 4u));
}

fn load_columns(place: ColumnPlace, step: Step) -> ColumnPatch {
    let k = here.first_tap + vec2(step.y, step.x) * params.stride;
    let row = (k.x * params.kernel_width + k.y) * ((params.channels + 3u) / 4u * 4u) + place.c;
    let at = select(0u, row * params.outputs + step.c, counts(step));
    return ColumnPatch(
        w_element(w[at]),
        w_element(w[at + params.outputs]),
        w_element(w[at + 2u * params.outputs]),
        w_element(w[at + 3u * params.outputs]),
        select(0u, 15u, counts(step)),
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
