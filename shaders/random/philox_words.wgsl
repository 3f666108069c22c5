// Random words for given counters, cut so that a float32 comparison sees every bit: the proof that the device's Philox
// is the host's, and a way to look at any stream.
//
//   words[i] = philox4x32(counters[i], key);   out[i] = (upper halves, lower halves, below(word, bound), 2^24 · unit(word))
//
// Shapes     counters (n, 4) u32 -> out (n, 16) u32
// Dispatch   one lane a counter, folded into y past 65535 groups
// Shared     none
// Order      no reduction
// Paper      Salmon et al., SC 2011

struct Params {
    count: u32,    // n
    key_low: u32,  // key, first word
    key_high: u32, // key, second word
    bound: u32,    // n of below()
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> counters: array<vec4<u32>>;  // (n, 4)
@group(0) @binding(2) var<storage, read_write> out: array<vec4<u32>>; // (n, 16)

override WIDTH: u32 = 64u; // lanes a workgroup

@compute @workgroup_size(WIDTH)
fn philox_words(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WIDTH + lane;
    if i >= params.count {
        return;
    }
    let words = philox4x32(counters[i], vec2(params.key_low, params.key_high));
    out[4u * i] = words >> vec4(16u);
    out[4u * i + 1u] = words & vec4(0xffffu);
    var bounded = vec4(0u);
    var units = vec4(0u);
    for (var j = 0u; j < 4u; j++) {
        bounded[j] = below(words[j], params.bound);
        units[j] = u32(unit(words[j]) * 16777216.0);
    }
    out[4u * i + 2u] = bounded;
    out[4u * i + 3u] = units;
}
