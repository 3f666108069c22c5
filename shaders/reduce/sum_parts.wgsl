// Sum of partial results: the second stage of split products.
//
//   out[i] = sum over g of part[g, i]
//
// Shapes     part (parts, count), out (count), as vec4
// Dispatch   SHARES lanes for QUADS vec4, WIDTH apart; folded into y past 65535 groups
// Shared     WIDTH vec4 where lanes share an output's parts
// Order      each output is summed by one lane in rising order of g; where lanes share its parts, each sums every SHARES-th in
//            four interleaved sums, then the lanes' sums are added in their order: fixed

struct Params {
    count: u32, // physical elements of one part / 4
    parts: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> part: array<vec4<f32>>;      // (parts, count)
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // (count)

override WIDTH: u32 = 64u; // lanes a workgroup
override QUADS: u32 = 1u;  // vec4 a lane: 1, or 4 so that a software adapter reads 512 bytes of a part in a row
override SHARES: u32 = 1u; // lanes that share the parts of a vec4, where QUADS is 1

var<workgroup> sums: array<vec4<f32>, WIDTH>;

@compute @workgroup_size(WIDTH)
fn sum_parts(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    if SHARES > 1u {
        let shared_output = (group.x + group.y * groups.x) * ACROSS + lane % ACROSS;
        sum_shared(shared_output, params.count, params.parts, shared_output, shared_output < params.count, lane);
        return;
    }
    let i = (group.x + group.y * groups.x) * WIDTH * QUADS + lane;
    if i >= params.count {
        return;
    }
    var a = vec4(0.0);
    var b = vec4(0.0);
    var c = vec4(0.0);
    var d = vec4(0.0);
    let last = params.count - 1u;
    for (var g = 0u; g < params.parts; g++) {
        let at = g * params.count;
        a += part[at + i];
        if QUADS == 4u {
            b += part[at + min(i + WIDTH, last)];
            c += part[at + min(i + 2u * WIDTH, last)];
            d += part[at + min(i + 3u * WIDTH, last)];
        }
    }
    out[i] = a;
    if QUADS == 4u {
        if i + WIDTH <= last { out[i + WIDTH] = b; }
        if i + 2u * WIDTH <= last { out[i + 2u * WIDTH] = c; }
        if i + 3u * WIDTH <= last { out[i + 3u * WIDTH] = d; }
    }
}
