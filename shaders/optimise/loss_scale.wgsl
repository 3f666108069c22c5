// Dynamic loss scaling: the factor of gradients of a scaled loss, and the scale of the next step.
//
//   norm finite   factor = base / scale, clipped as clip_scale does; after INTERVAL such steps in a row the scale doubles
//   else          factor = -1: the optimizer leaves the step out; the scale halves
//
// Shapes     norm (1), that of the scaled gradients before `base`; scale (1), counts (2), factor (1)
//            counts: steps since the scale changed, steps left out in all
// Dispatch   one workgroup of four lanes; lanes 1 to 3 clear the pads of factor
// Shared     none
// Order      steps follow each other
// Paper      Micikevicius et al. 2018, section 3.2; the numbers are those of PyTorch's GradScaler

struct Params {
    highest: f32,  // largest norm allowed, 0 for no clipping
    base: f32,     // factor without clipping: 1 / micro-batches
    interval: u32, // steps until the scale doubles
}

@group(0) @binding(0) var<uniform> params: Params;
// The bits of the norm: compilers may assume that a float is never NaN and fold a comparison away.
@group(0) @binding(1) var<storage, read> norm: array<u32>;          // (1)
@group(0) @binding(2) var<storage, read_write> scale: array<f32>;   // (1)
@group(0) @binding(3) var<storage, read_write> counts: array<f32>;  // (2)
@group(0) @binding(4) var<storage, read_write> factor: array<f32>;  // (1)

const EXPONENT: u32 = 0x7f800000u; // all ones in NaN and infinity alone
const MOST: f32 = 16777216.0;      // 2^24: beyond it float32's own range comes near

@compute @workgroup_size(4)
fn loss_scale(@builtin(local_invocation_index) lane: u32) {
    if lane > 0u {
        factor[lane] = 0.0;
        return;
    }
    if (norm[0] & EXPONENT) == EXPONENT {
        factor[0] = -1.0;
        scale[0] = 0.5 * scale[0];
        counts[0] = 0.0;
        counts[1] = counts[1] + 1.0;
        return;
    }
    let base = params.base / scale[0];
    var value = base;
    if params.highest > 0.0 {
        value *= min(1.0, params.highest / (bitcast<f32>(norm[0]) * base + 1e-6));
    }
    factor[0] = value;
    let row = counts[0] + 1.0;
    if row >= f32(params.interval) {
        scale[0] = min(2.0 * scale[0], MOST);
        counts[0] = 0.0;
    } else {
        counts[0] = row;
    }
}
