// Bytes to normalised floats, cropped and resized by lists of at most three source pixels: enlarging, or shrinking by
// less than 3/2. A lane goes down a column and keeps its three source rows, already summed across, in registers, so that
// a source row is read once, however many rows of the result it serves.
//
//   out[b, y, x, c] = (sum over i, j of wy[i]·wx[j]·byte[y0 + i, x0 + j, c] / 255 - mean[c]) / deviation[c]
//
// Shapes     bytes: packed words, image i at byte first + i·H·W·C (NHWC, C = 1 or 3); draws (B, 4): position in bytes,
//            sample, epoch, unused; taps (B, OH + OW, 4) of crop_taps -> out (B, OH, OW, C)
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
    taps: u32,       // 3
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
override ROWS: u32 = 16u;  // image rows a workgroup

// Three pixels side by side by their weights (yzw). Their 9 or 3 bytes begin at byte i and lie in three words; a pixel
// past the end of its row has weight 0.
fn across(i: u32, weights: vec4<f32>) -> vec4<f32> {
    let last = params.length / 4u - 1u;
    let at = vec3(i / 4u) + vec3(0u, 1u, 2u);
    let held = min(at, vec3(last));
    var words = vec3(bytes[held.x], bytes[held.y], bytes[held.z]);
    words = select(words, vec3(0u), at > vec3(last));
    let shift = 8u * (i % 4u);
    // What the next word holds of the same four bytes; in two shifts, since one of 32 would be none.
    let upper = (vec2(words.y, words.z) << vec2(8u)) << vec2(24u - shift);
    let low = (words.x >> shift) | upper.x;
    let high = (words.y >> shift) | upper.y;
    let first = vec4<f32>((vec4(low) >> vec4(0u, 8u, 16u, 24u)) & vec4(0xffu));
    if params.channels == 1u {
        return vec4(dot(weights.yzw, first.xyz), 0.0, 0.0, 0.0);
    }
    let second = vec4<f32>((vec4(high) >> vec4(0u, 8u, 16u, 24u)) & vec4(0xffu));
    let ninth = f32((words.z >> shift) & 0xffu);
    let sum = weights.y * first.xyz + weights.z * vec3(first.w, second.xy) + weights.w * vec3(second.zw, ninth);
    return vec4(sum, 0.0);
}

@compute @workgroup_size(WIDTH)
fn sliding_crop(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let b = min(group.y, params.batch - 1u);
    let column = min(group.z * WIDTH + lane, params.out_width - 1u);
    let table = b * (params.out_height + params.out_width);
    let first_row = group.x * ROWS;
    let end_row = min(first_row + ROWS, params.out_height);
    let stride = params.width * params.channels;
    let last = params.height - 1u;
    let mean = vec4(params.mean0, params.mean1, params.mean2, params.mean3);
    let deviation = vec4(params.deviation0, params.deviation1, params.deviation2, params.deviation3);
    let lanes = select(vec4(1.0, 0.0, 0.0, 0.0), vec4(1.0, 1.0, 1.0, 0.0), params.channels == 3u);

    let weights = taps[table + params.out_height + column];
    let image = params.first + draws[b].x * params.height * stride + u32(weights.x) * params.channels;
    var tap = taps[table + first_row];
    // The three rows from `top`, one before the first that counts: every turn of the outer loop goes on by at least one.
    var top = i32(tap.x) - 1;
    var above = vec4(0.0);
    var here = across(image + u32(top + 1) * stride, weights);
    var below = across(image + min(u32(top + 2), last) * stride, weights);
    var row = first_row;
    // Loops that test at their end: a software adapter runs a body once more, without effect, when the test stands first.
    loop {
        loop {
            above = here;
            here = below;
            below = across(image + min(u32(top + 3), last) * stride, weights);
            top++;
            continuing {
                break if top >= i32(tap.x);
            }
        }
        let start = tap.x;
        loop {
            let sum = tap.y * above + tap.z * here + tap.w * below;
            if group.z * WIDTH + lane < params.out_width {
                let at = (b * params.out_height + row) * params.out_width + column;
                out[at] = (sum / 255.0 - mean) / deviation * lanes;
            }
            row++;
            tap = taps[table + min(row, end_row - 1u)];
            continuing {
                break if row >= end_row || tap.x != start;
            }
        }
        continuing {
            break if row >= end_row;
        }
    }
}
