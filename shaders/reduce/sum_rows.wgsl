// Sum over rows, times a factor: of a whole tensor (two dispatches: slabs, then their sums) or of each image.
//
//   out[z, g, c] = factor · sum over the rows of the g-th slab of x[z, row, c]
//
// Shapes     x (Z, rows, C) -> out (Z, G, C); C padded, handled as vec4 (pads are zero and stay zero)
// Dispatch   (tiles / SETS, G, Z): group (t, g, z) takes rows g·slab .. min((g+1)·slab, rows) of the t-th SETS tiles of columns
// Shared     WIDTH vec4
// Order      each lane adds its own rows in rising order in four interleaved sums, then a tree over row lanes; with SETS above 1
//            all rows in rising order: fixed

struct Params {
    rows: u32,   // rows of one z
    quads: u32,  // vec4 a row
    tile: u32,   // columns of vec4 a group, a power of two, at most WIDTH
    slab: u32,   // rows a group
    factor: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;         // (Z, rows, C)
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // (Z, G, C)

override WIDTH: u32 = 64u; // lanes a group; a power of two
override SETS: u32 = 1u;   // tiles of columns a lane takes side by side (shared/whole_rows.wgsl)

var<workgroup> partial: array<vec4<f32>, WIDTH>;

struct Sums {
    plain: vec4<f32>,
}

// A column's constants.
struct Map {
    factor: f32,
}

fn map_of(column: u32) -> Map {
    return Map(params.factor);
}

fn add(i: u32, map: Map, sums: Sums) -> Sums {
    return Sums(sums.plain + x[i]);
}

fn store(slab: u32, column: u32, map: Map, sums: Sums) {
    out[slab * params.quads + column] = sums.plain * map.factor;
}

@compute @workgroup_size(WIDTH)
fn sum_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let column = group.x * params.tile * SETS + lane % params.tile;
    let lanes = WIDTH / params.tile;
    let first = group.y * params.slab;
    let end = min(first + params.slab, params.rows);
    let slab = group.z * groups.y + group.y;
    if SETS > 1u {
        let before = group.z * params.rows;
        whole_sums(slab, column, before + first, before + end);
        return;
    }
    var a = vec4(0.0);
    var b = vec4(0.0);
    var c = vec4(0.0);
    var d = vec4(0.0);
    if column < params.quads {
        let base = group.z * params.rows * params.quads + column;
        let hop = lanes * params.quads;
        var row = first + lane / params.tile;
        for (; row + 3u * lanes < end; row += 4u * lanes) {
            let i = base + row * params.quads;
            a += x[i];
            b += x[i + hop];
            c += x[i + 2u * hop];
            d += x[i + 3u * hop];
        }
        for (; row < end; row += lanes) {
            a += x[base + row * params.quads];
        }
    }
    partial[lane] = (a + b) + (c + d);
    for (var half = WIDTH / 2u; half >= params.tile && half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            partial[lane] += partial[lane + half];
        }
    }
    if lane < params.tile && column < params.quads {
        store(slab, column, map_of(column), Sums(partial[lane]));
    }
}
