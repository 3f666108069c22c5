// What the gradients by the input without tiles share: the pixels of a phase, loads of dy and stores. Appended after a kernel with
// conv2d_input_grad.wgsl's parameters and bindings, phase.wgsl, panel.wgsl.

// Image offset in output pixels, and oy, ox under the first tap.
fn corner(phase: Phase, pixel: u32) -> vec3<i32> {
    let p = min(pixel, params.rows * phase.size.x * phase.size.y - 1u);
    let i = vec2((p / phase.size.y) % phase.size.x, p % phase.size.y);
    let r = p / (phase.size.x * phase.size.y);
    return vec3(i32(r * params.out_height * params.out_width), phase.place + vec2<i32>(i));
}

// Index into dy of the first outputs under the j-th tap in each direction, or -1 outside.
fn tap(corner: vec3<i32>, j: vec2<u32>) -> i32 {
    let oy = corner.y - i32(j.x);
    let ox = corner.z - i32(j.y);
    let inside = oy >= 0 && oy < i32(params.out_height) && ox >= 0 && ox < i32(params.out_width);
    return select(-1, (corner.x + oy * i32(params.out_width) + ox) * i32(params.outputs), inside);
}

// 4 outputs of a pixel; zero outside.
fn pixel(tap: i32, n: u32) -> vec4<f32> {
    return dy[u32(max(tap, 0)) + n] * select(0.0, 1.0, tap >= 0);
}

// Channels past C are pads and stay zero.
fn masked(value: vec4<f32>, c: u32) -> vec4<f32> {
    return select(vec4(0.0), value, vec4(c) + vec4(0u, 1u, 2u, 3u) < vec4(params.channels));
}

fn store(phase: Phase, pixel: u32, c: u32, sums: Sums) {
    if pixel >= params.rows * phase.size.x * phase.size.y {
        return;
    }
    let i = vec2((pixel / phase.size.y) % phase.size.x, pixel % phase.size.y) * params.stride + phase.start;
    let r = pixel / (phase.size.x * phase.size.y);
    let at = (((r * params.height + i.x) * params.width + i.y) * ((params.channels + 3u) / 4u)) + c / 4u;
    dx[at] = masked(sums.a, c);
    if c + 4u < params.channels { dx[at + 1u] = masked(sums.b, c + 4u); }
    if c + 8u < params.channels { dx[at + 2u] = masked(sums.c, c + 8u); }
    if c + 12u < params.channels { dx[at + 3u] = masked(sums.d, c + 12u); }
}
