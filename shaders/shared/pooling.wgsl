// Along one axis: the pixels of a pooling window, and the windows that hold pixels. Appended, with walk.wgsl, after a kernel that declares
// `params` with `kernel`, `stride` and `padding`; declares nothing but functions.

// Pixels, of `size`, of window p: the first and one past the last. There is one, as padding is at most half a window.
fn pixels_of(p: u32, size: u32) -> vec2<u32> {
    let first = max(p * params.stride, params.padding) - params.padding;
    return vec2(first, min(p * params.stride + params.kernel - params.padding, size));
}

// Windows, of `count`, that hold one of the pixels `first` to `last`, both already shifted by the padding: the first and one past the last.
fn windows_of(first: u32, last: u32, count: u32) -> vec2<u32> {
    let before = quotient(max(first + params.stride, params.kernel) - params.kernel, params.stride);
    return vec2(before, min(quotient(last, params.stride) + 1u, count));
}
