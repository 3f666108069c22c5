// Per-channel sums of a gradient u behind batch normalisation and a rectified linear unit: of what passes the unit,
// plain and against the normalised values. One slab of rows a group; the slabs' sums are added by sum_rows.
//
//   m[row, c] = u[row, c] where weight[c] · x̂[row, c] + bias[c] > 0, else 0;   x̂ = (x - mean) r,  r = 1 / sqrt(variance + eps)
//   out[g, 0, c] = sum m[row, c],   out[g, 1, c] = sum m[row, c] x̂[row, c]
//
// Shapes     x, u (rows, C), stats, affine (2, C) -> out (G, 2, C); C padded, handled as vec4 (pads stay zero)
// Dispatch   (tiles, G, 1): group (t, g) takes rows g·slab .. min((g+1)·slab, rows) of the t-th tile of columns
// Shared     2 · WIDTH vec4
// Order      each lane its own rows in rising order in LOADS interleaved sums, then a tree over row lanes: fixed
// Paper      Ioffe and Szegedy, "Batch normalization", 2015, section 3: dβ and dγ

struct Params {
    rows: u32,  // rows of x
    quads: u32, // vec4 a row
    tile: u32,  // columns of vec4 a group, a power of two, at most WIDTH
    slab: u32,  // rows a group
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;         // (rows, C)
@group(0) @binding(2) var<storage, read> stats: array<vec4<f32>>;     // (2, C): mean, variance
@group(0) @binding(3) var<storage, read> affine: array<vec4<f32>>;    // (2, C): bias, weight
@group(0) @binding(4) var<storage, read> u: array<vec4<f32>>;         // (rows, C)
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>; // (G, 2, C)

override WIDTH: u32 = 64u; // lanes a group; a power of two
override LOADS: u32 = 2u;  // rows that a lane loads before it uses the first: 2 or 4

var<workgroup> first_sum: array<vec4<f32>, WIDTH>;
var<workgroup> second_sum: array<vec4<f32>, WIDTH>;

@compute @workgroup_size(WIDTH)
fn batch_norm_relu_sums(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let column = group.x * params.tile + lane % params.tile;
    let lanes = WIDTH / params.tile;
    let first = group.y * params.slab;
    let end = min(first + params.slab, params.rows);
    let inside = column < params.quads;
    var plain_a = vec4(0.0);
    var plain_b = vec4(0.0);
    var plain_c = vec4(0.0);
    var plain_d = vec4(0.0);
    var against_a = vec4(0.0);
    var against_b = vec4(0.0);
    var against_c = vec4(0.0);
    var against_d = vec4(0.0);
    var r = vec4(0.0);
    if inside {
        let mean = stats[column];
        let root = sqrt(stats[params.quads + column] + params.eps);
        r = 1.0 / root;
        // Written as in the forward pass, so that the same values pass.
        let scale = affine[params.quads + column] / root;
        let bias = affine[column];
        var row = first + lane / params.tile;
        if LOADS == 4u {
            let hop = lanes * params.quads;
            for (; row + 3u * lanes < end; row += 4u * lanes) {
                let i = row * params.quads + column;
                let u_a = u[i];
                let u_b = u[i + hop];
                let u_c = u[i + 2u * hop];
                let u_d = u[i + 3u * hop];
                let off_a = x[i] - mean;
                let off_b = x[i + hop] - mean;
                let off_c = x[i + 2u * hop] - mean;
                let off_d = x[i + 3u * hop] - mean;
                let a = select(vec4(0.0), u_a, fma(off_a, scale, bias) > vec4(0.0));
                let b = select(vec4(0.0), u_b, fma(off_b, scale, bias) > vec4(0.0));
                let c = select(vec4(0.0), u_c, fma(off_c, scale, bias) > vec4(0.0));
                let d = select(vec4(0.0), u_d, fma(off_d, scale, bias) > vec4(0.0));
                plain_a += a;
                plain_b += b;
                plain_c += c;
                plain_d += d;
                against_a = fma(a, off_a, against_a);
                against_b = fma(b, off_b, against_b);
                against_c = fma(c, off_c, against_c);
                against_d = fma(d, off_d, against_d);
            }
        }
        for (; row + lanes < end; row += 2u * lanes) {
            let i = row * params.quads + column;
            let j = i + lanes * params.quads;
            let off_a = x[i] - mean;
            let off_b = x[j] - mean;
            let a = select(vec4(0.0), u[i], fma(off_a, scale, bias) > vec4(0.0));
            let b = select(vec4(0.0), u[j], fma(off_b, scale, bias) > vec4(0.0));
            plain_a += a;
            plain_b += b;
            against_a = fma(a, off_a, against_a);
            against_b = fma(b, off_b, against_b);
        }
        if row < end {
            let i = row * params.quads + column;
            let off = x[i] - mean;
            let a = select(vec4(0.0), u[i], fma(off, scale, bias) > vec4(0.0));
            plain_a += a;
            against_a = fma(a, off, against_a);
        }
    }
    first_sum[lane] = (plain_a + plain_b) + (plain_c + plain_d);
    second_sum[lane] = (against_a + against_b) + (against_c + against_d);
    fold_columns(lane, params.tile);
    if lane < params.tile && inside {
        out[2u * group.y * params.quads + column] = first_sum[lane];
        out[(2u * group.y + 1u) * params.quads + column] = r * second_sum[lane];
    }
}
