// One-hot rows of class labels.
//
//   out[r, n] = 1 where n = labels[r], else 0; a row whose label says "ignore" is zero
//
// Shapes     labels (R) -> out (R, N)
// Dispatch   one lane a value, folded into y past 65535 groups
// Shared     none
// Order      no reduction

struct Params {
    count: u32,   // physical elements of out
    columns: u32, // N
    stride: u32,  // N padded
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> labels: array<u32>;     // (R)
@group(0) @binding(2) var<storage, read_write> out: array<f32>;  // (R, N)

override WIDTH: u32 = 64u; // lanes a workgroup

@compute @workgroup_size(WIDTH)
fn one_hot(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WIDTH + lane;
    if i >= params.count {
        return;
    }
    let column = i % params.stride;
    let hit = column < params.columns && column == labels[i / params.stride];
    out[i] = select(0.0, 1.0, hit);
}
