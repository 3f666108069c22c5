// The best clusters of each row by scaled score, as in top_candidates.wgsl, folding rows with subgroup operations.
//
//   out[i, j] = the j-th largest of t[i, k] = lambda · (logits[i, k] + bias[k] - max) + y[k] over k; of equal ones the
//   lower k first;   value[i, j] = lambda · (logits[i, k] + bias[k] - max) of that cluster
//
// Shapes     scores (W, K), bias (K), rows (W, 4), clusters (4, K) -> out (W, L) unsigned, value (W, L); L <= K, and L <= 32
//            where K > 128
// Dispatch   one workgroup for ROWS rows in use, folded into y past 65535. Its lanes hold 128 scaled scores, of which the best is taken L
//            times; of more columns, the next 96 stand beside the best so far
// Shared     none; needs subgroups of at least WIDTH lanes
// Order      ties go to the lower index

struct Params {
    rows: u32,    // W, those in use
    columns: u32, // K
    quads: u32,   // vec4 a row
    place: u32,   // row of clusters with the scaling
    count: u32,   // L
    stride: u32,  // L padded
    power: f32,   // lambda
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scores: array<vec4<f32>>;     // (W, K)
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;       // (K)
@group(0) @binding(3) var<storage, read> rows: array<vec4<f32>>;       // (W, 4)
@group(0) @binding(4) var<storage, read> clusters: array<vec4<f32>>;   // (4, K)
@group(0) @binding(5) var<storage, read_write> out: array<u32>;        // (W, L)
@group(0) @binding(6) var<storage, read_write> value: array<f32>;      // (W, L)

override WIDTH: u32 = 8u; // lanes, of one subgroup; no other
override QUADS: u32 = 4u; // vec4 a lane; no other
override ROWS: u32 = 16u; // rows a group
override LONG: bool = true; // K may pass 128; a loop that is run once costs software adapters more than its turn

const NONE: u32 = 0xffffffffu;
const TAKEN: f32 = -3.4028234e38; // below NOWHERE

// The columns of four quads.
struct Places {
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
    d: vec4<u32>,
}

fn columns_of(quad: u32) -> vec4<u32> {
    return vec4(4u * quad) + vec4(0u, 1u, 2u, 3u);
}

fn lowest(v: vec4<u32>) -> u32 {
    return min(min(v.x, v.y), min(v.z, v.w));
}

// Broadcasts cost software adapters less than their reductions, which loop over lanes.
fn of_all_max(v: f32) -> f32 {
    return max(
        max(max(subgroupBroadcast(v, 0u), subgroupBroadcast(v, 1u)), max(subgroupBroadcast(v, 2u), subgroupBroadcast(v, 3u))),
        max(max(subgroupBroadcast(v, 4u), subgroupBroadcast(v, 5u)), max(subgroupBroadcast(v, 6u), subgroupBroadcast(v, 7u))),
    );
}

fn of_all_min(v: u32) -> u32 {
    return min(
        min(min(subgroupBroadcast(v, 0u), subgroupBroadcast(v, 1u)), min(subgroupBroadcast(v, 2u), subgroupBroadcast(v, 3u))),
        min(min(subgroupBroadcast(v, 4u), subgroupBroadcast(v, 5u)), min(subgroupBroadcast(v, 6u), subgroupBroadcast(v, 7u))),
    );
}

// Writes 8 answers of a row from the j-th on, one a lane; pads are zero.
fn store(row: u32, j: u32, lane: u32, at: u32) {
    if j + lane < params.stride {
        let quad = min(at / 4u, params.quads - 1u);
        let plain = score(scores[row * params.quads + quad], bias_of(quad) - rows[row].x);
        let used = j + lane < params.count;
        out[row * params.stride + j + lane] = select(0u, at, used);
        value[row * params.stride + j + lane] = select(0.0, plain[at % 4u], used);
    }
}

// The best so far: those from 8 · j on are component j of the lanes.
struct Kept {
    t: vec4<f32>,
    at: vec4<u32>,
}

// Takes the best of what the lanes hold, L times; writes them, or keeps them to stand beside the next columns.
fn best_of(held: Quads, columns: Places, row: u32, lane: u32, write: bool) -> Kept {
    var t = held;
    var kept = Kept(vec4(TAKEN), vec4(NONE));
    var own = TAKEN;
    var own_at = NONE;
    for (var j = 0u; j < params.count; j++) {
        let top = of_all_max(highest(t));
        let a = lowest(select(vec4(NONE), columns.a, t.a == vec4(top)));
        let b = lowest(select(vec4(NONE), columns.b, t.b == vec4(top)));
        let c = lowest(select(vec4(NONE), columns.c, t.c == vec4(top)));
        let d = lowest(select(vec4(NONE), columns.d, t.d == vec4(top)));
        let taken = of_all_min(min(min(a, b), min(c, d)));
        t.a = select(t.a, vec4(TAKEN), columns.a == vec4(taken));
        t.b = select(t.b, vec4(TAKEN), columns.b == vec4(taken));
        t.c = select(t.c, vec4(TAKEN), columns.c == vec4(taken));
        t.d = select(t.d, vec4(TAKEN), columns.d == vec4(taken));
        own = select(own, top, lane == j % WIDTH);
        own_at = select(own_at, taken, lane == j % WIDTH);
        if j % WIDTH == WIDTH - 1u || j + 1u == params.count {
            if write {
                store(row, j / WIDTH * WIDTH, lane, own_at);
            } else {
                let here = vec4(j / WIDTH) == vec4(0u, 1u, 2u, 3u);
                kept = Kept(select(kept.t, vec4(own), here), select(kept.at, vec4(own_at), here));
            }
            own = TAKEN;
            own_at = NONE;
        }
    }
    return kept;
}

fn best_of_row(row: u32, lane: u32, shift: Quads, scaling: Quads) {
    var t = exponents(row, lane, shift, scaling);
    var at = Places(
        columns_of(lane), columns_of(lane + WIDTH), columns_of(lane + 2u * WIDTH), columns_of(lane + 3u * WIDTH),
    );
    if LONG {
        for (var next = 4u * WIDTH; next < params.quads; next += 3u * WIDTH) {
            let kept = best_of(t, at, row, lane, false);
            let quad = next + lane;
            let three = exponents(row, quad, shifts(quad), scalings(params.place, quad));
            t = Quads(kept.t, three.a, three.b, three.c);
            at = Places(kept.at, columns_of(quad), columns_of(quad + WIDTH), columns_of(quad + 2u * WIDTH));
        }
    }
    _ = best_of(t, at, row, lane, true);
}

@compute @workgroup_size(WIDTH)
fn top_candidates_subgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let shift = shifts(lane);
    let scaling = scalings(params.place, lane);
    let begin = (group.x + group.y * groups.x) * ROWS;
    let end = min(begin + ROWS, params.rows);
    for (var row = begin; row < end; row++) {
        best_of_row(row, lane, shift, scaling);
    }
}
