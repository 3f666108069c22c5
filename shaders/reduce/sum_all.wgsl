// Sum of all elements, times a factor. Two dispatches of this shader: many groups into partial sums, then one group; where one
// group has room for all, that one alone.
//
//   out[g] = factor · sum over the g-th group's elements of x
//
// Shapes     x: `count` physical elements (pads are zero and add nothing) -> out: one element a group
// Dispatch   (G, 1, 1), group g takes elements g·chunk .. min((g+1)·chunk, count)
// Shared     WIDTH f32
// Order      each lane adds its own vec4 in rising order, their four sums, then a tree over lanes: the same bits every run

struct Params {
    count: u32,  // physical elements of x
    chunk: u32,  // elements a group
    outputs: u32, // physical elements of out that a lone group must write (pads), else 0
    factor: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;   // (count)
@group(0) @binding(2) var<storage, read_write> out: array<f32>; // (G)

override WIDTH: u32 = 64u; // lanes a group; a power of two

var<workgroup> partial: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn sum_all(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = group.x * params.chunk;
    let end = min(first + params.chunk, params.count);
    var total = vec4(0.0);
    for (var i = first + 4u * lane; i < end; i += 4u * WIDTH) {
        // Partial sums have pads that nobody wrote.
        total += select(vec4(0.0), x[i / 4u], i + vec4(0u, 1u, 2u, 3u) < vec4(end));
    }
    partial[lane] = (total.x + total.y) + (total.z + total.w);
    fold_sum(lane);
    if lane == 0u {
        out[group.x] = partial[0] * params.factor;
    }
    // The final dispatch also clears the pads of the scalar.
    if lane > 0u && lane < params.outputs {
        out[lane] = 0.0;
    }
}
