// One step of stochastic gradient descent over all parameters at once, PyTorch's SGD.
//
//   g = scale * grads + weight_decay * mask * weights
//   velocity = g at step 0, else momentum * velocity + g
//   weights -= rate * (nesterov ? g + momentum * velocity : velocity);   nothing changes where scale < 0
//
// Shapes     grads, weights, velocity (n), n a multiple of 64; mask (n/64); scale (1); step (8): number, bits of rate
// Dispatch   QUADS vec4 a lane, WIDTH apart; folded into y past 65535 groups
// Shared     none
// Order      no reduction

struct Params {
    count: u32, // n / 4
    momentum: f32,
    weight_decay: f32,
    nesterov: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> step_words: array<u32>;            // (8)
@group(0) @binding(2) var<storage, read> grads: array<vec4<f32>>;           // (n)
@group(0) @binding(3) var<storage, read> mask: array<f32>;                  // (n / 64), 1 where weights decay
@group(0) @binding(4) var<storage, read> scale: array<f32>;                 // (1)
@group(0) @binding(5) var<storage, read_write> weights: array<vec4<f32>>;   // (n)
@group(0) @binding(6) var<storage, read_write> velocity: array<vec4<f32>>;  // (n)

override WIDTH: u32 = 64u; // lanes a workgroup
override QUADS: u32 = 1u;  // vec4 a lane

@compute @workgroup_size(WIDTH)
fn sgd(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rate = bitcast<f32>(step_words[1]);
    let begun = step_words[0] != 0u;
    let factor = scale[0];
    if factor < 0.0 {
        return;
    }
    let first = (group.x + group.y * groups.x) * WIDTH * QUADS + lane;
    let end = min(first + WIDTH * QUADS, params.count);
    for (var i = first; i < end; i += WIDTH) {
        let old = weights[i];
        let g = factor * grads[i] + params.weight_decay * mask[i / 16u] * old;
        var moved = g;
        if begun {
            moved = params.momentum * velocity[i] + g;
        }
        velocity[i] = moved;
        if params.nesterov != 0u {
            moved = g + params.momentum * moved;
        }
        weights[i] = old - rate * moved;
    }
}
