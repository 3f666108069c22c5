// One Sinkhorn iteration over a window of scores for any number of clusters, with the largest share of each cluster in
// the log domain, which tells how far a cluster's scaling must jump when all its shares underflow.
//
//   p[i, k] = exp(t[i, k]) / sum over k of exp(t[i, k]),  t[i, k] = lambda · (logits[i, k] + bias[k] - max) + v[k]
//   sums[slab, k] = sum over the rows i of the slab of p[i, k]
//
//   tops[slab, k] = max over the rows i of the slab of log p[i, k]
//
// Shapes     scores (W, K), bias (K), rows (W, 4), clusters (4, K) -> sums (slabs, K), tops (slabs, K)
// Dispatch   one workgroup a slab of rows, in turns of 32 rows; its lanes stride over the columns
// Shared     WIDTH + 32 vec2; a turn's scores are read twice, the second time from the cache
// Order      each lane's columns, then a tree over lanes, for a row; rows in rising order: the same bits every run
// Paper      SeLa eq. 8 in the log domain, the row scaling worked out on the fly

struct Params {
    rows: u32,       // W, those in use
    columns: u32,    // K
    quads: u32,      // vec4 a row
    slab: u32,       // rows a group
    first_slab: u32, // place of the first group in sums
    power: f32,      // lambda
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scores: array<vec4<f32>>;     // (W, K)
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;       // (K)
@group(0) @binding(3) var<storage, read> rows: array<vec4<f32>>;       // (W, 4): largest logit first
@group(0) @binding(4) var<storage, read> clusters: array<vec4<f32>>;   // (4, K): log scaling first
@group(0) @binding(5) var<storage, read_write> sums: array<vec4<f32>>; // (slabs, K)
@group(0) @binding(6) var<storage, read_write> tops: array<vec4<f32>>; // (slabs, K)

override WIDTH: u32 = 64u; // lanes; a power of two

const TURN: u32 = 32u;

var<workgroup> parts: array<vec2<f32>, WIDTH>;
var<workgroup> scales: array<vec2<f32>, TURN>; // of each row: largest exponent, log of the sum relative to it

fn exponents(row: u32, quad: u32) -> vec4<f32> {
    return score(scores[row * params.quads + quad], bias_of(quad) - rows[row].x) + scaling_of(0u, quad);
}

@compute @workgroup_size(WIDTH)
fn sinkhorn_wide(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let begin = group.x * params.slab;
    let end = min(begin + params.slab, params.rows);
    let place = (params.first_slab + group.x) * params.quads;
    for (var turn = begin; turn < end; turn += TURN) {
        let stop = min(turn + TURN, end);
        for (var row = turn; row < stop; row++) {
            var mine = vec2(NOWHERE, 0.0);
            for (var quad = lane; quad < params.quads; quad += WIDTH) {
                let t = exponents(row, quad);
                let m = largest(t);
                mine = joined(mine, vec2(m, total(exp(t - m))));
            }
            parts[lane] = mine;
            for (var width = WIDTH / 2u; width > 0u; width /= 2u) {
                workgroupBarrier();
                if lane < width {
                    parts[lane] = joined(parts[lane], parts[lane + width]);
                }
            }
            if lane == 0u {
                scales[row - turn] = vec2(parts[0].x, log(parts[0].y));
            }
            workgroupBarrier();
        }
        for (var quad = lane; quad < params.quads; quad += WIDTH) {
            var sum = vec4(0.0);
            var top = vec4(NOWHERE);
            for (var row = turn; row < stop; row++) {
                let scale = scales[row - turn];
                let log_share = (exponents(row, quad) - scale.x) - scale.y;
                sum += exp(log_share);
                top = max(top, log_share);
            }
            if turn > begin {
                sum += sums[place + quad];
                top = max(top, tops[place + quad]);
            }
            sums[place + quad] = sum;
            tops[place + quad] = select(vec4(0.0), top, valid(quad));
        }
        workgroupBarrier(); // every lane has read the scales before the next turn overwrites them
    }
}
