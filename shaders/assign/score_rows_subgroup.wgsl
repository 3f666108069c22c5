// What the transport kernels need of each row of logits, as in score_rows.wgsl, folding rows with subgroup operations.
//
//   out[i] = (m, log(sum_k exp(logits[i, k] + bias[k] - m)), 0, 0),   m = max_k (logits[i, k] + bias[k])
//
// Shapes     logits (W, K), bias (K) -> out (W, 4)
// Dispatch   one workgroup for ROWS rows in use, folded into y past 65535; its lanes hold 16 · WIDTH columns of a row at a time
// Shared     none; needs subgroups of at least WIDTH lanes
// Order      each lane's columns, then the subgroup's own order: the same bits on one adapter

struct Params {
    rows: u32,    // W, those in use
    columns: u32, // K
    stride: u32,  // K padded
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<vec4<f32>>;    // (W, K)
@group(0) @binding(2) var<storage, read> bias: array<vec4<f32>>;      // (K)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // (W, 4)

override WIDTH: u32 = 8u; // lanes, of one subgroup
override ROWS: u32 = 64u; // rows a group; a multiple of WIDTH
override LONG: bool = true; // K may pass 16 · WIDTH; a loop that is never run costs half as much again

const LOWEST: f32 = -3.4028234e38;

// Four vec4 of a row that a lane holds.
struct Quads {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

fn bias_of(quad: u32) -> vec4<f32> {
    return bias[min(quad, params.stride / 4u - 1u)];
}

fn biases(quad: u32) -> Quads {
    return Quads(bias_of(quad), bias_of(quad + WIDTH), bias_of(quad + 2u * WIDTH), bias_of(quad + 3u * WIDTH));
}

// Pads and quads past the last are lowest.
fn logit(row: u32, quad: u32, shift: vec4<f32>) -> vec4<f32> {
    let quads = params.stride / 4u;
    let value = logits[row * quads + min(quad, quads - 1u)] + shift;
    return select(vec4(LOWEST), value, vec4(4u * quad) + vec4(0u, 1u, 2u, 3u) < vec4(params.columns));
}

fn largest(v: vec4<f32>) -> f32 {
    return max(max(v.x, v.y), max(v.z, v.w));
}

fn logits_of(row: u32, quad: u32, shift: Quads) -> Quads {
    return Quads(
        logit(row, quad, shift.a),
        logit(row, quad + WIDTH, shift.b),
        logit(row, quad + 2u * WIDTH, shift.c),
        logit(row, quad + 3u * WIDTH, shift.d),
    );
}

fn highest(q: Quads) -> f32 {
    return max(max(largest(q.a), largest(q.b)), max(largest(q.c), largest(q.d)));
}

fn terms(q: Quads, top: f32) -> f32 {
    let sum = (exp(q.a - top) + exp(q.b - top)) + (exp(q.c - top) + exp(q.d - top));
    return (sum.x + sum.y) + (sum.z + sum.w);
}

// The largest logit of a row and its sum of exponentials.
fn folded(row: u32, lane: u32, first: Quads) -> vec2<f32> {
    let held = logits_of(row, lane, first);
    var top = subgroupMax(highest(held));
    var sum = terms(held, top);
    if LONG {
        for (var start = 4u * WIDTH; start < params.stride / 4u; start += 4u * WIDTH) {
            let more = logits_of(row, start + lane, biases(start + lane));
            let before = top;
            top = max(top, subgroupMax(highest(more)));
            sum = sum * exp(before - top) + terms(more, top);
        }
    }
    return vec2(top, subgroupAdd(sum));
}

@compute @workgroup_size(WIDTH)
fn score_rows_subgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = biases(lane);
    let begin = (group.x + group.y * groups.x) * ROWS;
    let end = min(begin + ROWS, params.rows);
    for (var block = begin; block < end; block += WIDTH) {
        // Each lane keeps one row's answer, so that all store at once.
        var own = vec2(0.0, 1.0);
        for (var i = 0u; i < WIDTH; i++) {
            own = select(own, folded(min(block + i, end - 1u), lane, first), vec2(lane == i));
        }
        if block + lane < end {
            out[block + lane] = vec4(own.x, log(own.y), 0.0, 0.0);
        }
    }
}
