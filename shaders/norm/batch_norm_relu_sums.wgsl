// Per-channel sums of a gradient u behind batch normalisation and a rectified linear unit: of what passes the unit,
// plain and against the normalised values. One slab of rows a group; the slabs' sums are added by sum_rows.
//
//   m[row, c] = u[row, c] where weight[c] · x̂[row, c] + bias[c] > 0, else 0;   x̂ = (x - mean) r,  r = 1 / sqrt(variance + eps)
//   out[g, 0, c] = sum m[row, c],   out[g, 1, c] = sum m[row, c] x̂[row, c]
//
// Shapes     x, u (rows, C), stats, affine (2, C) -> out (G, 2, C); C padded, handled as vec4 (pads stay zero)
// Dispatch   (tiles / SETS, G, 1): group (t, g) takes rows g·slab .. min((g+1)·slab, rows) of the t-th SETS tiles of columns
// Shared     2 · WIDTH vec4
// Order      each lane its own rows in rising order, with LOADS of 4 in fours, each added up first, and what is left in 2 interleaved
//            sums, then a tree over row lanes; with SETS above 1 all rows in rising order: fixed
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
override SETS: u32 = 1u;   // tiles of columns a lane takes side by side (shared/whole_rows.wgsl)

var<workgroup> first_sum: array<vec4<f32>, WIDTH>;
var<workgroup> second_sum: array<vec4<f32>, WIDTH>;

struct Sums {
    plain: vec4<f32>,
    against: vec4<f32>,
}

// A column's constants.
struct Map {
    mean: vec4<f32>,
    scale: vec4<f32>,
    bias: vec4<f32>,
    r: vec4<f32>,
}

fn map_of(column: u32) -> Map {
    let root = sqrt(stats[params.quads + column] + params.eps);
    // Scale and bias as in the forward pass, so that the same values pass.
    return Map(stats[column], affine[params.quads + column] / root, affine[column], 1.0 / root);
}

// The gradient of a value that is `off` the mean.
fn passed(u: vec4<f32>, off: vec4<f32>, map: Map) -> vec4<f32> {
    return select(vec4(0.0), u, fma(off, map.scale, map.bias) > vec4(0.0));
}

fn add(i: u32, map: Map, sums: Sums) -> Sums {
    let off = x[i] - map.mean;
    let value = passed(u[i], off, map);
    return Sums(sums.plain + value, fma(value, off, sums.against));
}

fn store(slab: u32, column: u32, map: Map, sums: Sums) {
    out[2u * slab * params.quads + column] = sums.plain;
    out[(2u * slab + 1u) * params.quads + column] = map.r * sums.against;
}

@compute @workgroup_size(WIDTH)
fn batch_norm_relu_sums(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let column = group.x * params.tile * SETS + lane % params.tile;
    let lanes = WIDTH / params.tile;
    let first = group.y * params.slab;
    let end = min(first + params.slab, params.rows);
    if SETS > 1u {
        whole_sums(group.y, column, first, end);
        return;
    }
    let inside = column < params.quads;
    var plain_a = vec4(0.0);
    var plain_b = vec4(0.0);
    var against_a = vec4(0.0);
    var against_b = vec4(0.0);
    var map = Map();
    if inside {
        map = map_of(column);
        var row = first + lane / params.tile;
        if LOADS == 4u {
            let hop = lanes * params.quads;
            for (; row + 3u * lanes < end; row += 4u * lanes) {
                let i = row * params.quads + column;
                let u_a = u[i];
                let u_b = u[i + hop];
                let u_c = u[i + 2u * hop];
                let u_d = u[i + 3u * hop];
                let off_a = x[i] - map.mean;
                let off_b = x[i + hop] - map.mean;
                let off_c = x[i + 2u * hop] - map.mean;
                let off_d = x[i + 3u * hop] - map.mean;
                let a = passed(u_a, off_a, map);
                let b = passed(u_b, off_b, map);
                let c = passed(u_c, off_c, map);
                let d = passed(u_d, off_d, map);
                plain_a += (a + b) + (c + d);
                against_a += fma(a, off_a, b * off_b) + fma(c, off_c, d * off_d);
            }
        }
        for (; row + lanes < end; row += 2u * lanes) {
            let i = row * params.quads + column;
            let j = i + lanes * params.quads;
            let off_a = x[i] - map.mean;
            let off_b = x[j] - map.mean;
            let a = passed(u[i], off_a, map);
            let b = passed(u[j], off_b, map);
            plain_a += a;
            plain_b += b;
            against_a = fma(a, off_a, against_a);
            against_b = fma(b, off_b, against_b);
        }
        if row < end {
            let i = row * params.quads + column;
            let off = x[i] - map.mean;
            let a = passed(u[i], off, map);
            plain_a += a;
            against_a = fma(a, off, against_a);
        }
    }
    first_sum[lane] = plain_a + plain_b;
    second_sum[lane] = against_a + against_b;
    fold_columns(lane, params.tile);
    if lane < params.tile && inside {
        store(group.y, column, map, Sums(first_sum[lane], second_sum[lane]));
    }
}
