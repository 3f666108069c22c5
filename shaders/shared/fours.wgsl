// 4 channels under 4 outputs as 3 taps see them. Appended after a kernel that uses them.

// One channel: a vector for each tap.
struct Taps {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
}

struct Four {
    x: Taps,
    y: Taps,
    z: Taps,
    w: Taps,
}
