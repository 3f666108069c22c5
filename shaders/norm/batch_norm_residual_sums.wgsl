// Where a residual branches off: the sum of two gradients where its rectified linear unit let values through, and the sums of
// batch normalisation over it in the same pass: one slab of rows a group; the slabs' sums are added by sum_rows. What
// relu_derivative_sum and then batch_norm_sums do.
//
//   u[i] = a[i] + b[i] where y[i] > 0, else 0
//   out[g, 0, c] = factor0 · sum u[row, c],   out[g, 1, c] = factor1 · r[c] · sum u[row, c] (x[row, c] - centre · mean[c])
//   r = 1 / sqrt(variance + eps) where scaled, else 1;  centre is 0 or 1
//
// Shapes     y, a, b, x, u (rows, C), stats (2, C) -> out (G, 2, C); C padded, handled as vec4 (pads stay zero)
// Dispatch   (tiles / SETS, G, 1): group (t, g) takes rows g·slab .. min((g+1)·slab, rows) of the t-th SETS tiles of columns
// Shared     2 · WIDTH vec4
// Order      each lane its own rows in rising order, with LOADS of 4 in fours, each added up first, and what is left in 2 interleaved
//            sums, then a tree over row lanes; with SETS above 1 all rows in rising order: fixed
// Paper      Ioffe and Szegedy, "Batch normalization", 2015, section 3: dβ and dγ; He et al., 2016: the residual

struct Params {
    rows: u32,    // rows of x
    quads: u32,   // vec4 a row
    tile: u32,    // columns of vec4 a group, a power of two, at most WIDTH
    slab: u32,    // rows a group
    scaled: u32,  // 1: r from the variance, 0: r = 1
    centre: f32,  // 1 or 0
    eps: f32,
    factor0: f32,
    factor1: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<vec4<f32>>;         // (rows, C): the unit's output
@group(0) @binding(2) var<storage, read> a: array<vec4<f32>>;         // (rows, C)
@group(0) @binding(3) var<storage, read> b: array<vec4<f32>>;         // (rows, C)
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>;         // (rows, C): what is normalised
@group(0) @binding(5) var<storage, read> stats: array<vec4<f32>>;     // (2, C): mean, variance
@group(0) @binding(6) var<storage, read_write> u: array<vec4<f32>>;   // (rows, C)
@group(0) @binding(7) var<storage, read_write> out: array<vec4<f32>>; // (G, 2, C)

override WIDTH: u32 = 64u; // lanes a group; a power of two
override LOADS: u32 = 2u;  // rows that a lane loads before it uses the first: 2 or 4
override SETS: u32 = 1u;   // tiles of columns a lane takes side by side (shared/whole_rows.wgsl)

var<workgroup> first_sum: array<vec4<f32>, WIDTH>;
var<workgroup> second_sum: array<vec4<f32>, WIDTH>;

fn gradient(i: u32) -> vec4<f32> {
    return select(vec4(0.0), a[i] + b[i], y[i] > vec4(0.0));
}

fn keep(i: u32, value: vec4<f32>) {
    u[i] = value;
}

@compute @workgroup_size(WIDTH)
fn batch_norm_residual_sums(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    gradient_sums(group, lane);
}
