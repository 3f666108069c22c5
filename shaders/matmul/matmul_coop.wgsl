// Matrix product on cooperative matrices, as in matmul.wgsl, with factors rounded to half precision.
//
//   out[m, n] = sum over k of A[m, k] · B[k, n], with A = a or aᵀ and B = b or bᵀ
//
// Shapes     a (M, K) or (K, M), b (K, N) or (N, K) -> out (M, N); what lies outside a factor counts as zero
// Dispatch   (blocks of ROWS rows, blocks of COLUMNS columns, 1)
// Tile       a workgroup computes ROWS by COLUMNS outputs, each subgroup 1 to 16 matrices of them
// Shared     32 steps of both factors in half precision and a matrix of sums a subgroup, at most 39,952 bytes
//            (cooperative.wgsl); needs cooperative matrices, f16 and subgroups
// Order      each output is summed in one order of k, as the matrix unit adds: the same bits every run

enable f16;
enable wgpu_cooperative_matrix;

struct Params {
    rows: u32,     // M
    columns: u32,  // N
    inner: u32,    // K
    a_rows: u32,   // rows of a as it lies in memory
    a_stride: u32, // vec4 a row of a
    b_rows: u32,   // rows of b as it lies in memory
    b_stride: u32, // vec4 a row of b
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;         // (M, K), or (K, M) where TRANSPOSE_A
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;         // (K, N), or (N, K) where TRANSPOSE_B
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // (M, N)

override TRANSPOSE_A: bool = false;
override TRANSPOSE_B: bool = false;

@compute @workgroup_size(LANES)
fn matmul_coop(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) sublane: u32,
) {
    tile(group.x * ROWS, group.y * COLUMNS, steps(), lane, subgroup, sublane);
}
