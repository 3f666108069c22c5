// Number of rows whose chosen index is their label.
//
//   out = #{ r : chosen[r] = class_scale * labels[r / M] + view_scale * (r % M), labels[r / M] not "ignore" }
//
// Shapes     chosen (R), labels (B) -> out (1), R = B·M image-major
// Dispatch   one workgroup, its lanes stride over R
// Shared     WIDTH f32
// Order      counts below 2^24 are exact in any order

struct Params {
    rows: u32,        // R
    views: u32,       // M
    class_scale: u32,
    view_scale: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> chosen: array<u32>;     // (R)
@group(0) @binding(2) var<storage, read> labels: array<u32>;     // (B)
@group(0) @binding(3) var<storage, read_write> out: array<f32>;  // (1)

override WIDTH: u32 = 64u; // lanes; a power of two, at least 4

const IGNORED: u32 = 0xffffffffu;

var<workgroup> partial: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn count_matches(@builtin(local_invocation_index) lane: u32) {
    var total = 0.0;
    for (var row = lane; row < params.rows; row += WIDTH) {
        let class_label = labels[row / params.views];
        let label = params.class_scale * class_label + params.view_scale * (row % params.views);
        if class_label != IGNORED && chosen[row] == label {
            total += 1.0;
        }
    }
    partial[lane] = total;
    fold_sum(lane);
    if lane < 4u {
        out[lane] = select(0.0, partial[0], lane == 0u);
    }
}
