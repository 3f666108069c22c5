// The labels that some heads have for each image of a batch.
//
//   out[b * heads + h] = table[head + h, draws[b].y], or "ignore" where labels[b] says so or the sample lies outside the table
//
// Shapes     table (T, N), draws (B, 4), labels (B) -> out (B * heads), all unsigned
// Dispatch   one lane a label
// Shared     none
// Order      does not matter

struct Params {
    rows: u32,    // B * heads
    padded: u32,  // that padded
    samples: u32, // N
    stride: u32,  // N padded
    head: u32,    // the first row of the table
    heads: u32,   // how many rows
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<u32>;       // (T, N)
@group(0) @binding(2) var<storage, read> draws: array<vec4<u32>>; // (B, 4): place, sample, epoch, 0
@group(0) @binding(3) var<storage, read> labels: array<u32>;      // (B)
@group(0) @binding(4) var<storage, read_write> out: array<u32>;   // (B * heads)

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
    let image = row / params.heads;
    let sample = draws[image].y;
    var label = IGNORED;
    if labels[image] != IGNORED && sample < params.samples {
        label = table[(params.head + row % params.heads) * params.stride + sample];
    }
    out[row] = label;
}
