// Largest value of each column.
//
//   out[0, c] = max over the rows of x[row, c]
//
// Shapes     x (rows, C) -> out (1, C); C padded, handled as vec4 (pads are zero and stay zero)
// Dispatch   one lane a vec4 of columns, folded into y past 65535 groups
// Shared     none
// Order      does not matter

struct Params {
    rows: u32,
    quads: u32, // vec4 a row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;         // (rows, C)
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // (1, C)

override WIDTH: u32 = 64u; // lanes a group

@compute @workgroup_size(WIDTH)
fn max_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quad = (group.x + group.y * groups.x) * WIDTH + lane;
    if quad >= params.quads {
        return;
    }
    var highest = x[quad];
    for (var row = 1u; row < params.rows; row++) {
        highest = max(highest, x[row * params.quads + quad]);
    }
    out[quad] = highest;
}
