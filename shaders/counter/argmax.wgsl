// Index of the largest value of each row; of several, the first.
//
//   out[r] = min { n : x[r, n] = max_k x[r, k] }
//
// Shapes     x (R, N) -> out (R), unsigned
// Dispatch   one workgroup a row, folded into y past 65535; its lanes stride over N
// Shared     WIDTH f32 and WIDTH u32
// Order      does not matter: ties go to the lower index

struct Params {
    rows: u32,    // R
    columns: u32, // N
    stride: u32,  // N padded
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;          // (R, N)
@group(0) @binding(2) var<storage, read_write> out: array<u32>;  // (R)

override WIDTH: u32 = 64u; // lanes a row; a power of two, at least 4

const NONE: u32 = 0xffffffffu;

var<workgroup> best: array<f32, WIDTH>;
var<workgroup> place: array<u32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn argmax(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= params.rows {
        return;
    }
    let first = row * params.stride;
    var highest = 0.0;
    var at = NONE;
    for (var n = lane; n < params.columns; n += WIDTH) {
        let value = x[first + n];
        if at == NONE || value > highest {
            highest = value;
            at = n;
        }
    }
    best[lane] = highest;
    place[lane] = at;
    for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            let other = best[lane + half];
            let index = place[lane + half];
            let mine = best[lane];
            if index != NONE && (place[lane] == NONE || other > mine || (other == mine && index < place[lane])) {
                best[lane] = other;
                place[lane] = index;
            }
        }
    }
    if lane == 0u {
        out[row] = place[0];
    }
    // The last row's group also clears the pads of the result.
    let padded = (params.rows + 3u) / 4u * 4u;
    if row + 1u == params.rows && lane > 0u && row + lane < padded {
        out[row + lane] = 0u;
    }
}
