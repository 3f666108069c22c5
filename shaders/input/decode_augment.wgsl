// Bytes to normalised floats, with a random crop of the zero-padded image and a random flip in training.
//
//   out[b, y, x, c] = (byte / 255 - mean[c]) / deviation[c],  byte = 0 outside the image
//   in training: words = philox((sample, epoch, 0, 0)); top = below(words.x, H + 2·padding - OH + 1) - padding, left
//   likewise from words.y; mirrored where the top bit of words.z is set and flips are on; otherwise the centre
//
// Shapes     bytes: packed words, image i at byte first + i·H·W·C (NHWC, C = 1 or 3); draws (B, 4): position in bytes,
//            sample, epoch, unused -> out (B, OH, OW, C)
// Dispatch   (ceil(OH / ROWS), B, 1): a workgroup makes a strip of an image; a lane draws once for all its pixels
// Shared     none
// Order      no reduction; random numbers depend on seed, epoch and sample alone

struct Params {
    batch: u32,      // B
    height: u32,     // H
    width: u32,      // W
    channels: u32,   // C, 1 or 3
    out_height: u32, // OH
    out_width: u32,  // OW
    padding: u32,
    augment: u32,    // bit 0: random crop, else the centre; bit 1: random flip
    first: u32,      // byte of image 0
    length: u32,     // bytes bound
    key0: u32,
    key1: u32,
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
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;  // (B, OH, OW, C)

override WIDTH: u32 = 8u; // lanes a workgroup, side by side in an image row
override ROWS: u32 = 32u;  // image rows a workgroup

fn byte_at(i: u32) -> f32 {
    if i >= params.length {
        return 0.0;
    }
    return f32((bytes[i / 4u] >> (i % 4u * 8u)) & 0xffu);
}

// Where a centre crop begins: half of what is free, rounded to the even side as torchvision does.
fn centre(size: u32, crop: u32) -> i32 {
    let free = i32(size) - i32(crop);
    let half = free >> 1u;
    return half + (free & half & 1);
}

@compute @workgroup_size(WIDTH)
fn decode_augment(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let b = group.y;
    if b >= params.batch {
        return;
    }
    let draw = draws[b];
    let mean = vec4(params.mean0, params.mean1, params.mean2, params.mean3);
    let deviation = vec4(params.deviation0, params.deviation1, params.deviation2, params.deviation3);
    var top = centre(params.height, params.out_height);
    var left = centre(params.width, params.out_width);
    var mirrored = false;
    if (params.augment & 1u) != 0u {
        let words = philox4x32(vec4(draw.y, draw.z, 0u, 0u), vec2(params.key0, params.key1));
        let room = 2u * params.padding + 1u;
        top = i32(below(words.x, params.height + room - params.out_height)) - i32(params.padding);
        left = i32(below(words.y, params.width + room - params.out_width)) - i32(params.padding);
        mirrored = (params.augment & 2u) != 0u && (words.z >> 31u) != 0u;
    }
    let first_row = group.x * ROWS;
    let end_row = min(first_row + ROWS, params.out_height);
    for (var row = first_row; row < end_row; row++) {
        let y = i32(row) + top;
        for (var column = lane; column < params.out_width; column += WIDTH) {
            let x = i32(select(column, params.out_width - 1u - column, mirrored)) + left;
            var value = vec4(0.0);
            if y >= 0 && y < i32(params.height) && x >= 0 && x < i32(params.width) {
                let pixel = (draw.x * params.height + u32(y)) * params.width + u32(x);
                let at = params.first + pixel * params.channels;
                value.x = byte_at(at);
                if params.channels == 3u {
                    value.y = byte_at(at + 1u);
                    value.z = byte_at(at + 2u);
                }
            }
            value = (value / 255.0 - mean) / deviation;
            if params.channels == 1u {
                value.y = 0.0;
                value.z = 0.0;
            }
            value.w = 0.0;
            out[(b * params.out_height + row) * params.out_width + column] = value;
        }
    }
}
