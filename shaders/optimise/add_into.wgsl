// Adds a micro-batch's gradients to the sum; the first micro-batch of a step overwrites it.
//
//   total = part where step[4] is 0, else total + part
//
// Shapes     part, total (n); step (8), word 4 the micro-batch's number within the step
// Dispatch   QUADS vec4 a lane, WIDTH apart; folded into y past 65535 groups
// Shared     none
// Order      micro-batches are added in their order

struct Params {
    count: u32, // physical elements / 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> step_words: array<u32>;         // (8)
@group(0) @binding(2) var<storage, read> part: array<vec4<f32>>;         // (n)
@group(0) @binding(3) var<storage, read_write> total: array<vec4<f32>>;  // (n)

override WIDTH: u32 = 64u; // lanes a workgroup
override QUADS: u32 = 1u;  // vec4 a lane

@compute @workgroup_size(WIDTH)
fn add_into(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * WIDTH * QUADS + lane;
    let end = min(first + WIDTH * QUADS, params.count);
    let further = step_words[4] != 0u;
    for (var i = first; i < end; i += WIDTH) {
        var value = part[i];
        if further {
            value += total[i];
        }
        total[i] = value;
    }
}
