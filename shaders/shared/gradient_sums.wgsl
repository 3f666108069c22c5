// Column sums of a gradient, plain and against values less their mean: the body of batch_norm_sums and batch_norm_residual_sums.
// Appended with columns.wgsl and whole_sums.wgsl after a kernel that declares the parameters of batch_norm_sums, `override WIDTH,
// LOADS, SETS`, `var<workgroup> first_sum, second_sum`, the bindings `x`, `stats` and `out`, `fn gradient(i: u32) -> vec4<f32>`, and
// `fn keep(i: u32, value: vec4<f32>)` for what becomes of it besides.

struct Sums {
    plain: vec4<f32>,
    against: vec4<f32>,
}

// Over rows start, start + lanes, ... before end, in rising order; fours are added up first, since a sum for each row of them would
// take registers that loads need. Not by `add`: loads of all rows of a turn
// stand before what is stored (docs/rejected.md).
fn add_rows(start: u32, end: u32, column: u32, mean: vec4<f32>) -> Sums {
    let lanes = WIDTH / params.tile;
    let hop = lanes * params.quads;
    var plain_a = vec4(0.0);
    var plain_b = vec4(0.0);
    var against_a = vec4(0.0);
    var against_b = vec4(0.0);
    var row = start;
    if LOADS == 4u {
        for (; row + 3u * lanes < end; row += 4u * lanes) {
            let i = row * params.quads + column;
            let u_a = gradient(i);
            let u_b = gradient(i + hop);
            let u_c = gradient(i + 2u * hop);
            let u_d = gradient(i + 3u * hop);
            let x_a = x[i];
            let x_b = x[i + hop];
            let x_c = x[i + 2u * hop];
            let x_d = x[i + 3u * hop];
            plain_a += (u_a + u_b) + (u_c + u_d);
            against_a += fma(u_a, x_a - mean, u_b * (x_b - mean)) + fma(u_c, x_c - mean, u_d * (x_d - mean));
            keep(i, u_a);
            keep(i + hop, u_b);
            keep(i + 2u * hop, u_c);
            keep(i + 3u * hop, u_d);
        }
    }
    for (; row + lanes < end; row += 2u * lanes) {
        let i = row * params.quads + column;
        let u_a = gradient(i);
        let u_b = gradient(i + hop);
        plain_a += u_a;
        plain_b += u_b;
        against_a = fma(u_a, x[i] - mean, against_a);
        against_b = fma(u_b, x[i + hop] - mean, against_b);
        keep(i, u_a);
        keep(i + hop, u_b);
    }
    if row < end {
        let i = row * params.quads + column;
        let u_a = gradient(i);
        plain_a += u_a;
        against_a = fma(u_a, x[i] - mean, against_a);
        keep(i, u_a);
    }
    return Sums(plain_a + plain_b, against_a + against_b);
}

// A column's constants.
struct Map {
    mean: vec4<f32>,
}

fn map_of(column: u32) -> Map {
    return Map(params.centre * stats[column]);
}

fn add(i: u32, map: Map, sums: Sums) -> Sums {
    let value = gradient(i);
    keep(i, value);
    return Sums(sums.plain + value, fma(value, x[i] - map.mean, sums.against));
}

fn store(slab: u32, column: u32, map: Map, sums: Sums) {
    var r = vec4(1.0);
    if params.scaled == 1u {
        r = 1.0 / sqrt(stats[params.quads + column] + params.eps);
    }
    out[2u * slab * params.quads + column] = params.factor0 * sums.plain;
    out[(2u * slab + 1u) * params.quads + column] = params.factor1 * r * sums.against;
}

fn gradient_sums(group: vec3<u32>, lane: u32) {
    let column = group.x * params.tile * SETS + lane % params.tile;
    let first = group.y * params.slab;
    let end = min(first + params.slab, params.rows);
    if SETS > 1u {
        whole_sums(group.y, column, first, end);
        return;
    }
    let inside = column < params.quads;
    var map = Map(vec4(0.0));
    var sums = Sums(vec4(0.0), vec4(0.0));
    if inside {
        map = map_of(column);
        sums = add_rows(first + lane / params.tile, end, column, map.mean);
    }
    first_sum[lane] = sums.plain;
    second_sum[lane] = sums.against;
    fold_columns(lane, params.tile);
    if lane < params.tile && inside {
        store(group.y, column, map, Sums(first_sum[lane], second_sum[lane]));
    }
}
