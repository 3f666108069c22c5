// Dropout: each value is kept with probability 1 - p and scaled by 1/(1 - p), else zero. Linear in x, so it is its own
// derivative under the same step.
//
//   out[row, 4q + j] = x[row, 4q + j] · scale  where unit(words[j]) >= p, else 0
//   words = philox4x32((q, row + micro_batch · rows, step, layer), key)
//
// Shapes     x (rows, C), step (8) u32: word 0 step number, word 4 micro-batch -> out (rows, C); C padded, as vec4
// Dispatch   QUADS vec4 a lane, WIDTH apart; folded into y past 65535 groups
// Shared     none
// Order      no reduction
// Paper      Srivastava et al., "Dropout", 2014 (inverted scaling as PyTorch has it)

struct Params {
    count: u32,    // vec4 of x
    quads: u32,    // vec4 a row
    key_low: u32,  // key, first word
    key_high: u32, // key, second word
    layer: u32,
    p: f32,        // probability of zero
    scale: f32,    // 1 / (1 - p)
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;         // (rows, C)
@group(0) @binding(2) var<storage, read> step: array<u32>;            // (8)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // (rows, C)

override WIDTH: u32 = 64u; // lanes a workgroup
override QUADS: u32 = 1u;  // vec4 a lane

@compute @workgroup_size(WIDTH)
fn dropout(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * WIDTH * QUADS + lane;
    let end = min(first + WIDTH * QUADS, params.count);
    let number = step[0];
    // The micro-batches before have as many rows each.
    let before = step[4] * (params.count / params.quads);
    var at = quad_of(first, params.quads);
    for (var i = first; i < end; i += WIDTH) {
        let words = philox4x32(vec4(at.x, before + at.y, number, params.layer), vec2(params.key_low, params.key_high));
        let chance = vec4(unit(words.x), unit(words.y), unit(words.z), unit(words.w));
        out[i] = select(vec4(0.0), x[i] * params.scale, chance >= vec4(params.p));
        at = next_quad(at, params.quads);
    }
}
