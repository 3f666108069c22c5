// The best clusters of each row by scaled score, best first, with their scores.
//
//   out[i, j] = the j-th largest of t[i, k] = lambda · (logits[i, k] + bias[k] - max) + y[k] over k; of equal ones the
//   lower k first;   value[i, j] = lambda · (logits[i, k] + bias[k] - max) of that cluster
//
// Shapes     scores (W, K), bias (K), rows (W, 4), clusters (4, K) -> out (W, L) unsigned, value (W, L); L <= K
// Dispatch   one workgroup a row in use, folded into y past 65535; its lanes stride over the columns, L times
// Shared     WIDTH vec2 and WIDTH u32
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

override WIDTH: u32 = 64u; // lanes a row; a power of two

struct Best {
    scaled: f32,
    plain: f32,
    at: u32,
}

const NONE: u32 = 0xffffffffu;

var<workgroup> bests: array<Best, WIDTH>;

// Whether a stands before b.
fn before(a: Best, b: Best) -> bool {
    return a.scaled > b.scaled || (a.scaled == b.scaled && a.at < b.at);
}

// The better of the best so far and a candidate that stands after the last one taken.
fn taken(best: Best, last: Best, candidate: Best) -> Best {
    let open = candidate.at < params.columns && (last.at == NONE || before(last, candidate));
    if open && before(candidate, best) {
        return candidate;
    }
    return best;
}

@compute @workgroup_size(WIDTH)
fn top_candidates(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= params.rows {
        return;
    }
    var last = Best(0.0, 0.0, NONE);
    for (var j = 0u; j < params.stride; j++) {
        var best = Best(NOWHERE, 0.0, NONE);
        for (var quad = lane; quad < params.quads && j < params.count; quad += WIDTH) {
            let plain = score(scores[row * params.quads + quad], bias_of(quad) - rows[row].x);
            let scaled = plain + scaling_of(params.place, quad);
            best = taken(best, last, Best(scaled.x, plain.x, 4u * quad));
            best = taken(best, last, Best(scaled.y, plain.y, 4u * quad + 1u));
            best = taken(best, last, Best(scaled.z, plain.z, 4u * quad + 2u));
            best = taken(best, last, Best(scaled.w, plain.w, 4u * quad + 3u));
        }
        bests[lane] = best;
        for (var width = WIDTH / 2u; width > 0u; width /= 2u) {
            workgroupBarrier();
            if lane < width && before(bests[lane + width], bests[lane]) {
                bests[lane] = bests[lane + width];
            }
        }
        workgroupBarrier();
        last = bests[0];
        workgroupBarrier(); // every lane has read the best before the next turn overwrites it
        if lane == 0u {
            out[row * params.stride + j] = select(0u, last.at, j < params.count);
            value[row * params.stride + j] = last.plain;
        }
    }
}
