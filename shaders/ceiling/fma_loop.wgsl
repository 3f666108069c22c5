// Multiply-adds on registers alone: the operations per second that no kernel passes.
//
//   out[i] = sum over 16 values v, each v = i mod 7 + its number, then `rounds` times v = factor · v + term
//
// Shapes     out (lanes)
// Dispatch   one lane an output, folded into y past 65535 groups
// Shared     none
// Order      each output is summed by one lane: the same bits every run

struct Params {
    lanes: u32,  // outputs
    rounds: u32, // a multiple of 8
    factor: f32,
    term: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>; // (lanes)

override WIDTH: u32 = 64u; // lanes a workgroup

@compute @workgroup_size(WIDTH)
fn fma_loop(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WIDTH + lane;
    if i >= params.lanes {
        return;
    }
    var a = vec4(f32(i % 7u)) + vec4(0.0, 1.0, 2.0, 3.0);
    var b = a + 4.0;
    var c = a + 8.0;
    var d = a + 12.0;
    let m = vec4(params.factor);
    let t = vec4(params.term);
    for (var round = 0u; round < params.rounds; round += 8u) {
        a = fma(a, m, t);
        b = fma(b, m, t);
        c = fma(c, m, t);
        d = fma(d, m, t);
        a = fma(a, m, t);
        b = fma(b, m, t);
        c = fma(c, m, t);
        d = fma(d, m, t);
        a = fma(a, m, t);
        b = fma(b, m, t);
        c = fma(c, m, t);
        d = fma(d, m, t);
        a = fma(a, m, t);
        b = fma(b, m, t);
        c = fma(c, m, t);
        d = fma(d, m, t);
        a = fma(a, m, t);
        b = fma(b, m, t);
        c = fma(c, m, t);
        d = fma(d, m, t);
        a = fma(a, m, t);
        b = fma(b, m, t);
        c = fma(c, m, t);
        d = fma(d, m, t);
        a = fma(a, m, t);
        b = fma(b, m, t);
        c = fma(c, m, t);
        d = fma(d, m, t);
        a = fma(a, m, t);
        b = fma(b, m, t);
        c = fma(c, m, t);
        d = fma(d, m, t);
    }
    let sum = a + b + c + d;
    out[i] = sum.x + sum.y + sum.z + sum.w;
}
