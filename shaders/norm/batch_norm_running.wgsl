// Moves running statistics towards a batch's, in place.
//
//   running[0] = keep · running[0] + momentum · mean
//   running[1] = keep · running[1] + momentum · unbias · variance        unbias = n / (n - 1), 1 where n = 1
//
// Shapes     stats (2, C), running (2, C); C padded, handled as vec4 (pads stay zero)
// Dispatch   one lane a vec4 of (2, C), folded into y past 65535 groups
// Shared     none
// Order      no reduction

struct Params {
    quads: u32,    // vec4 a row
    keep: f32,     // 1 - momentum
    momentum: f32,
    unbias: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> stats: array<vec4<f32>>;         // (2, C): mean, biased variance
@group(0) @binding(2) var<storage, read_write> running: array<vec4<f32>>; // (2, C): mean, unbiased variance

override WIDTH: u32 = 64u; // lanes a workgroup

@compute @workgroup_size(WIDTH)
fn batch_norm_running(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WIDTH + lane;
    if i >= 2u * params.quads {
        return;
    }
    let weight = params.momentum * select(1.0, params.unbias, i >= params.quads);
    running[i] = params.keep * running[i] + weight * stats[i];
}
