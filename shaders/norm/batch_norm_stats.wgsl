// Mean and biased variance of each channel. Two dispatches: slabs of rows, then their merge. One slab alone: one dispatch.
//
//   mode 0   partial[g] = (mean, M2) of the g-th slab; with d = x - k, k the slab's first row, or the mean of four:
//            mean = k + sum d / n,  M2 = sum d² - (sum d)² / n       (k is within a few deviations of the mean, so
//            nothing cancels however large |mean| / deviation is)
//   mode 1   mean = sum n[g] mean[g] / rows,  variance = sum (M2[g] + n[g] (mean[g] - mean)²) / rows
//   mode 2   out = (mean, M2 / n) of the only slab
//
// Shapes     x (rows, C) -> partial (G, 2, C) -> out (2, C): row 0 mean, row 1 variance; C padded, handled as vec4
// Dispatch   mode 0 and 2: (tiles / SETS, G, 1), group (t, g) takes rows g·slab .. min((g+1)·slab, rows); mode 1: (tiles, 1, 1)
// Shared     2 · WIDTH vec4
// Order      each lane its own rows in rising order, with LOADS of 4 in fours, each added up first, and what is left in 2 interleaved
//            sums, then a tree over row lanes; with SETS above 1 all rows in rising order: fixed
// Paper      Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979

