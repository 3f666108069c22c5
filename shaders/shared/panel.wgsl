// Register tiles of the matrix products: named vectors, because drivers neither unroll naga's loops nor keep indexed
// arrays in registers. Appended after a kernel that uses them.

// 16 neighbouring outputs of one row.
struct Sums {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

// 4 steps of the inner dimension (x, y, z, w) by 16 outputs (a, b, c, d).
struct Panel {
    xa: vec4<f32>, xb: vec4<f32>, xc: vec4<f32>, xd: vec4<f32>,
    ya: vec4<f32>, yb: vec4<f32>, yc: vec4<f32>, yd: vec4<f32>,
    za: vec4<f32>, zb: vec4<f32>, zc: vec4<f32>, zd: vec4<f32>,
    wa: vec4<f32>, wb: vec4<f32>, wc: vec4<f32>, wd: vec4<f32>,
}

// sums + row · panel, in rising order of the inner dimension; few sums at a time, so that they stay in registers.
fn multiply_add(sums: Sums, row: vec4<f32>, panel: Panel) -> Sums {
    var s = sums;
    s.a = fma(vec4(row.x), panel.xa, s.a);
    s.a = fma(vec4(row.y), panel.ya, s.a);
    s.a = fma(vec4(row.z), panel.za, s.a);
    s.a = fma(vec4(row.w), panel.wa, s.a);
    s.b = fma(vec4(row.x), panel.xb, s.b);
    s.b = fma(vec4(row.y), panel.yb, s.b);
    s.b = fma(vec4(row.z), panel.zb, s.b);
    s.b = fma(vec4(row.w), panel.wb, s.b);
    s.c = fma(vec4(row.x), panel.xc, s.c);
    s.c = fma(vec4(row.y), panel.yc, s.c);
    s.c = fma(vec4(row.z), panel.zc, s.c);
    s.c = fma(vec4(row.w), panel.wc, s.c);
    s.d = fma(vec4(row.x), panel.xd, s.d);
    s.d = fma(vec4(row.y), panel.yd, s.d);
    s.d = fma(vec4(row.z), panel.zd, s.d);
    s.d = fma(vec4(row.w), panel.wd, s.d);
    return s;
}

// The panel whose column i holds 4 steps of the inner dimension for output i: a transpose in registers.
fn panel_of_columns(
    c0: vec4<f32>, c1: vec4<f32>, c2: vec4<f32>, c3: vec4<f32>,
    c4: vec4<f32>, c5: vec4<f32>, c6: vec4<f32>, c7: vec4<f32>,
    c8: vec4<f32>, c9: vec4<f32>, c10: vec4<f32>, c11: vec4<f32>,
    c12: vec4<f32>, c13: vec4<f32>, c14: vec4<f32>, c15: vec4<f32>,
) -> Panel {
    return Panel(
        vec4(c0.x, c1.x, c2.x, c3.x), vec4(c4.x, c5.x, c6.x, c7.x),
        vec4(c8.x, c9.x, c10.x, c11.x), vec4(c12.x, c13.x, c14.x, c15.x),
        vec4(c0.y, c1.y, c2.y, c3.y), vec4(c4.y, c5.y, c6.y, c7.y),
        vec4(c8.y, c9.y, c10.y, c11.y), vec4(c12.y, c13.y, c14.y, c15.y),
        vec4(c0.z, c1.z, c2.z, c3.z), vec4(c4.z, c5.z, c6.z, c7.z),
        vec4(c8.z, c9.z, c10.z, c11.z), vec4(c12.z, c13.z, c14.z, c15.z),
        vec4(c0.w, c1.w, c2.w, c3.w), vec4(c4.w, c5.w, c6.w, c7.w),
        vec4(c8.w, c9.w, c10.w, c11.w), vec4(c12.w, c13.w, c14.w, c15.w),
    );
}
