// One channel under 4 neighbouring outputs as the three taps of a row or column of the kernel see it. Appended after a kernel
// that declares STRIDE (conv2d_strip.wgsl, conv2d_weight_grad_array.wgsl), and with fours.wgsl.

// From the 6 places under 4 outputs, or the 9 at stride 2.
fn taps_of(p0: f32, p1: f32, p2: f32, p3: f32, p4: f32, p5: f32, p6: f32, p7: f32, p8: f32) -> Taps {
    if STRIDE == 2u {
        return Taps(vec4(p0, p2, p4, p6), vec4(p1, p3, p5, p7), vec4(p2, p4, p6, p8));
    }
    return Taps(vec4(p0, p1, p2, p3), vec4(p1, p2, p3, p4), vec4(p2, p3, p4, p5));
}

// From the 4 places, or 5, under each of two pairs of outputs.
fn taps_of_two(p0: f32, p1: f32, p2: f32, p3: f32, p4: f32, q0: f32, q1: f32, q2: f32, q3: f32, q4: f32) -> Taps {
    if STRIDE == 2u {
        return Taps(vec4(p0, p2, q0, q2), vec4(p1, p3, q1, q3), vec4(p2, p4, q2, q4));
    }
    return Taps(vec4(p0, p1, q0, q1), vec4(p1, p2, q1, q2), vec4(p2, p3, q2, q3));
}
