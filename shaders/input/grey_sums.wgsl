// The grey of images as it is when their contrast's turn comes: sums over strips, of which colour_jitter makes the mean.
//
//   out[b, s] = sum over the pixels of strip s of grey(x after the adjustments that precede the contrast)
//   grey = 0.2989 R + 0.587 G + 0.114 B, or the one channel itself
//
// Shapes     images (B, H, W, C) in [0, 1], draws (B, 4) -> out (B, strips)
// Dispatch   (strips rounded up to a multiple of 4, B): a workgroup sums a strip; those past the last write its pads
// Shared     WIDTH floats
// Order      a lane sums every WIDTH-th pixel in rising order, a tree the lanes: the same bits every run

struct Params {
    batch: u32,    // B
    pixels: u32,   // H·W
    channels: u32, // C, 1 or 3
    strips: u32,
    brightness: f32,
    contrast: f32,
    saturation: f32,
    hue: f32,
    key0: u32,
    key1: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> images: array<vec4<f32>>;   // (B, H, W, C)
@group(0) @binding(2) var<storage, read> draws: array<vec4<u32>>;    // (B, 4)
@group(0) @binding(3) var<storage, read_write> out: array<f32>;      // (B, strips)

override WIDTH: u32 = 64u; // lanes a workgroup, a power of two

var<workgroup> partial: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn grey_sums(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let b = min(group.y, params.batch - 1u);
    let strength = vec4(params.brightness, params.contrast, params.saturation, params.hue);
    var plan = until_contrast(colour_plan(draws[b], vec2(params.key0, params.key1), strength, 0.0));
    plan.mean = vec3(0.0);
    let luminance = select(vec4(1.0, 0.0, 0.0, 0.0), vec4(0.2989, 0.587, 0.114, 0.0), params.channels == 3u);
    let strip = (params.pixels + params.strips - 1u) / params.strips;
    let end = min((group.x + 1u) * strip, params.pixels);
    var sum = 0.0;
    for (var i = group.x * strip + lane; i < end; i += WIDTH) {
        sum += dot(adjusted(images[b * params.pixels + i], plan, luminance), luminance);
    }
    partial[lane] = sum;
    fold_sum(lane);
    if lane == 0u && group.y < params.batch {
        out[b * ((params.strips + 3u) / 4u * 4u) + group.x] = partial[0];
    }
}
