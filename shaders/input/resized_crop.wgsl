// Bytes to normalised floats, cropped and resized by a list of source pixels and weights for every row and column.
//
//   out[b, y, x, c] = (sum over i, j of wy[i]·wx[j]·byte[y0 + i, x0 + j, c] / 255 - mean[c]) / deviation[c]
//
// For lists of any length; sliding_crop does those of at most three pixels with fewer reads.
//
// Shapes     bytes: packed words, image i at byte first + i·H·W·C (NHWC, C = 1 or 3); draws (B, 4): position in bytes,
//            sample, epoch, unused; taps (B, OH + OW, 1 + T) of crop_taps -> out (B, OH, OW, C)
// Dispatch   (ceil(OH / ROWS), B, ceil(OW / WIDTH)): a lane makes a strip of a column
// Shared     none
// Order      columns of a source row in rising order, then rows in rising order

struct Params {
    batch: u32,      // B
    height: u32,     // H
    width: u32,      // W
    channels: u32,   // C, 1 or 3
    out_height: u32, // OH
    out_width: u32,  // OW
    taps: u32,       // T
    first: u32,      // byte of image 0
    length: u32,     // bytes bound
    mean0: f32,
    mean1: f32,
    mean2: f32,
    mean3: f32,      // unused lane, 0
    deviation0: f32,
    deviation1: f32,
    deviation2: f32,
    deviation3: f32, // unused lane, 1
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> bytes: array<u32>;            // packed words
@group(0) @binding(2) var<storage, read> draws: array<vec4<u32>>;      // (B, 4)
@group(0) @binding(3) var<storage, read> taps: array<vec4<f32>>;       // (B, OH + OW, 1 + T)
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;  // (B, OH, OW, C)

override WIDTH: u32 = 64u; // lanes a workgroup, side by side in an image row
override ROWS: u32 = 8u;   // image rows a workgroup

fn byte_at(i: u32) -> f32 {
    if i >= params.length {
        return 0.0;
    }
    return f32((bytes[i / 4u] >> (i % 4u * 8u)) & 0xffu);
}

// The pixel whose bytes begin at i; lanes past C are 0.
fn pixel(i: u32) -> vec4<f32> {
    if params.channels == 1u {
        return vec4(byte_at(i), 0.0, 0.0, 0.0);
    }
    return vec4(byte_at(i), byte_at(i + 1u), byte_at(i + 2u), 0.0);
}

fn normalised(sum: vec4<f32>) -> vec4<f32> {
    let mean = vec4(params.mean0, params.mean1, params.mean2, params.mean3);
    let deviation = vec4(params.deviation0, params.deviation1, params.deviation2, params.deviation3);
    var value = (sum / 255.0 - mean) / deviation;
    if params.channels == 1u {
        value.y = 0.0;
        value.z = 0.0;
    }
    value.w = 0.0;
    return value;
}

@compute @workgroup_size(WIDTH)
fn resized_crop(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let b = group.y;
    let column = group.z * WIDTH + lane;
    if b >= params.batch || column >= params.out_width {
        return;
    }
    let image = params.first + draws[b].x * params.height * params.width * params.channels;
    let quads = (params.taps + 4u) / 4u;
    let table = b * (params.out_height + params.out_width);
    let x_list = (table + params.out_height + column) * quads;
    let x = u32(taps[x_list].x);
    let stride = params.width * params.channels;
    let end_row = min((group.x + 1u) * ROWS, params.out_height);
    for (var row = group.x * ROWS; row < end_row; row++) {
        let y_list = (table + row) * quads;
        let y = u32(taps[y_list].x);
        var sum = vec4(0.0);
        for (var i = 1u; i <= params.taps; i++) {
            let line_start = image + min(y + i - 1u, params.height - 1u) * stride;
            var line = vec4(0.0);
            for (var j = 1u; j <= params.taps; j++) {
                let at = min(x + j - 1u, params.width - 1u) * params.channels;
                line += taps[x_list + j / 4u][j % 4u] * pixel(line_start + at);
            }
            sum += taps[y_list + i / 4u][i % 4u] * line;
        }
        out[(b * params.out_height + row) * params.out_width + column] = normalised(sum);
    }
}
