// The factors of a convolution as a matrix product: rows are output pixels, the inner dimension is taps and channels,
// columns are output channels. Appended after a kernel with conv2d.wgsl's parameters and bindings, patch.wgsl, taps.wgsl.

// As they lie in memory (gpu/elements.rs).
alias x_element = vec4<f32>;
alias w_element = vec4<f32>;
alias RowVector = x_element;
alias ColumnVector = w_element;

const ROWS_ALONG_K = true;
const COLUMNS_ALONG_K = false;
// Places outside the image count as zero.
const ROWS_INSIDE = false;

fn tap_vectors() -> u32 {
    return params.channels;
}

fn taps_across() -> u32 {
    return params.kernel_width;
}

// Steps of the inner dimension.
fn steps() -> u32 {
    return 4u * params.kernel_height * params.kernel_width * params.channels;
}

// The first input place under the kernel: its pixel in x, row, column.
fn corner(pixel: u32) -> vec3<i32> {
    let p = min(pixel, params.rows * params.out_height * params.out_width - 1u);
    let ox = p % params.out_width;
    let oy = (p / params.out_width) % params.out_height;
    let r = p / (params.out_width * params.out_height);
    let place = vec2<i32>(vec2(oy, ox) * params.stride) - i32(params.padding);
    return vec3(i32(r * params.height * params.width) + place.x * i32(params.width) + place.y, place);
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

// Whether a tap lies inside the image; not past the last tap.
fn in_image(corner: vec3<i32>, step: Step) -> bool {
    // What is negative is large.
    let met = (u32(corner.y + i32(step.y)) < params.height) & (u32(corner.z + i32(step.x)) < params.width);
    return met & (step.y < params.kernel_height);
}

fn load_rows(place: RowPlace, step: Step) -> RowPatch {
    let tap = i32(step.y * params.width + step.x);
    let pixels = vec4(place.p0.x, place.p1.x, place.p2.x, place.p3.x) + tap;
    let inside = vec4(in_image(place.p0, step), in_image(place.p1, step), in_image(place.p2, step), in_image(place.p3, step));
    let at = select(vec4(0u), vec4<u32>(pixels) * params.channels + step.c, inside);
    return RowPatch(x_element(x[at.x]), x_element(x[at.y]), x_element(x[at.z]), x_element(x[at.w]), bits(inside));
}

// A vector of output channels.
struct ColumnPlace {
    n: u32,
}

// Columns past the last are computed again and not stored.
fn column_place(n: u32) -> ColumnPlace {
    return ColumnPlace(min(n / 4u, params.outputs - 1u));
}

fn load_columns(place: ColumnPlace, step: Step) -> ColumnPatch {
    let counts = step.y < params.kernel_height;
    let k = ((step.y * params.kernel_width + step.x) * params.channels + step.c) * 4u * params.outputs;
    let at = select(0u, k, counts) + place.n;
    return ColumnPatch(
        w_element(w[at]),
        w_element(w[at + params.outputs]),
        w_element(w[at + 2u * params.outputs]),
        w_element(w[at + 3u * params.outputs]),
        select(0u, 15u, counts),
    );
}

fn store(m: u32, n: u32, value: vec4<f32>) {
    if m < params.rows * params.out_height * params.out_width && n / 4u < params.outputs {
        y[m * params.outputs + n / 4u] = value;
    }
}
