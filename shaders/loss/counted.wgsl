// Which rows count: 1 for a row whose image has a label, 0 for one that is to be ignored.
//
//   out[r] = [labels[r / M] != 0xffffffff]
//
// Shapes     labels (B) -> out (R), R = B·M image-major
// Dispatch   one lane a physical element of out, folded into y past 65535 groups
// Shared     none
// Order      no reduction

struct Params {
    rows: u32,  // R
    count: u32, // R padded
    views: u32, // M
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> labels: array<u32>;     // (B)
@group(0) @binding(2) var<storage, read_write> out: array<f32>;  // (R)

override WIDTH: u32 = 64u; // lanes a workgroup

const IGNORED: u32 = 0xffffffffu;

@compute @workgroup_size(WIDTH)
fn counted(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WIDTH + lane;
    if i >= params.count {
        return;
    }
    var value = 0.0;
    if i < params.rows && labels[i / params.views] != IGNORED {
        value = 1.0;
    }
    out[i] = value;
}
