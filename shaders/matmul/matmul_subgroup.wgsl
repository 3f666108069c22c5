// Matrix product, as in matmul.wgsl, for subgroups of 8 lanes and costly loads (software adapters): the lanes load 8
// vectors of b together and pass them round.
//
//   out[m, n] = sum over k of A[m, k] · B[k, n], with A = a or aᵀ and B = b or bᵀ
//
// Shapes     a (M, K) or (K, M), b (K, N) or (N, K) -> out (M, N); what lies outside a factor counts as zero
// Dispatch   (blocks of 12 · WIDTH rows, blocks of 16 columns, 1)
// Tile       a lane computes 3 times 4 neighbouring rows, 4 · WIDTH apart, by 16 columns in registers
// Shared     none; needs subgroups of at least 8 lanes
// Order      each output is summed by one lane over k in rising order: the same bits every run

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

const WIDTH: u32 = 8u; // lanes a workgroup: the first 8 of one subgroup

@compute @workgroup_size(WIDTH)
fn matmul_subgroup(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let m = group.x * 12u * WIDTH + 4u * lane;
    let n = group.y * 16u;
    var b0 = Block();
    var b1 = Block();
    var b2 = Block();
    for (var k = 0u; k < (params.inner + 3u) / 4u; k++) {
        let panel = panel_at(k, n, lane);
        b0 = add_product(b0, quad(m, k), panel);
        b1 = add_product(b1, quad(m + 4u * WIDTH, k), panel);
        b2 = add_product(b2, quad(m + 8u * WIDTH, k), panel);
    }
    store(m, n, b0);
    store(m + 4u * WIDTH, n, b1);
    store(m + 8u * WIDTH, n, b2);
}
