// What the convolutions with their sums in an array share (conv2d_array.wgsl, conv2d_strip.wgsl): loads of
// pixels, products of a block of outputs, and what is stored. Appended after a kernel with their bindings, WIDE, `sums`, `Window` and
// `add_output`, and with panel.wgsl and conv.wgsl.

// 4 channels of a pixel, from a place in x; zero in rows past `end`, and in row -1, which wraps round.
fn load(place: i32, row: i32, end: u32) -> vec4<f32> {
    let inside = u32(row) < end;
    return select(vec4(0.0), x[select(0u, u32(place), inside)], inside);
}

// 4 outputs; t, m, l are three taps, x to w the inner steps.
fn add_outputs(
    n: u32, x: Window,
    tx: vec4<f32>, ty: vec4<f32>, tz: vec4<f32>, tw: vec4<f32>,
    mx: vec4<f32>, my: vec4<f32>, mz: vec4<f32>, mw: vec4<f32>,
    lx: vec4<f32>, ly: vec4<f32>, lz: vec4<f32>, lw: vec4<f32>,
) {
    add_output(n, x, vec4(tx.x, ty.x, tz.x, tw.x), vec4(mx.x, my.x, mz.x, mw.x), vec4(lx.x, ly.x, lz.x, lw.x));
    add_output(n + 1u, x, vec4(tx.y, ty.y, tz.y, tw.y), vec4(mx.y, my.y, mz.y, mw.y), vec4(lx.y, ly.y, lz.y, lw.y));
    add_output(n + 2u, x, vec4(tx.z, ty.z, tz.z, tw.z), vec4(mx.z, my.z, mz.z, mw.z), vec4(lx.z, ly.z, lz.z, lw.z));
    add_output(n + 3u, x, vec4(tx.w, ty.w, tz.w, tw.w), vec4(mx.w, my.w, mz.w, mw.w), vec4(lx.w, ly.w, lz.w, lw.w));
}

// Vectors of the weights of one tap.
fn tap() -> u32 {
    return params.inner * 4u * ((params.outer + 3u) / 4u);
}

// 16 outputs, whose weights lie from `first` and `second` on; `places` are those of the three taps behind these.
fn add_block(n: u32, first: u32, second: u32, places: vec3<u32>, x: Window) {
    let t = panel_of(w[first + places.x], w[second + places.x]);
    let m = panel_of(w[first + places.y], w[second + places.y]);
    let l = panel_of(w[first + places.z], w[second + places.z]);
    add_outputs(n, x, t.xa, t.ya, t.za, t.wa, m.xa, m.ya, m.za, m.wa, l.xa, l.ya, l.za, l.wa);
    add_outputs(n + 4u, x, t.xb, t.yb, t.zb, t.wb, m.xb, m.yb, m.zb, m.wb, l.xb, l.yb, l.zb, l.wb);
    add_outputs(n + 8u, x, t.xc, t.yc, t.zc, t.wc, m.xc, m.yc, m.zc, m.wc, l.xc, l.yc, l.zc, l.wc);
    add_outputs(n + 12u, x, t.xd, t.yd, t.zd, t.wd, m.xd, m.yd, m.zd, m.wd, l.xd, l.yd, l.zd, l.wd);
}

// 16 outputs of a row out of four, from the place of the first; literal places, so that nothing is looked up.
fn outputs_of(row: u32, at: u32) -> Sums {
    return Sums(
        vec4(sums[at][row], sums[2u + at][row], sums[4u + at][row], sums[6u + at][row]),
        vec4(sums[8u + at][row], sums[10u + at][row], sums[12u + at][row], sums[14u + at][row]),
        vec4(sums[16u + at][row], sums[18u + at][row], sums[20u + at][row], sums[22u + at][row]),
        vec4(sums[24u + at][row], sums[26u + at][row], sums[28u + at][row], sums[30u + at][row]),
    );
}

// What a lane has of a pixel, by its place among all: 16 outputs, or 32 where WIDE.
fn store_outputs(place: u32, n: u32, row: u32, at: u32) {
    store_pixel(place, n, outputs_of(row, at));
    if WIDE && (n + 4u) * 4u < params.outer {
        store_pixel(place, n + 4u, outputs_of(row, at + 32u));
    }
}
