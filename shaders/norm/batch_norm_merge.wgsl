// Mean and biased variance of each channel from those of parts of the batch, and running statistics moved towards them.
//
//   mean = c + sum n[g] (mean[g] - c) / N,  variance = sum (squares[g] + n[g] (mean[g] - c)²) / N - (mean - c)²,  N = sum n[g],
//   c = mean[0]: however large the mean is, what cancels is at most N / n[0] times the variance
//   running[0] = keep · running[0] + momentum · mean
//   running[1] = keep · running[1] + momentum · unbias · variance        unbias = N / (N - 1), 1 where N = 1
//
// Shapes     partial (G, 3, C): mean, squares about it, n -> stats (2, C), running (2, C); C padded, handled as vec4
// Dispatch   (tiles, 1, 1): group (t, 0) takes the t-th tile of columns
// Shared     2 · WIDTH vec4
// Order      each lane its own parts in rising order, then a tree over lanes: fixed
// Paper      Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979

struct Params {
    parts: u32,    // G
    quads: u32,    // vec4 a row
    tile: u32,     // columns of vec4 a group, a power of two, at most WIDTH
    keep: f32,     // 1 - momentum
    momentum: f32,
    unbias: f32,
    values: f32,   // N
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<vec4<f32>>;       // (G, 3, C)
@group(0) @binding(2) var<storage, read_write> stats: array<vec4<f32>>;   // (2, C): mean, biased variance
@group(0) @binding(3) var<storage, read_write> running: array<vec4<f32>>; // (2, C): mean, unbiased variance

override WIDTH: u32 = 64u; // lanes a group; a power of two

var<workgroup> first_sum: array<vec4<f32>, WIDTH>;
var<workgroup> second_sum: array<vec4<f32>, WIDTH>;

struct Part {
    size: f32,
    mean: vec4<f32>,
    squares: vec4<f32>,
}

// A part; past the last one without values. Without a branch, so that a lane's loads are under way together.
fn part_at(g: u32, column: u32) -> Part {
    let inside = g < params.parts;
    let at = 3u * min(g, params.parts - 1u) * params.quads + column;
    let size = select(0.0, partial[at + 2u * params.quads].x, inside);
    return Part(size, partial[at], select(vec4(0.0), partial[at + params.quads], inside));
}

@compute @workgroup_size(WIDTH)
fn batch_norm_merge(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let lanes = WIDTH / params.tile;
    let start = lane / params.tile;
    let rounds = (params.parts + lanes - 1u) / lanes;
    let column = group.x * params.tile + lane % params.tile;
    let inner = min(column, params.quads - 1u);
    let centre = partial[inner];
    var total = vec4(0.0);
    var squares = vec4(0.0);
    for (var j = 0u; j < rounds; j++) {
        let part = part_at(start + j * lanes, inner);
        let off = part.mean - centre;
        total = fma(vec4(part.size), off, total);
        squares += fma(part.size * off, off, part.squares);
    }
    first_sum[lane] = total;
    second_sum[lane] = squares;
    fold_columns(lane, params.tile);
    if lane < params.tile && column < params.quads {
        let shift = first_sum[lane] / params.values;
        let mean = centre + shift;
        let squared = second_sum[lane] / params.values - shift * shift;
        let variance = select(squared, vec4(0.0), squared < vec4(0.0)); // not max(): it may hide NaN
        stats[column] = mean;
        stats[params.quads + column] = variance;
        running[column] = params.keep * running[column] + params.momentum * mean;
        running[params.quads + column] = params.keep * running[params.quads + column] + params.momentum * params.unbias * variance;
    }
}
