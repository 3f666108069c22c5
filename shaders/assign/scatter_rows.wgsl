// Writes rows to the places of their samples in a window of a store of rows: as float32, or two float16 a word.
//
//   store[draws[b].y - first, c] = values[b, c]   where labels[b] counts and the place lies in the window
//
// Shapes     values (B, C), draws (B, 4), labels (B), store (W, C) or (W, ceil(C / 2)) words updated
// Dispatch   one lane for each vec4 of a row of the store, of each row of values
// Shared     none
// Order      does not matter: a sample has one row in a batch; what passes float16's range is held at its ends

struct Params {
    rows: u32,       // B
    quads: u32,      // vec4 a row of values
    words: u32,      // vec4 a row of the store
    first: u32,      // the sample in the window's first row
    window: u32,     // W
    is_half: u32,    // 1: two float16 a word
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> values: array<vec4<f32>>;       // (B, C)
@group(0) @binding(2) var<storage, read> draws: array<vec4<u32>>;        // (B, 4): place, sample, epoch, 0
@group(0) @binding(3) var<storage, read> labels: array<u32>;             // (B)
@group(0) @binding(4) var<storage, read_write> store: array<vec4<u32>>;  // (W, C)

override WIDTH: u32 = 64u; // lanes a group

const IGNORED: u32 = 0xffffffffu;
const LARGEST: f32 = 65504.0; // of float16

fn value(row: u32, quad: u32) -> vec4<f32> {
    let loaded = values[row * params.quads + min(quad, params.quads - 1u)];
    return select(vec4(0.0), loaded, quad < params.quads);
}

fn packed(v: vec4<f32>) -> vec2<u32> {
    let held = clamp(v, vec4(-LARGEST), vec4(LARGEST));
    return vec2(pack2x16float(held.xy), pack2x16float(held.zw));
}

@compute @workgroup_size(WIDTH)
fn scatter_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WIDTH + lane;
    let row = i / params.words;
    let word = i % params.words;
    if row >= params.rows || labels[row] == IGNORED {
        return;
    }
    let sample = draws[row].y;
    if sample < params.first || sample - params.first >= params.window {
        return;
    }
    let at = (sample - params.first) * params.words + word;
    if params.is_half == 1u {
        store[at] = vec4(packed(value(row, 2u * word)), packed(value(row, 2u * word + 1u)));
    } else {
        store[at] = bitcast<vec4<u32>>(value(row, word));
    }
}
