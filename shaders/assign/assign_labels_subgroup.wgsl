// The label of each row and what it costs, as in assign_labels.wgsl, folding rows with subgroup operations.
//
//   label[i] = argmax_k t[i, k],   t[i, k] = lambda · (logits[i, k] + bias[k] - max) + y[k]
//   info[i] = (t of the label - t of the next best, log P[i, label], -sum_k p[i, k] · log P[i, k], sum_k p[i, k])
//   changed[i] = 1 where the table held another label, else 0
//   with P = softmax(logits + bias) and p = the row's shares, exp(t - log sum exp t)
//
// Shapes     scores (W, K), bias (K), rows (W, 4), clusters (4, K) -> table (T, N) updated at (head, first + i),
//            info (W, 4), changed (N) at first + i
// Dispatch   one workgroup for ROWS rows in use, folded into y past 65535; its lanes hold 16 · WIDTH columns of a row at a time
// Shared     none; needs subgroups of at least WIDTH lanes
// Order      ties go to the lower index; sums: each lane's columns, then the subgroup's own order: the same bits on one
//            adapter
// Paper      SeLa, the labels after eq. 8

struct Params {
    rows: u32,    // W, those in use
    columns: u32, // K
    quads: u32,   // vec4 a row
    place: u32,   // row of clusters with the scaling
    slot: u32,    // place in the table of the first row's label
    first: u32,   // the first row's sample
    power: f32,   // lambda
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scores: array<vec4<f32>>;      // (W, K)
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;        // (K)
@group(0) @binding(3) var<storage, read> rows: array<vec4<f32>>;        // (W, 4)
@group(0) @binding(4) var<storage, read> clusters: array<vec4<f32>>;    // (4, K)
@group(0) @binding(5) var<storage, read_write> table: array<u32>;       // (T, N)
@group(0) @binding(6) var<storage, read_write> info: array<vec4<f32>>;  // (W, 4)
@group(0) @binding(7) var<storage, read_write> changed: array<f32>;     // (N)

override WIDTH: u32 = 8u; // lanes, of one subgroup
override QUADS: u32 = 4u; // vec4 a lane; no other
override ROWS: u32 = 64u; // rows a group; a multiple of WIDTH
override LONG: bool = true; // K may pass 16 · WIDTH; a loop that is never run costs half as much again

const NONE: u32 = 0xffffffffu;

// The best and the second best of each of four places in a vec4, and the quad with the best.
struct Best {
    value: vec4<f32>,
    next: vec4<f32>,
    at: vec4<u32>,
}

// What is known of a row's columns so far; sums are relative to exp(top), each lane's own.
struct State {
    best: Best,
    top: f32,
    mass: vec4<f32>,
    cost: vec4<f32>,
}

struct Found {
    at: u32,
    margin: f32,
    cost: f32,
    mass: f32,
}

// Quads come in rising order, so an equal one stands behind.
fn better(best: Best, t: vec4<f32>, quad: u32) -> Best {
    let next = max(best.next, min(best.value, t));
    return Best(max(best.value, t), next, select(best.at, vec4(quad), t > best.value));
}

// log P[i, k] is the logit above the row's largest, less `rest`.
fn costs(terms: vec4<f32>, raw: vec4<f32>, rest: f32) -> vec4<f32> {
    return terms * (rest - max(raw, vec4(FLOOR)));
}

// Goes on with the columns that the lanes hold from a quad on.
fn looked_at(state: State, row: u32, quad: u32, shift: Quads, scaling: Quads) -> State {
    let base = row * params.quads;
    let last = params.quads - 1u;
    let of_row = rows[row];
    let a = scores[base + min(quad, last)] + (shift.a - of_row.x);
    let b = scores[base + min(quad + WIDTH, last)] + (shift.b - of_row.x);
    let c = scores[base + min(quad + 2u * WIDTH, last)] + (shift.c - of_row.x);
    let d = scores[base + min(quad + 3u * WIDTH, last)] + (shift.d - of_row.x);
    let t = Quads(
        max(params.power * a, vec4(FLOOR)) + scaling.a,
        max(params.power * b, vec4(FLOOR)) + scaling.b,
        max(params.power * c, vec4(FLOOR)) + scaling.c,
        max(params.power * d, vec4(FLOOR)) + scaling.d,
    );
    var best = better(state.best, t.a, quad);
    best = better(best, t.b, quad + WIDTH);
    best = better(best, t.c, quad + 2u * WIDTH);
    best = better(best, t.d, quad + 3u * WIDTH);
    let top = max(state.top, subgroupMax(highest(t)));
    let before = exp(state.top - top);
    let e = Quads(exp(t.a - top), exp(t.b - top), exp(t.c - top), exp(t.d - top));
    let rest = of_row.y;
    let mass = state.mass * before + ((e.a + e.b) + (e.c + e.d));
    let cost = (costs(e.a, a, rest) + costs(e.b, b, rest)) + (costs(e.c, c, rest) + costs(e.d, d, rest));
    return State(best, top, mass, state.cost * before + cost);
}

fn found(row: u32, lane: u32, shift: Quads, scaling: Quads) -> Found {
    let none = Best(vec4(NOWHERE), vec4(NOWHERE), vec4(0u)); // stays at 0 where every score is NaN
    var state = looked_at(State(none, NOWHERE, vec4(0.0), vec4(0.0)), row, lane, shift, scaling);
    if LONG {
        for (var start = 4u * WIDTH; start < params.quads; start += 4u * WIDTH) {
            let quad = start + lane;
            state = looked_at(state, row, quad, shifts(quad), scalings(params.place, quad));
        }
    }
    let best = state.best;
    let index = 4u * best.at + vec4(0u, 1u, 2u, 3u);
    let places = select(vec4(NONE), index, best.value == vec4(state.top));
    var at = subgroupMin(min(min(places.x, places.y), min(places.z, places.w)));
    at = select(at, 0u, at == NONE);
    let next = subgroupMax(largest(select(best.value, best.next, index == vec4(at))));
    let own = total(state.mass);
    let all = subgroupAdd(own);
    return Found(at, state.top - next, subgroupAdd(total(state.cost)) / all, subgroupAdd(own / all));
}

@compute @workgroup_size(WIDTH)
fn assign_labels_subgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = shifts(lane);
    let scaling = scalings(params.place, lane);
    let begin = (group.x + group.y * groups.x) * ROWS;
    let end = min(begin + ROWS, params.rows);
    for (var block = begin; block < end; block += WIDTH) {
        // Each lane keeps one row's answer, so that all store at once.
        var own = vec3(0.0);
        var at = 0u;
        for (var i = 0u; i < WIDTH; i++) {
            let one = found(min(block + i, end - 1u), lane, first, scaling);
            own = select(own, vec3(one.margin, one.cost, one.mass), vec3(lane == i));
            at = select(at, one.at, lane == i);
        }
        let row = block + lane;
        if row < end {
            let raw = scores[row * params.quads + at / 4u] + bias_of(at / 4u) - rows[row].x;
            info[row] = vec4(own.x, max(raw[at % 4u], FLOOR) - rows[row].y, own.y, own.z);
            let old = table[params.slot + row];
            changed[params.first + row] = select(0.0, 1.0, old != at);
            table[params.slot + row] = at;
        }
    }
}
