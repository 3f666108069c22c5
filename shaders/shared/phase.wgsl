// The phases of a gradient by the input: pixels of the image that meet the same taps, every stride-th row and column. Appended after a
// kernel whose parameters have stride, padding, kernel_height and kernel_width.

struct Phase {
    start: vec2<u32>,     // first row, first column
    size: vec2<u32>,      // rows, columns
    first_tap: vec2<u32>, // the first ky, kx that meet these pixels; the others follow a stride apart
    taps: vec2<u32>,      // how many there are in each direction
    place: vec2<i32>,     // oy, ox of the first pixel under the first tap
}

// Of an image of `size` rows and columns.
fn phase_of(index: u32, size: vec2<u32>) -> Phase {
    let start = vec2(index / params.stride, index % params.stride);
    let first_tap = (start + params.padding) % params.stride;
    let kernel = vec2(params.kernel_height, params.kernel_width);
    return Phase(
        start,
        (max(size, start) - start + params.stride - 1u) / params.stride,
        first_tap,
        (max(kernel, first_tap) - first_tap + params.stride - 1u) / params.stride,
        vec2<i32>((start + params.padding - first_tap) / params.stride),
    );
}
