// A bias added to every row.
//
//   out[row, c] = x[row, c] + bias[c]
//
// Shapes     x (rows, C), bias (C) -> out (rows, C); C padded, handled as vec4 (pads are zero and stay zero)
// Dispatch   (tiles / SETS, slabs, 1): a lane keeps its column's bias for every row it handles (no division an element)
// Shared     none
// Order      no reduction

struct Params {
    rows: u32,  // rows of x
    quads: u32, // vec4 a row
    tile: u32,  // columns of vec4 a group, a power of two, at most WIDTH
    slab: u32,  // rows a group
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;         // (rows, C)
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;      // (C)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // (rows, C)

override WIDTH: u32 = 64u; // lanes a group; a power of two
override LOADS: u32 = 1u;  // rows that a lane loads before it uses the first: 1 or 4
override SETS: u32 = 1u;   // tiles of columns a lane takes side by side (shared/whole_rows.wgsl)

// A column's constants.
struct Map {
    bias: vec4<f32>,
}

fn map_of(column: u32) -> Map {
    return Map(bias[column]);
}

fn put(i: u32, map: Map) {
    out[i] = x[i] + map.bias;
}

@compute @workgroup_size(WIDTH)
fn add_bias(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
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
            let a = x[i];
            let b = x[i + hop];
            let c = x[i + 2u * hop];
            let d = x[i + 3u * hop];
            out[i] = a + map.bias;
            out[i + hop] = b + map.bias;
            out[i + 2u * hop] = c + map.bias;
            out[i + 3u * hop] = d + map.bias;
        }
    }
    for (; row < end; row += lanes) {
        put(row * params.quads + column, map);
    }
}
