// What the convolutions by Winograd's products or with their sums in an array share: loads of pixels and weights, and stores.
// Appended after a kernel with conv2d_winograd.wgsl's bindings and TURNED, and with panel.wgsl.

// 4 channels of a pixel; zero outside the image. `image` is the index into x of the image's first vector.
fn pixel(image: i32, iy: i32, ix: i32, c: u32) -> vec4<f32> {
    let inside = iy >= 0 && iy < i32(params.height) && ix >= 0 && ix < i32(params.width);
    let at = image + (iy * i32(params.width) + ix) * i32(params.inner);
    return x[u32(select(0, at, inside)) + c] * select(0.0, 1.0, inside);
}

// Index into w of tap (0, 0) for a lane: the lanes hold 2 inner steps by 4 vectors of 4 outputs, or, where TURNED,
// 4 inner steps of 8 outputs. What lies past the last output is computed again and not stored.
fn weights_at(c: u32, n: u32, half: u32, lane: u32) -> u32 {
    if TURNED {
        return min(n * 4u + half * 8u + lane, (params.outer + 3u) / 4u * 4u - 1u) * params.inner + c;
    }
    let outputs = (params.outer + 3u) / 4u;
    return (c * 4u + half * 2u + lane / 4u) * outputs + min(n + lane % 4u, outputs - 1u);
}

// 4 inner steps by 16 outputs out of the lanes' vectors.
fn panel_of(first: vec4<f32>, second: vec4<f32>) -> Panel {
    let f0 = subgroupBroadcast(first, 0u);
    let f1 = subgroupBroadcast(first, 1u);
    let f2 = subgroupBroadcast(first, 2u);
    let f3 = subgroupBroadcast(first, 3u);
    let f4 = subgroupBroadcast(first, 4u);
    let f5 = subgroupBroadcast(first, 5u);
    let f6 = subgroupBroadcast(first, 6u);
    let f7 = subgroupBroadcast(first, 7u);
    let s0 = subgroupBroadcast(second, 0u);
    let s1 = subgroupBroadcast(second, 1u);
    let s2 = subgroupBroadcast(second, 2u);
    let s3 = subgroupBroadcast(second, 3u);
    let s4 = subgroupBroadcast(second, 4u);
    let s5 = subgroupBroadcast(second, 5u);
    let s6 = subgroupBroadcast(second, 6u);
    let s7 = subgroupBroadcast(second, 7u);
    if TURNED {
        return panel_of_columns(f0, f1, f2, f3, f4, f5, f6, f7, s0, s1, s2, s3, s4, s5, s6, s7);
    }
    return Panel(f0, f1, f2, f3, f4, f5, f6, f7, s0, s1, s2, s3, s4, s5, s6, s7);
}

// Channels past the last are pads and stay zero.
fn masked(value: vec4<f32>, n: u32) -> vec4<f32> {
    return select(vec4(0.0), value, vec4(n) + vec4(0u, 1u, 2u, 3u) < vec4(params.outer));
}

// 16 outputs of a pixel, by its place among all.
fn store_pixel(place: u32, n: u32, sums: Sums) {
    let outputs = (params.outer + 3u) / 4u;
    let at = place * outputs + n;
    y[at] = masked(sums.a, n * 4u);
    if n + 1u < outputs { y[at + 1u] = masked(sums.b, n * 4u + 4u); }
    if n + 2u < outputs { y[at + 2u] = masked(sums.c, n * 4u + 8u); }
    if n + 3u < outputs { y[at + 3u] = masked(sums.d, n * 4u + 12u); }
}