struct Params {
    rows: u32,  // rows of x
    quads: u32, // vec4 a row
    tile: u32,  // columns of vec4 a group, a power of two, at most WIDTH
    slab: u32,  // rows a slab
    slabs: u32, // G
    mode: u32,  // 0 slabs, 1 merge, 2 one slab alone
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;         // (rows, C); mode 1: (G, 2, C)
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // (G, 2, C); mode 1: (2, C)

override WIDTH: u32 = 64u; // lanes a group; a power of two
override LOADS: u32 = 2u;  // rows that a lane loads before it uses the first: 2 or 4
override SETS: u32 = 1u;   // tiles of columns a lane takes side by side (shared/whole_rows.wgsl)

var<workgroup> first_sum: array<vec4<f32>, WIDTH>;
var<workgroup> second_sum: array<vec4<f32>, WIDTH>;

fn slab_size(g: u32) -> f32 {
    return f32(min(params.slab, params.rows - g * params.slab));
}

// A slab as a lane of `merge_held` keeps it; past the last one of no size.
struct Slab {
    size: f32,
    mean: vec4<f32>,
    squares: vec4<f32>,
}

fn slab_at(g: u32, column: u32) -> Slab {
    let held = min(g, params.slabs - 1u);
    let at = 2u * held * params.quads + column;
    return Slab(select(0.0, slab_size(held), g < params.slabs), x[at], x[at + params.quads]);
}

fn squares_about(slab: Slab, mean: vec4<f32>) -> vec4<f32> {
    let off = slab.mean - mean;
    return select(vec4(0.0), fma(slab.size * off, off, slab.squares), slab.size > 0.0);
}

struct Sums {
    plain: vec4<f32>,
    squares: vec4<f32>,
}

// A column's constants: about what its squares are taken.
struct Map {
    k: vec4<f32>,
}

var<private> first_row: u32; // of this group's slab
var<private> end_row: u32;

fn map_of(column: u32) -> Map {
    let i = first_row * params.quads + column;
    if WIDTH < 256u {
        // Squares about one row may be several times those about the mean, and err as much more in long sums: four rows are
        // closer to it.
        let hop = (end_row - first_row) / 4u * params.quads;
        return Map(0.25 * ((x[i] + x[i + hop]) + (x[i + 2u * hop] + x[i + 3u * hop])));
    }
    return Map(x[i]);
}

fn add(i: u32, map: Map, sums: Sums) -> Sums {
    let off = x[i] - map.k;
    return Sums(sums.plain + off, fma(off, off, sums.squares));
}

fn store(slab: u32, column: u32, map: Map, sums: Sums) {
    let n = f32(end_row - first_row);
    let shift = sums.plain / n;
    let squares = max(sums.squares - sums.plain * shift, vec4(0.0));
    out[2u * slab * params.quads + column] = map.k + shift;
    out[(2u * slab + 1u) * params.quads + column] = squares / select(1.0, n, params.mode == 2u);
}

fn reduce_slab(g: u32, column: u32, lane: u32) {
    let lanes = WIDTH / params.tile;
    first_row = g * params.slab;
    end_row = min(first_row + params.slab, params.rows);
    if SETS > 1u {
        whole_sums(g, column, first_row, end_row);
        return;
    }
    let end = end_row;
    let inside = column < params.quads;
    var map = Map(vec4(0.0));
    var sum_a = vec4(0.0);
    var sum_b = vec4(0.0);
    var square_a = vec4(0.0);
    var square_b = vec4(0.0);
    if inside {
        map = map_of(column);
        let k = map.k;
        var row = first_row + lane / params.tile;
        if LOADS == 4u {
            let hop = lanes * params.quads;
            for (; row + 3u * lanes < end; row += 4u * lanes) {
                let i = row * params.quads + column;
                let a = x[i] - k;
                let b = x[i + hop] - k;
                let c = x[i + 2u * hop] - k;
                let d = x[i + 3u * hop] - k;
                sum_a += (a + b) + (c + d);
                square_a += fma(a, a, b * b) + fma(c, c, d * d);
            }
        }
        for (; row + lanes < end; row += 2u * lanes) {
            let a = x[row * params.quads + column] - k;
            let b = x[(row + lanes) * params.quads + column] - k;
            sum_a += a;
            sum_b += b;
            square_a = fma(a, a, square_a);
            square_b = fma(b, b, square_b);
        }
        if row < end {
            let a = x[row * params.quads + column] - k;
            sum_a += a;
            square_a = fma(a, a, square_a);
        }
    }
    first_sum[lane] = sum_a + sum_b;
    second_sum[lane] = square_a + square_b;
    fold_columns(lane, params.tile);
    if lane < params.tile && inside {
        store(g, column, map, Sums(first_sum[lane], second_sum[lane]));
    }
}

fn merge_slabs(column: u32, lane: u32) {
    let lanes = WIDTH / params.tile;
    let start = lane / params.tile;
    let inside = column < params.quads;
    var k = vec4(0.0);
    var total = vec4(0.0);
    if inside {
        k = x[column];
        for (var g = start; g < params.slabs; g += lanes) {
            total += slab_size(g) * (x[2u * g * params.quads + column] - k);
        }
    }
    first_sum[lane] = total;
    second_sum[lane] = vec4(0.0);
    fold_columns(lane, params.tile);
    let mean = k + first_sum[lane % params.tile] / f32(params.rows);
    workgroupBarrier(); // every lane has read the total before the next sums overwrite it
    total = vec4(0.0);
    if inside {
        for (var g = start; g < params.slabs; g += lanes) {
            let off = x[2u * g * params.quads + column] - mean;
            total += fma(slab_size(g) * off, off, x[(2u * g + 1u) * params.quads + column]);
        }
    }
    second_sum[lane] = total;
    fold_columns(lane, params.tile);
    if lane < params.tile && inside {
        out[column] = mean;
        out[params.quads + column] = second_sum[lane] / f32(params.rows);
    }
}

// The same with all slabs of a lane loaded before the first is used: 512 slabs are 4 for each of 256 / 2 lanes.
fn merge_held(column: u32, lane: u32) {
    let lanes = WIDTH / params.tile;
    let start = lane / params.tile;
    let inner = min(column, params.quads - 1u);
    let k = x[inner];
    let a = slab_at(start, inner);
    let b = slab_at(start + lanes, inner);
    let c = slab_at(start + 2u * lanes, inner);
    let d = slab_at(start + 3u * lanes, inner);
    first_sum[lane] = (a.size * (a.mean - k) + b.size * (b.mean - k)) + (c.size * (c.mean - k) + d.size * (d.mean - k));
    second_sum[lane] = vec4(0.0);
    fold_columns(lane, params.tile);
    let mean = k + first_sum[lane % params.tile] / f32(params.rows);
    workgroupBarrier(); // every lane has read the total before the next sums overwrite it
    second_sum[lane] = (squares_about(a, mean) + squares_about(b, mean)) + (squares_about(c, mean) + squares_about(d, mean));
    fold_columns(lane, params.tile);
    if lane < params.tile && column < params.quads {
        out[column] = mean;
        out[params.quads + column] = second_sum[lane] / f32(params.rows);
    }
}

@compute @workgroup_size(WIDTH)
fn batch_norm_stats(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let column = group.x * params.tile * SETS + lane % params.tile;
    if params.mode != 1u {
        reduce_slab(group.y, column, lane);
    } else if LOADS == 4u {
        merge_held(column, lane);
    } else {
        merge_slabs(column, lane);
    }
}
