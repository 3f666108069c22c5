// The label that one head has for each image of a batch.
//
//   out[b] = table[head, draws[b].y], or "ignore" where labels[b] says so or the sample lies outside the table
//
// Shapes     table (T, N), draws (B, 4), labels (B) -> out (B), all unsigned
// Dispatch   one lane an image
// Shared     none
// Order      does not matter

struct Params {
    rows: u32,    // B
    padded: u32,  // B padded
    samples: u32, // N
    stride: u32,  // N padded
    head: u32,    // which row of the table
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<u32>;       // (T, N)
@group(0) @binding(2) var<storage, read> draws: array<vec4<u32>>; // (B, 4): place, sample, epoch, 0
@group(0) @binding(3) var<storage, read> labels: array<u32>;      // (B)
@group(0) @binding(4) var<storage, read_write> out: array<u32>;   // (B)

override WIDTH: u32 = 64u; // lanes a group

const IGNORED: u32 = 0xffffffffu;

@compute @workgroup_size(WIDTH)
fn gather_labels(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = (group.x + group.y * groups.x) * WIDTH + lane;
    if row >= params.padded {
        return;
    }
    if row >= params.rows {
        out[row] = 0u;
        return;
    }
    let sample = draws[row].y;
    var label = IGNORED;
    if labels[row] != IGNORED && sample < params.samples {
        label = table[params.head * params.stride + sample];
    }
    out[row] = label;
}
