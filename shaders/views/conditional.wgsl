// Conditional logits of each view: from the joint logits of row b·M + j, the columns of its own transformation j; and
// the transpose, which puts them back among zeros.
//
//   mode 0   out[r, n] = x[r, n·M + r mod M]
//   mode 1   out[r, k] = x[r, k div M] where k mod M = r mod M, else 0
//
// Shapes     mode 0: x (B·M, N·M) -> out (B·M, N); mode 1: x (B·M, N) -> out (B·M, N·M); pads are zero
// Dispatch   one lane an element of out (pads included), folded into y past 65535 groups
// Shared     none
// Order      no reduction
// Paper      SLA, P(i | x_j, j) in section 3.1 (before the softmax)

struct Params {
    rows: u32,       // B·M
    views: u32,      // M
    columns: u32,    // logical columns of out
    stride: u32,     // physical columns of out
    x_stride: u32,   // physical columns of x
    mode: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

override WIDTH: u32 = 64u; // lanes a workgroup

@compute @workgroup_size(WIDTH)
fn conditional(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WIDTH + lane;
    if i >= params.rows * params.stride {
        return;
    }
    let row = i / params.stride;
    let column = i % params.stride;
    let view = row % params.views;
    var value = 0.0;
    if column < params.columns {
        if params.mode == 0u {
            value = x[row * params.x_stride + column * params.views + view];
        } else if column % params.views == view {
            value = x[row * params.x_stride + column / params.views];
        }
    }
    out[i] = value;
}
