// The sums of 8 outputs of a lane, two fours, in an array (conv2d_strip.wgsl, conv2d_array.wgsl). Appended after a kernel that declares
// `sums` and CHANNELS, and with fours.wgsl.

// What a lane's outputs see.
struct Window {
    first: Four,
    second: Four,
}

struct Pair {
    first: vec4<f32>,
    second: vec4<f32>,
}

// The sums of an output + 3 taps of one inner step.
fn add_taps(sum: Pair, a: Taps, b: Taps, top: f32, middle: f32, bottom: f32) -> Pair {
    var s = sum;
    s.first = fma(a.a, vec4(top), s.first);
    s.second = fma(b.a, vec4(top), s.second);
    s.first = fma(a.b, vec4(middle), s.first);
    s.second = fma(b.b, vec4(middle), s.second);
    s.first = fma(a.c, vec4(bottom), s.first);
    s.second = fma(b.c, vec4(bottom), s.second);
    return s;
}

// Adds 3 taps of 4 inner steps (x, y, z, w) to an output.
fn add_output(n: u32, x: Window, top: vec4<f32>, middle: vec4<f32>, bottom: vec4<f32>) {
    var s = Pair(sums[2u * n], sums[2u * n + 1u]);
    s = add_taps(s, x.first.x, x.second.x, top.x, middle.x, bottom.x);
    if CHANNELS > 1u {
        s = add_taps(s, x.first.y, x.second.y, top.y, middle.y, bottom.y);
        s = add_taps(s, x.first.z, x.second.z, top.z, middle.z, bottom.z);
    }
    if CHANNELS > 3u {
        s = add_taps(s, x.first.w, x.second.w, top.w, middle.w, bottom.w);
    }
    sums[2u * n] = s.first;
    sums[2u * n + 1u] = s.second;
}
