// Entropy terms of shares, and their derivative applied to u.
//
//   out[i] = u[i] · (log(m[i] + 1e-20) + shift · m[i] / (m[i] + 1e-20))
//   with u = m and shift = 0 the terms m log(m + 1e-20); with shift = 1 their derivative times u
//
// Shapes     m, u, out: any, the same; handled as vec4 over the padded elements (u is zero in pads, so they stay zero)
// Dispatch   one lane a vec4, folded into y past 65535 groups
// Shared     none
// Order      no reduction
// Paper      MAXL eq. 5, the entropy of the batch-mean label

struct Params {
    count: u32, // physical elements / 4
    shift: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> m: array<vec4<f32>>; // any
@group(0) @binding(2) var<storage, read> u: array<vec4<f32>>; // as m
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // as the input

override WIDTH: u32 = 64u; // lanes a workgroup

@compute @workgroup_size(WIDTH)
fn entropy(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WIDTH + lane;
    if i >= params.count {
        return;
    }
    let floored = m[i] + vec4(1e-20);
    out[i] = u[i] * (log(floored) + params.shift * m[i] / floored);
}
