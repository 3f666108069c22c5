// One Sinkhorn iteration over a window of scores, read once: rows scaled to their mass, columns summed slab by slab.
//
//   p[i, k] = exp(t[i, k]) / sum over k of exp(t[i, k]),  t[i, k] = lambda · (logits[i, k] + bias[k] - max) + v[k]
//   sums[slab, k] = sum over the rows i of the slab of p[i, k]
//
// Shapes     scores (W, K), bias (K), rows (W, 4), clusters (4, K) -> sums (slabs, K); K at most 4 · QUADS · WIDTH
// Dispatch   one workgroup a slab of rows; its lanes share the columns out, two rows at a time
// Shared     2 · WIDTH vec4
// Order      each lane's rows in rising order, a tree over lanes for a row: the same bits every run
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

override WIDTH: u32 = 64u; // lanes; a power of two
override QUADS: u32 = 4u; // vec4 a lane: 1 or 4

// (largest, sum) of two rows for each lane; two turns, so that one barrier a turn suffices.
var<workgroup> parts: array<vec4<f32>, 2u * WIDTH>;

fn weights(lane: u32, turn: u32, first: ptr<function, Quads>, second: ptr<function, Quads>) -> vec2<f32> {
    let base = turn * WIDTH;
    let m = vec2(highest(*first), highest(*second));
    *first = exponentials(*first, m.x);
    *second = exponentials(*second, m.y);
    parts[base + lane] = vec4(m.x, sum_of(*first), m.y, sum_of(*second));
    for (var width = WIDTH / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            let mine = parts[base + lane];
            let other = parts[base + lane + width];
            parts[base + lane] = vec4(joined(mine.xy, other.xy), joined(mine.zw, other.zw));
        }
    }
    workgroupBarrier();
    let all = parts[base];
    return weight(m, all.xz, all.yw);
}

@compute @workgroup_size(WIDTH)
fn sinkhorn_pass(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    sinkhorn_slab(group.x, lane);
}
