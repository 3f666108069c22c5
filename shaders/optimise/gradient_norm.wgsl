// Euclidean norm of a flat buffer, in two dispatches of this shader: many groups into partial sums, then one group.
//
//   mode 0   out[g] = sum over the g-th group's elements of x^2
//   mode 1   out[0] = sqrt(sum of x)
//
// Shapes     x: `count` physical elements (pads are zero and add nothing) -> out: one element a group
// Dispatch   (G, 1, 1), group g takes elements g·chunk .. min((g+1)·chunk, count)
// Shared     WIDTH f32
// Order      each lane adds its own vec4 in rising order, their four sums, then a tree over lanes: the same bits every run

struct Params {
    count: u32, // physical elements of x
    chunk: u32, // elements a group
    mode: u32,  // 0 squares, 1 root; mode 1 also clears the pads of out (1)
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;   // (count)
@group(0) @binding(2) var<storage, read_write> out: array<f32>; // (G)

override WIDTH: u32 = 64u; // lanes a group; a power of two, at least 4

var<workgroup> partial: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn gradient_norm(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = group.x * params.chunk;
    let end = min(first + params.chunk, params.count);
    var total = vec4(0.0);
    for (var i = first + 4u * lane; i < end; i += 4u * WIDTH) {
        // Partial sums have pads that nobody wrote.
        let value = select(vec4(0.0), x[i / 4u], i + vec4(0u, 1u, 2u, 3u) < vec4(end));
        total += select(value, value * value, params.mode == 0u);
    }
    partial[lane] = (total.x + total.y) + (total.z + total.w);
    fold_sum(lane);
    if lane == 0u {
        out[group.x] = select(sqrt(partial[0]), partial[0], params.mode == 0u);
    }
    if params.mode == 1u && lane > 0u && lane < 4u {
        out[lane] = 0.0;
    }
}
