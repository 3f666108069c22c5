// Batch normalisation with given statistics and the rectified linear unit after it, in one pass.
//
//   out[row, c] = max(weight[c] · (x[row, c] - mean[c]) / sqrt(variance[c] + eps) + bias[c], 0)
//
// Shapes     x (rows, C), stats (2, C), affine (2, C) -> out (rows, C); C padded, handled as vec4
//            (weight and bias are zero in the pads, so out is; eps keeps the root's inverse finite there)
// Dispatch   (tiles / SETS, slabs, 1): a lane keeps its column's constants for every row it handles
// Shared     none
// Order      no reduction
// Paper      Ioffe and Szegedy, "Batch normalization", 2015, algorithm 1

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
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>; // (rows, C)

override WIDTH: u32 = 64u; // lanes a group; a power of two
override LOADS: u32 = 1u;  // rows that a lane loads before it uses the first: 1 or 4
override SETS: u32 = 1u;   // tiles of columns a lane takes side by side (shared/whole_rows.wgsl)

// A column's constants.
struct Map {
    mean: vec4<f32>,
    scale: vec4<f32>,
    bias: vec4<f32>,
}

fn map_of(column: u32) -> Map {
    let scale = affine[params.quads + column] / sqrt(stats[params.quads + column] + params.eps);
    return Map(stats[column], scale, affine[column]);
}

// x normalised, where that is above 0. Not max(): it may turn NaN into 0 and hide that the weights have diverged.
fn passed(x: vec4<f32>, map: Map) -> vec4<f32> {
    let value = fma(x - map.mean, map.scale, map.bias);
    return select(value, vec4(0.0), value <= vec4(0.0));
}

fn put(i: u32, map: Map) {
    out[i] = passed(x[i], map);
}

@compute @workgroup_size(WIDTH)
fn batch_norm_relu(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let column = group.x * params.tile * SETS + lane % params.tile;
    if column >= params.quads {
        return;
    }
    let lanes = WIDTH / params.tile;
    // The last rows first: what follows begins with the first ones, which a cache holds then.
    let first = ((params.rows - 1u) / params.slab - group.y) * params.slab;
    let end = min(first + params.slab, params.rows);
    if SETS > 1u {
        whole_rows(column, first, end);
        return;
    }
    let map = map_of(column);
    var row = first + lane / params.tile;
    if LOADS == 4u {
        let hop = lanes * params.quads;
        for (; row + 3u * lanes < end; row += 4u * lanes) {
            let i = row * params.quads + column;
            let a = x[i];
            let b = x[i + hop];
            let c = x[i + 2u * hop];
            let d = x[i + 3u * hop];
            out[i] = passed(a, map);
            out[i + hop] = passed(b, map);
            out[i + 2u * hop] = passed(c, map);
            out[i + 3u * hop] = passed(d, map);
        }
    }
    for (; row < end; row += lanes) {
        put(row * params.quads + column, map);
    }
}
