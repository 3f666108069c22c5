// The derivative of training-mode batch normalisation in its input, which is its own transpose.
//
//   out = weight · r · (u - mean(u) - x̂ · mean(u x̂)),   x̂ = (x - mean) r,   r = 1 / sqrt(variance + eps)
//   mean(u) = sums[0] / rows,   mean(u x̂) = sums[1] / rows
//
// Shapes     x, u (rows, C), stats, sums, affine (2, C) -> out (rows, C); C padded, handled as vec4
// Dispatch   (tiles / SETS, slabs, 1): a lane keeps its column's constants for every row it handles
// Shared     none
// Order      no reduction
// Paper      Ioffe and Szegedy, "Batch normalization", 2015, section 3: the gradient in x, collected

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
@group(0) @binding(3) var<storage, read> u: array<vec4<f32>>;         // (rows, C)
@group(0) @binding(4) var<storage, read> sums: array<vec4<f32>>;      // (2, C): sum u, sum u x̂
@group(0) @binding(5) var<storage, read> affine: array<vec4<f32>>;    // (2, C): bias, weight
@group(0) @binding(6) var<storage, read_write> out: array<vec4<f32>>; // (rows, C)

override WIDTH: u32 = 64u; // lanes a group; a power of two
override LOADS: u32 = 1u;  // rows that a lane loads before it uses the first: 1 or 4
override SETS: u32 = 1u;   // tiles of columns a lane takes side by side (shared/whole_rows.wgsl)

// A column's constants.
struct Map {
    mean: vec4<f32>,
    scale: vec4<f32>,
    level: vec4<f32>,
    slope: vec4<f32>,
}

fn map_of(column: u32) -> Map {
    let n = f32(params.rows);
    let mean = stats[column];
    let r = 1.0 / sqrt(stats[params.quads + column] + params.eps);
    let scale = affine[params.quads + column] * r;
    let level = sums[column] / n;
    let slope = r * sums[params.quads + column] / n;
    return Map(mean, scale, level, slope);
}

fn projected(x: vec4<f32>, u: vec4<f32>, map: Map) -> vec4<f32> {
    return map.scale * (u - map.level - (x - map.mean) * map.slope);
}

fn put(i: u32, map: Map) {
    out[i] = projected(x[i], u[i], map);
}

@compute @workgroup_size(WIDTH)
fn batch_norm_project(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let column = group.x * params.tile * SETS + lane % params.tile;
    if column >= params.quads {
        return;
    }
    let lanes = WIDTH / params.tile;
    let first = group.y * params.slab;
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
            let x_a = x[i];
            let u_a = u[i];
            let x_b = x[i + hop];
            let u_b = u[i + hop];
            let x_c = x[i + 2u * hop];
            let u_c = u[i + 2u * hop];
            let x_d = x[i + 3u * hop];
            let u_d = u[i + 3u * hop];
            out[i] = projected(x_a, u_a, map);
            out[i + hop] = projected(x_b, u_b, map);
            out[i + 2u * hop] = projected(x_c, u_c, map);
            out[i + 3u * hop] = projected(x_d, u_d, map);
        }
    }
    for (; row < end; row += lanes) {
        put(row * params.quads + column, map);
    }
}
