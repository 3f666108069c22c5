// What each row and each column of a crop is made of: resize of the whole image, crop, resize of the crop, in one list
// of source pixels and weights. The separable weights of both resizes are multiplied here, so that the pixels are read
// once and a small result costs little.
//
//   resize of n pixels to m: output o has the weights max(0, 1 - |(j + 1/2) - c| / s) / sum, c = (n/m)·(o + 1/2),
//   s = max(1, n/m): bilinear and antialiased, as torch.nn.functional.interpolate does it; all integer but the quotient
//   words(k) = philox((sample, epoch, k, 0)); mirrored where the top bit of words(0).z is set and flips are on
//   place 0: at (top, left) · place 1: at below(words(0).xy, places) - padding
//   place 2: the first of ten tries t with 0 < h <= H and 0 < w <= W, else the fallback: area = H·W·uniform(scale),
//            r = exp(uniform(log ratio)), w = round(sqrt(area·r)), h = round(sqrt(area / r)), both from words(1 + t)
//
// Shapes     draws (B, 4): position, sample, epoch, unused -> taps (B, OH + OW, 1 + T): first source pixel, T weights
// Dispatch   one lane an output row or column; (ceil((OH + OW) / WIDTH), B)
// Shared     none
// Order      a weight sums its products in rising order of the resized image's pixels
// Source     torchvision RandomResizedCrop.get_params; PyTorch UpSampleKernel.cpp (antialias)

struct Params {
    batch: u32,         // B
    height: u32,        // H
    width: u32,         // W
    mid_height: u32,    // H after the first resize
    mid_width: u32,
    out_height: u32,    // OH
    out_width: u32,     // OW
    taps: u32,          // T
    place: u32,         // 0 fixed, 1 random place, 2 random-resized
    flip: u32,          // 1: mirrored with probability 1/2
    top: i32,           // fixed place, or the fallback's
    left: i32,
    part_height: u32,   // size of the part at a fixed or random place, or the fallback's
    part_width: u32,
    padding: u32,
    scale_low: f32,
    scale_high: f32,
    log_ratio_low: f32,
    log_ratio_high: f32,
    key0: u32,
    key1: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> draws: array<vec4<u32>>;       // (B, 4)
@group(0) @binding(2) var<storage, read_write> taps: array<vec4<f32>>;  // (B, OH + OW, 1 + T)

override WIDTH: u32 = 64u; // lanes a workgroup

// The source pixels low .. high of output pixel o when n pixels become m, and what their weights are counted in.
struct Triangle {
    low: i32,
    high: i32,
    n: i32,
    m: i32,
    o: i32,
    total: f32,
}

// The weight of source pixel j, times the total.
fn height_at(t: Triangle, j: i32) -> i32 {
    if j < t.low || j >= t.high {
        return 0;
    }
    return 2 * max(t.n, t.m) - abs((2 * j + 1) * t.m - t.n * (2 * t.o + 1));
}

fn triangle(n: i32, m: i32, o: i32) -> Triangle {
    let middle = n * (2 * o + 1);
    let wide = 2 * max(n, m);
    var t = Triangle(max(middle - wide + m, 0) / (2 * m), min((middle + wide + m) / (2 * m), n), n, m, o, 0.0);
    if n == m {
        t.low = o;
        t.high = o + 1;
    }
    var total = 0;
    for (var j = t.low; j < t.high; j++) {
        total += height_at(t, j);
    }
    t.total = f32(total);
    return t;
}

// The part of a draw: top, left, height, width.
fn part_of(draw: vec4<u32>) -> vec4<i32> {
    let key = vec2(params.key0, params.key1);
    var part = vec4(params.top, params.left, i32(params.part_height), i32(params.part_width));
    if params.place == 1u {
        let words = philox4x32(vec4(draw.y, draw.z, 0u, 0u), key);
        let room = 2u * params.padding + 1u;
        part.x = i32(below(words.x, params.mid_height + room - params.out_height)) - i32(params.padding);
        part.y = i32(below(words.y, params.mid_width + room - params.out_width)) - i32(params.padding);
    }
    if params.place == 2u {
        let whole = f32(params.mid_height * params.mid_width);
        for (var t = 1u; t <= 10u; t++) {
            let words = philox4x32(vec4(draw.y, draw.z, t, 0u), key);
            let area = whole * (params.scale_low + (params.scale_high - params.scale_low) * unit(words.x));
            let log_ratio = params.log_ratio_low + (params.log_ratio_high - params.log_ratio_low) * unit(words.y);
            let ratio = exp(log_ratio);
            let w = u32(round(sqrt(area * ratio)));
            let h = u32(round(sqrt(area / ratio)));
            if w >= 1u && w <= params.mid_width && h >= 1u && h <= params.mid_height {
                let top = below(words.z, params.mid_height - h + 1u);
                let left = below(words.w, params.mid_width - w + 1u);
                part = vec4(i32(top), i32(left), i32(h), i32(w));
                break;
            }
        }
    }
    return part;
}

@compute @workgroup_size(WIDTH)
fn crop_taps(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let b = group.y;
    let rows = params.out_height + params.out_width;
    let row = group.x * WIDTH + lane;
    if b >= params.batch || row >= rows {
        return;
    }
    let draw = draws[b];
    let part = part_of(draw);
    var o = row;
    var source = i32(params.height);
    var middle = i32(params.mid_height);
    var out = i32(params.out_height);
    var first = part.x;
    var length = part.z;
    if row >= params.out_height {
        o = row - params.out_height;
        let words = philox4x32(vec4(draw.y, draw.z, 0u, 0u), vec2(params.key0, params.key1));
        if params.flip != 0u && (words.z >> 31u) != 0u {
            o = params.out_width - 1u - o;
        }
        source = i32(params.width);
        middle = i32(params.mid_width);
        out = i32(params.out_width);
        first = part.y;
        length = part.w;
    }
    let outer = triangle(length, out, i32(o));
    // Pixels of the resized image that lie in it: the others are the black border.
    let low = max(first + outer.low, 0);
    let high = min(first + outer.high, middle);
    var start = 0;
    if low < high {
        start = triangle(source, middle, low).low;
    }
    let quads = (params.taps + 4u) / 4u;
    for (var quad = 0u; quad < quads; quad++) {
        var entry = vec4(0.0);
        for (var r = low; r < high; r++) {
            let inner = triangle(source, middle, r);
            let weight = f32(height_at(outer, r - first)) / (outer.total * inner.total);
            for (var i = 0u; i < 4u; i++) {
                entry[i] += weight * f32(height_at(inner, start + i32(4u * quad + i) - 1));
            }
        }
        if quad == 0u {
            entry.x = f32(start);
        }
        taps[(b * rows + row) * quads + quad] = entry;
    }
}
