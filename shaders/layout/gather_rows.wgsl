// Rows of a store by their numbers. A store in several windows takes one dispatch a window, the first of them fresh.
//
//   out[b, d] = store[indices[b] - base, d]   where that row lies in this window
//   and where it does not: zero when fresh, else what was there
//
// Shapes     store (W, D), indices (B), unsigned -> out (B, D); handled as vec4, pads of the store are zero and stay so
// Dispatch   QUADS vec4 of out a lane, WIDTH apart; folded into y past 65535 groups
// Shared     none
// Order      no reduction

struct Params {
    count: u32, // vec4s of out
    quads: u32, // vec4s a row
    rows: u32,  // W
    base: u32,  // number of the window's first row
    fresh: u32, // 1 in the first window
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> store: array<vec4<f32>>;      // (W, D)
@group(0) @binding(2) var<storage, read> indices: array<u32>;          // (B)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;  // (B, D)

override WIDTH: u32 = 64u; // lanes a workgroup
override QUADS: u32 = 1u;  // vec4 a lane

@compute @workgroup_size(WIDTH)
fn gather_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * WIDTH * QUADS + lane;
    let end = min(first + WIDTH * QUADS, params.count);
    var at = quad_of(first, params.quads);
    for (var i = first; i < end; i += WIDTH) {
        // Wraps past W for a row before this window.
        let row = indices[at.y] - params.base;
        if row < params.rows {
            out[i] = store[row * params.quads + at.x];
        } else if params.fresh == 1u {
            out[i] = vec4(0.0);
        }
        at = next_quad(at, params.quads);
    }
}
