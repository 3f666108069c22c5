// The factor that the optimizer applies to summed gradients, clipped to a norm as PyTorch's clip_grad_norm_ does.
//
//   scale = base * min(1, highest / (norm * base + 1e-6));   scale = base where highest is 0 (no clipping)
//
// Shapes     norm (1) -> scale (1); norm is that of the gradients before `base`
// Dispatch   one workgroup of four lanes; lanes 1 to 3 clear the pads
// Shared     none
// Order      no reduction

struct Params {
    highest: f32, // largest norm allowed, 0 for no clipping
    base: f32,    // factor without clipping: 1 / micro-batches
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> norm: array<f32>;         // (1)
@group(0) @binding(2) var<storage, read_write> scale: array<f32>;  // (1)

@compute @workgroup_size(4)
fn clip_scale(@builtin(local_invocation_index) lane: u32) {
    var value = 0.0;
    if lane == 0u {
        value = params.base;
        if params.highest > 0.0 {
            value *= min(1.0, params.highest / (norm[0] * params.base + 1e-6));
        }
    }
    scale[lane] = value;
}
