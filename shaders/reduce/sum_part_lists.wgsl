// Sums of the partial results of several split products, each as sum_parts.wgsl where lanes share its parts.
//
//   out[to + i] = sum over g of part[from + g · count + i],  i < count, for each product
//
// Shapes     part and out hold all products; list (GROUPS, 5): a workgroup's first vector in part and in out, its outputs, count, parts
// Dispatch   one group for WIDTH / SHARES vec4 of a product, folded into y past 65535 groups
// Shared     WIDTH vec4
// Order      as sum_parts.wgsl: each lane every SHARES-th part in four interleaved sums, then the lanes' sums in their order: fixed

struct Params {
    groups: u32, // GROUPS
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> part: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> list: array<u32>;            // (GROUPS, 5)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

override WIDTH: u32 = 256u; // lanes a workgroup
override SHARES: u32 = 16u; // lanes that share the parts of a vec4

var<workgroup> sums: array<vec4<f32>, WIDTH>;

@compute @workgroup_size(WIDTH)
fn sum_part_lists(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group.x + group.y * groups.x;
    let row = 5u * min(index, params.groups - 1u);
    let i = lane % ACROSS;
    let inside = index < params.groups && i < list[row + 2u];
    sum_shared(list[row] + i, list[row + 3u], list[row + 4u], list[row + 1u] + i, inside, lane);
}
