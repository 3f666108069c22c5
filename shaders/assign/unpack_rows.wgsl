// Rows of float16, two a word, as float32.
//
//   out[i, c] = the c-th float16 of row i
//
// Shapes     words (R, ceil(C / 2)) -> out (R, C)
// Dispatch   QUADS vec4 of out a lane, WIDTH apart; folded into y past 65535 groups
// Shared     none
// Order      does not matter

struct Params {
    rows: u32,  // R
    quads: u32, // vec4 a row of out
    words: u32, // words a row, padded
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> words: array<vec2<u32>>;     // (R, ceil(C / 2))
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // (R, C)

override WIDTH: u32 = 64u; // lanes a group
override QUADS: u32 = 1u;  // vec4 a lane

@compute @workgroup_size(WIDTH)
fn unpack_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * WIDTH * QUADS + lane;
    let end = min(first + WIDTH * QUADS, params.rows * params.quads);
    var at = quad_of(first, params.quads);
    for (var i = first; i < end; i += WIDTH) {
        let pair = words[at.y * (params.words / 2u) + at.x];
        out[i] = vec4(unpack2x16float(pair.x), unpack2x16float(pair.y));
        at = next_quad(at, params.quads);
    }
}
