// The factors of a convolution as a matrix product: rows are output pixels, the inner dimension is taps and channels,
// columns are output channels. Appended after a kernel with conv2d.wgsl's parameters and bindings, patch.wgsl, taps.wgsl.

fn tap_vectors() -> u32 {
    return params.channels;
}

fn taps_across() -> u32 {
    return params.kernel_width;
}

// Rounds of 16 steps.
fn rounds() -> u32 {
    return (params.kernel_height * params.kernel_width * params.channels + 3u) / 4u;
}

// The first input place under the kernel: image offset in pixels, row, column.
fn corner(pixel: u32) -> vec3<i32> {
    let p = min(pixel, params.rows * params.out_height * params.out_width - 1u);
    let ox = p % params.out_width;
    let oy = (p / params.out_width) % params.out_height;
    let r = p / (params.out_width * params.out_height);
    return vec3(i32(r * params.height * params.width), vec2<i32>(vec2(oy, ox) * params.stride) - i32(params.padding));
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

// 4 channels under a tap; zero outside the image and past the last tap.
fn under(corner: vec3<i32>, step: Step) -> vec4<f32> {
    let iy = corner.y + i32(step.y);
    let ix = corner.z + i32(step.x);
    let inside = iy >= 0 && iy < i32(params.height) && ix >= 0 && ix < i32(params.width) && step.y < params.kernel_height;
    let at = select(0u, u32(corner.x + iy * i32(params.width) + ix) * params.channels + step.c, inside);
    return kept(inside, x[at]);
}

fn load_rows(place: RowPlace, step: Step) -> Patch {
    return across(under(place.p0, step), under(place.p1, step), under(place.p2, step), under(place.p3, step));
}

// A vector of output channels.
struct ColumnPlace {
    n: u32,
}

// Columns past the last are computed again and not stored.
fn column_place(n: u32) -> ColumnPlace {
    return ColumnPlace(min(n / 4u, params.outputs - 1u));
}

fn load_columns(place: ColumnPlace, step: Step) -> Patch {
    let counts = step.y < params.kernel_height;
    let k = ((step.y * params.kernel_width + step.x) * params.channels + step.c) * 4u * params.outputs;
    let at = select(0u, k, counts) + place.n;
    return Patch(
        kept(counts, w[at]),
        kept(counts, w[at + params.outputs]),
        kept(counts, w[at + 2u * params.outputs]),
        kept(counts, w[at + 3u * params.outputs]),
    );
}

fn store(m: u32, n: u32, value: vec4<f32>) {
    if m < params.rows * params.out_height * params.out_width && n / 4u < params.outputs {
        y[m * params.outputs + n / 4u] = value;
    }
}
