// Bytes to normalised floats, cropped and resized by a list of source pixels and weights for every row and column.
//
//   out[b, y, x, c] = (sum over i, j of wy[i]·wx[j]·byte[y0 + i, x0 + j, c] / 255 - mean[c]) / deviation[c]
//
// Where no list is longer than three pixels (enlarging, or shrinking by less than 3/2), a lane goes down a column and
// keeps its three source rows, already summed across, in registers: a source row is read once, however many rows of the
// result it serves.
//
// Shapes     bytes: packed words, image i at byte first + i·H·W·C (NHWC, C = 1 or 3); draws (B, 4): position in bytes,
//            sample, epoch, unused; taps (B, OH + OW, 1 + T) of crop_taps -> out (B, OH, OW, C)
// Dispatch   (ceil(OH / ROWS), B, ceil(OW / WIDTH) or 1): a lane makes a strip of a column
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

// Three pixels of a row by their weights (yzw); row is its first byte, columns are bytes from there.
fn across(row: u32, columns: vec3<u32>, weights: vec4<f32>) -> vec4<f32> {
    return weights.y * pixel(row + columns.x) + weights.z * pixel(row + columns.y) + weights.w * pixel(row + columns.z);
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

// Rows first_row .. end_row of a column whose lists have at most three pixels.
fn slide(b: u32, image: u32, column: u32, first_row: u32, end_row: u32) {
    let table = b * (params.out_height + params.out_width);
    let weights = taps[table + params.out_height + column];
    let x = vec3(u32(weights.x)) + vec3(0u, 1u, 2u);
    let columns = min(x, vec3(params.width - 1u)) * params.channels;
    let stride = params.width * params.channels;
    let last = params.height - 1u;
    var top = u32(taps[table + first_row].x);
    var above = across(image + top * stride, columns, weights);
    var here = across(image + min(top + 1u, last) * stride, columns, weights);
    var below = across(image + min(top + 2u, last) * stride, columns, weights);
    for (var row = first_row; row < end_row; row++) {
        let tap = taps[table + row];
        let start = u32(tap.x);
        for (; top < start; top++) {
            above = here;
            here = below;
            below = across(image + min(top + 3u, last) * stride, columns, weights);
        }
        let sum = tap.y * above + tap.z * here + tap.w * below;
        out[(b * params.out_height + row) * params.out_width + column] = normalised(sum);
    }
}

// Rows first_row .. end_row of a column with lists of any length.
fn gather(b: u32, image: u32, column: u32, first_row: u32, end_row: u32) {
    let quads = (params.taps + 4u) / 4u;
    let table = b * (params.out_height + params.out_width);
    let x_list = (table + params.out_height + column) * quads;
    let x = u32(taps[x_list].x);
    let stride = params.width * params.channels;
    for (var row = first_row; row < end_row; row++) {
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

@compute @workgroup_size(WIDTH)
fn resized_crop(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let b = group.y;
    if b >= params.batch {
        return;
    }
    let image = params.first + draws[b].x * params.height * params.width * params.channels;
    let first_row = group.x * ROWS;
    let end_row = min(first_row + ROWS, params.out_height);
    for (var column = group.z * WIDTH + lane; column < params.out_width; column += groups.z * WIDTH) {
        if params.taps <= 3u {
            slide(b, image, column, first_row, end_row);
        } else {
            gather(b, image, column, first_row, end_row);
        }
    }
}
