// Scores of optimal transport in the log domain: what the kernels of shaders/assign share. Appended after a kernel that
// declares `params` with `columns` (K), `quads` (vec4 a row) and `power` (lambda), and the bindings `scores (W, K)`,
// `bias (K)`, `rows (W, 4)` (x: the row's largest logit) and `clusters (4, K)` (first row: the log scaling).

// Below any score that counts; pads hold it.
const NOWHERE: f32 = -1e30;
// Lowest score: keeps what overflows float32 finite.
const FLOOR: f32 = -1e12;

fn valid(quad: u32) -> vec4<bool> {
    return vec4(4u * quad) + vec4(0u, 1u, 2u, 3u) < vec4(params.columns);
}

// The log scaling of four clusters in row `place` of the table; pads and quads past the last are nowhere.
fn scaling_of(place: u32, quad: u32) -> vec4<f32> {
    let value = clusters[place * params.quads + min(quad, params.quads - 1u)];
    return select(vec4(NOWHERE), value, valid(quad));
}

fn bias_of(quad: u32) -> vec4<f32> {
    return bias[min(quad, params.quads - 1u)];
}

// lambda · (logit - largest logit of the row), never above 0 by more than rounding.
fn score(logits: vec4<f32>, shift: vec4<f32>) -> vec4<f32> {
    return max(params.power * (logits + shift), vec4(FLOOR));
}

fn largest(v: vec4<f32>) -> f32 {
    return max(max(v.x, v.y), max(v.z, v.w));
}

fn total(v: vec4<f32>) -> f32 {
    return (v.x + v.y) + (v.z + v.w);
}

// Two sums of exponentials as (largest exponent, sum relative to it), as one.
fn joined(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    let m = max(a.x, b.x);
    return vec2(m, a.y * exp(a.x - m) + b.y * exp(b.x - m));
}
