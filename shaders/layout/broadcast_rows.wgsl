// One row repeated, times a factor: the transpose of sum_rows.
//
//   out[z, row, c] = factor · b[z, c]
//
// Shapes     b (Z, C) -> out (Z, rows, C); C padded, handled as vec4
// Dispatch   (tiles / SETS, slabs, Z): a lane keeps its column's value for every row it handles (no division an element)
// Shared     none
// Order      no reduction

struct Params {
    rows: u32,  // rows of one z
    quads: u32, // vec4 a row
    tile: u32,  // columns of vec4 a group, a power of two, at most WIDTH
    slab: u32,  // rows a group
    factor: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;         // (Z, C)
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // (Z, rows, C)

override WIDTH: u32 = 64u; // lanes a group; a power of two
override SETS: u32 = 1u;   // tiles of columns a lane takes side by side (shared/whole_rows.wgsl)

var<private> image: u32;

// A column's constants.
struct Map {
    value: vec4<f32>,
}

fn map_of(column: u32) -> Map {
    return Map(params.factor * b[image * params.quads + column]);
}

fn put(i: u32, map: Map) {
    out[i] = map.value;
}

@compute @workgroup_size(WIDTH)
fn broadcast_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let column = group.x * params.tile * SETS + lane % params.tile;
    if column >= params.quads {
        return;
    }
    image = group.z;
    let before = image * params.rows;
    let first = before + group.y * params.slab;
    let end = min(first + params.slab, before + params.rows);
    if SETS > 1u {
        whole_rows(column, first, end);
        return;
    }
    let lanes = WIDTH / params.tile;
    let map = map_of(column);
    for (var row = first + lane / params.tile; row < end; row += lanes) {
        put(row * params.quads + column, map);
    }
}
