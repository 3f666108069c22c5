// Sum of partial results: the second stage of split products.
//
//   out[i] = sum over g of part[g, i]
//
// Shapes     part (parts, count), out (count), as vec4
// Dispatch   one lane a vec4, folded into y past 65535 groups
// Shared     none
// Order      each output is summed by one lane in rising order of g: the same bits every run

struct Params {
    count: u32, // physical elements of one part / 4
    parts: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> part: array<vec4<f32>>;      // (parts, count)
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // (count)

override WIDTH: u32 = 64u; // lanes a workgroup

@compute @workgroup_size(WIDTH)
fn sum_parts(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WIDTH + lane;
    if i >= params.count {
        return;
    }
    var total = vec4(0.0);
    for (var g = 0u; g < params.parts; g++) {
        total += part[g * params.count + i];
    }
    out[i] = total;
}
