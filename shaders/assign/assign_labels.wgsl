// The label of each row: the cluster with the largest scaled score, the lower one of several; and what it costs.
//
//   label[i] = argmax_k t[i, k],   t[i, k] = lambda · (logits[i, k] + bias[k] - max) + y[k]
//   info[i] = (t of the label - t of the next best, log P[i, label], -sum_k p[i, k] · log P[i, k], sum_k p[i, k])
//   changed[i] = 1 where the table held another label, else 0
//   with P = softmax(logits + bias) and p = the row's shares, exp(t - log sum exp t)
//
// Shapes     scores (W, K), bias (K), rows (W, 4), clusters (4, K) -> table (T, N) updated at (head, first + i),
//            info (W, 4), changed (N) at first + i
// Dispatch   one workgroup a row in use, folded into y past 65535; its lanes stride over the columns
// Shared     WIDTH Best and WIDTH vec2
// Order      ties go to the lower index; sums: each lane's columns, then a tree over lanes: the same bits every run
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

override WIDTH: u32 = 64u; // lanes a row; a power of two

struct Best {
    value: f32,
    next: f32, // the second largest
    at: u32,
}

var<workgroup> bests: array<Best, WIDTH>;
var<workgroup> parts: array<vec2<f32>, WIDTH>;

fn exponents(row: u32, quad: u32) -> vec4<f32> {
    return score(scores[row * params.quads + quad], bias_of(quad) - rows[row].x) + scaling_of(params.place, quad);
}

fn better(a: Best, b: Best) -> Best {
    if b.value > a.value || (b.value == a.value && b.at < a.at) {
        return Best(b.value, max(a.value, b.next), b.at);
    }
    return Best(a.value, max(a.next, b.value), a.at);
}

@compute @workgroup_size(WIDTH)
fn assign_labels(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= params.rows {
        return;
    }
    var best = Best(NOWHERE, NOWHERE, 0u); // stays at 0 where every score is NaN
    var scale = vec2(NOWHERE, 0.0);
    for (var quad = lane; quad < params.quads; quad += WIDTH) {
        let t = exponents(row, quad);
        best = better(best, Best(t.x, NOWHERE, 4u * quad));
        best = better(best, Best(t.y, NOWHERE, 4u * quad + 1u));
        best = better(best, Best(t.z, NOWHERE, 4u * quad + 2u));
        best = better(best, Best(t.w, NOWHERE, 4u * quad + 3u));
        let m = largest(t);
        scale = joined(scale, vec2(m, total(exp(t - m))));
    }
    bests[lane] = best;
    parts[lane] = scale;
    for (var width = WIDTH / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            bests[lane] = better(bests[lane], bests[lane + width]);
            parts[lane] = joined(parts[lane], parts[lane + width]);
        }
    }
    workgroupBarrier();
    best = bests[0];
    scale = parts[0];
    workgroupBarrier(); // every lane has read the row's scale before the costs overwrite it

    // log P[i, k] = score / lambda - log sum exp of the row; shares that underflow cost nothing.
    let rest = rows[row].y;
    let log_sum = log(scale.y);
    var sums = vec2(0.0);
    for (var quad = lane; quad < params.quads; quad += WIDTH) {
        let raw = max(scores[row * params.quads + quad] + bias_of(quad) - rows[row].x, vec4(FLOOR));
        let share = exp((exponents(row, quad) - scale.x) - log_sum);
        let cost = select(vec4(0.0), share * (rest - raw), share > vec4(0.0));
        sums += vec2(total(cost), total(share));
    }
    parts[lane] = sums;
    for (var width = WIDTH / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            parts[lane] += parts[lane + width];
        }
    }
    if lane == 0u {
        let raw = scores[row * params.quads + best.at / 4u] + bias_of(best.at / 4u) - rows[row].x;
        info[row] = vec4(best.value - best.next, max(raw[best.at % 4u], FLOOR) - rest, parts[0].x, parts[0].y);
        let old = table[params.slot + row];
        changed[params.first + row] = select(0.0, 1.0, old != best.at);
        table[params.slot + row] = best.at;
    }
}
