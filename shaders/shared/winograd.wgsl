// Tiles of Winograd's F(2 x 2, 3 x 3) and F(3 x 3, 2 x 2), which have the same transform of their input (conv2d_winograd_array.wgsl,
// conv2d_weight_grad_winograd.wgsl). Appended after a kernel that uses them.

// 4 positions of a row or column of 4.
struct Line {
    a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>,
}

// All 16 positions of a tile, row by row.
struct Positions {
    a: Line, b: Line, c: Line, d: Line,
}

// Bᵀ times 4 values.
fn input_of(d0: vec4<f32>, d1: vec4<f32>, d2: vec4<f32>, d3: vec4<f32>) -> Line {
    return Line(d0 - d2, d1 + d2, d2 - d1, d1 - d3);
}

// The same across the 4 columns of a tile, each transformed already.
fn tile_of(a: Line, b: Line, c: Line, d: Line) -> Positions {
    return Positions(
        input_of(a.a, b.a, c.a, d.a), input_of(a.b, b.b, c.b, d.b), input_of(a.c, b.c, c.c, d.c), input_of(a.d, b.d, c.d, d.d),
    );
}
