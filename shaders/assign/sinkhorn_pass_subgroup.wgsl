// One Sinkhorn iteration over a window of scores, as in sinkhorn_pass.wgsl, folding rows with subgroup operations.
//
//   p[i, k] = exp(t[i, k]) / sum over k of exp(t[i, k]),  t[i, k] = lambda · (logits[i, k] + bias[k] - max) + v[k]
//   sums[slab, k] = sum over the rows i of the slab of p[i, k]
//
// Shapes     scores (W, K), bias (K), rows (W, 4), clusters (4, K) -> sums (slabs, K); K at most 4 · QUADS · WIDTH
// Dispatch   one workgroup a slab of rows; its lanes share the columns out, two rows at a time
// Shared     2 · WIDTH / 4 vec4; needs subgroups of at least 4 lanes, and with LONE of at least WIDTH
// Order      each lane's rows in rising order, the subgroup's own order for a row: the same bits on one adapter
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

override WIDTH: u32 = 64u;  // lanes; a power of two
override QUADS: u32 = 4u; // vec4 a lane: 1 or 4
override LONE: bool = false; // one subgroup holds the whole workgroup

// (largest, sum) of two rows for each subgroup; two turns, so that one barrier a turn suffices.
var<workgroup> parts: array<vec4<f32>, WIDTH / 2u>;

var<private> subgroup: u32;  // this lane's
var<private> subgroups: u32; // of the workgroup
var<private> place: u32;     // of this lane in its subgroup
var<private> size: u32;      // lanes of a subgroup

fn weights(lane: u32, turn: u32, first: ptr<function, Quads>, second: ptr<function, Quads>) -> vec2<f32> {
    let m = vec2(subgroupMax(highest(*first)), subgroupMax(highest(*second)));
    *first = exponentials(*first, m.x);
    *second = exponentials(*second, m.y);
    let s = vec2(subgroupAdd(sum_of(*first)), subgroupAdd(sum_of(*second)));
    if LONE {
        return 1.0 / s;
    }
    let base = turn * (WIDTH / 4u);
    parts[base + subgroup] = vec4(m.x, s.x, m.y, s.y);
    workgroupBarrier();
    var some = vec4(NOWHERE, 0.0, NOWHERE, 0.0);
    for (var i = place; i < subgroups; i += size) {
        let other = parts[base + i];
        some = vec4(joined(some.xy, other.xy), joined(some.zw, other.zw));
    }
    let top = vec2(subgroupMax(some.x), subgroupMax(some.z));
    let scaled = some.yw * exp(some.xz - top);
    return weight(m, top, vec2(subgroupAdd(scaled.x), subgroupAdd(scaled.y)));
}

@compute @workgroup_size(WIDTH)
fn sinkhorn_pass_subgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) own: u32,
    @builtin(num_subgroups) count: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
    @builtin(subgroup_size) lanes: u32,
) {
    subgroup = own;
    subgroups = min(count, WIDTH / 4u);
    place = invocation;
    size = max(lanes, 1u);
    sinkhorn_slab(group.x, lane);
}
