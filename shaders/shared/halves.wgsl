// What the two halves of a group of 8 lanes pass round in the weight gradients. Appended after a kernel that uses it, with panel.wgsl.

// 4 pixels by 16 output channels out of the lanes of a half, which hold 4 of the channels each.
fn panel_of_halves(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> Panel {
    return Panel(
        quadBroadcast(a, 0u), quadBroadcast(a, 1u), quadBroadcast(a, 2u), quadBroadcast(a, 3u),
        quadBroadcast(b, 0u), quadBroadcast(b, 1u), quadBroadcast(b, 2u), quadBroadcast(b, 3u),
        quadBroadcast(c, 0u), quadBroadcast(c, 1u), quadBroadcast(c, 2u), quadBroadcast(c, 3u),
        quadBroadcast(d, 0u), quadBroadcast(d, 1u), quadBroadcast(d, 2u), quadBroadcast(d, 3u),
    );
}
