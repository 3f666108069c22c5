// Matrix product for GPUs, as in matmul.wgsl, with both factors in tiles of workgroup memory.
//
//   out[m, n] = sum over k of A[m, k] · B[k, n], with A = a or aᵀ and B = b or bᵀ
//
// Shapes     a (M, K) or (K, M), b (K, N) or (N, K) -> out (M, N); what lies outside a factor counts as zero
// Dispatch   (blocks of ROWS rows, blocks of COLUMNS columns, 1)
// Tile       a workgroup computes ROWS by COLUMNS outputs, a lane 8 by 4 or 8 by 8 of them in registers
// Shared     16 steps of both factors, at most 13,312 bytes (tile.wgsl)
// Order      each output is summed by one lane in one order of k: the same bits every run

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
fn matmul_tiled(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    tile(group.x * ROWS, group.y * COLUMNS, steps(), lane);
}
