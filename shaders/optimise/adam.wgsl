// One step of Adam (L2) or AdamW (decoupled weight decay) over all parameters at once, PyTorch's formulas.
//
//   g = scale * grads (+ weight_decay * mask * weights, Adam);  weights *= 1 - rate * weight_decay * mask (AdamW)
//   average = beta1 * average + (1 - beta1) * g;   square = beta2 * square + (1 - beta2) * g^2
//   weights -= rate / (1 - beta1^t) * average / (sqrt(square / (1 - beta2^t)) + epsilon);   nothing where scale < 0
//
// Shapes     grads, weights, average, square (n), n a multiple of 64; mask (n/64); scale (1)
//            step (8): number, bits of rate, bits of 1/(1 - beta1^t), bits of 1/(1 - beta2^t)
// Dispatch   QUADS vec4 a lane, WIDTH apart; folded into y past 65535 groups
// Shared     none
// Order      no reduction
// Paper      Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019, algorithm 2

struct Params {
    count: u32,       // n / 4
    keep1: f32,       // beta1
    take1: f32,       // 1 - beta1
    keep2: f32,       // beta2
    take2: f32,       // 1 - beta2
    epsilon: f32,
    weight_decay: f32,
    decoupled: u32,   // 0 Adam, 1 AdamW
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> step_words: array<u32>;           // (8)
@group(0) @binding(2) var<storage, read> grads: array<vec4<f32>>;          // (n)
@group(0) @binding(3) var<storage, read> mask: array<f32>;                 // (n / 64), 1 where weights decay
@group(0) @binding(4) var<storage, read> scale: array<f32>;                // (1)
@group(0) @binding(5) var<storage, read_write> weights: array<vec4<f32>>;  // (n)
@group(0) @binding(6) var<storage, read_write> average: array<vec4<f32>>;  // (n)
@group(0) @binding(7) var<storage, read_write> square: array<vec4<f32>>;   // (n)

override WIDTH: u32 = 64u; // lanes a workgroup
override QUADS: u32 = 1u;  // vec4 a lane

@compute @workgroup_size(WIDTH)
fn adam(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let factor = scale[0];
    if factor < 0.0 {
        return;
    }
    let rate = bitcast<f32>(step_words[1]);
    let correct1 = bitcast<f32>(step_words[2]);
    let correct2 = bitcast<f32>(step_words[3]);
    let first = (group.x + group.y * groups.x) * WIDTH * QUADS + lane;
    let end = min(first + WIDTH * QUADS, params.count);
    for (var i = first; i < end; i += WIDTH) {
        let decay = params.weight_decay * mask[i / 16u];
        var value = weights[i];
        var g = factor * grads[i];
        if params.decoupled != 0u {
            value -= rate * decay * value;
        } else {
            g += decay * value;
        }
        let mean = params.keep1 * average[i] + params.take1 * g;
        let spread = params.keep2 * square[i] + params.take2 * g * g;
        average[i] = mean;
        square[i] = spread;
        weights[i] = value - rate * correct1 * mean / (sqrt(spread * correct2) + params.epsilon);
    }
}
