// Colour jitter, random greyscale and normalisation of float images in [0, 1].
//
//   x = brightness, contrast, saturation and hue of the pixel in the image's random order (shared/colour.wgsl)
//   x = grey(x) in all channels where the image's draw says so
//   out[b, y, x, c] = (x[c] - mean[c]) / deviation[c]
//   words(k) = philox((sample, epoch, k, 0)): factors and hue from words(16), order and greyscale from words(17).xy
//
// Shapes     images (B, H, W, C) in [0, 1], draws (B, 4), sums (B, strips) of grey_sums -> out (B, H, W, C)
// Dispatch   (ceil(H·W / (WIDTH · PIXELS)), B): a lane draws once for all its pixels
// Shared     none
// Order      the strips' sums in rising order
// Source     torchvision ColorJitter, RandomGrayscale

struct Params {
    batch: u32,      // B
    pixels: u32,     // H·W
    channels: u32,   // C, 1 or 3
    strips: u32,     // 0: no contrast, and no sums
    brightness: f32,
    contrast: f32,
    saturation: f32,
    hue: f32,
    greyscale: f32,  // probability
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
@group(0) @binding(1) var<storage, read> images: array<vec4<f32>>;     // (B, H, W, C)
@group(0) @binding(2) var<storage, read> draws: array<vec4<u32>>;      // (B, 4)
@group(0) @binding(3) var<storage, read> sums: array<f32>;             // (B, strips)
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;  // (B, H, W, C)

override WIDTH: u32 = 64u;  // lanes a workgroup
override PIXELS: u32 = 16u; // pixels a lane

@compute @workgroup_size(WIDTH)
fn colour_jitter(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let b = group.y;
    if b >= params.batch {
        return;
    }
    let strength = vec4(params.brightness, params.contrast, params.saturation, params.hue);
    var plan = colour_plan(draws[b], vec2(params.key0, params.key1), strength, params.greyscale);
    var sum = 0.0;
    for (var strip = 0u; strip < params.strips; strip++) {
        sum += sums[b * ((params.strips + 3u) / 4u * 4u) + strip];
    }
    plan.mean *= sum / f32(params.pixels);
    let colour = params.channels == 3u;
    let luminance = select(vec4(1.0, 0.0, 0.0, 0.0), vec4(0.2989, 0.587, 0.114, 0.0), colour);
    let lanes = select(vec4(1.0, 0.0, 0.0, 0.0), vec4(1.0, 1.0, 1.0, 0.0), colour);
    let mean = vec4(params.mean0, params.mean1, params.mean2, params.mean3);
    let deviation = vec4(params.deviation0, params.deviation1, params.deviation2, params.deviation3);
    let first = group.x * WIDTH * PIXELS;
    let end = min(first + WIDTH * PIXELS, params.pixels);
    for (var i = first + lane; i < end; i += WIDTH) {
        var x = adjusted(images[b * params.pixels + i], plan, luminance);
        x = select(x, vec4(dot(x, luminance)), plan.greyscale);
        out[b * params.pixels + i] = (x - mean) / deviation * lanes;
    }
}
