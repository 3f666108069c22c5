// Matrix product, as in matmul_subgroup.wgsl, with a tile for large matrices: fewer loads a multiply-add, and more code.
//
//   out[m, n] = sum over k of A[m, k] · B[k, n], with A = a or aᵀ and B = b or bᵀ
//
// Shapes     a (M, K) or (K, M), b (K, N) or (N, K) -> out (M, N); what lies outside a factor counts as zero
// Dispatch   (blocks of 8 · WIDTH rows, blocks of 64 columns, 1)
// Tile       a lane computes twice 4 neighbouring rows, 4 · WIDTH apart, by 64 columns in registers
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
fn matmul_wide(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let m = group.x * 8u * WIDTH + 4u * lane;
    let n = group.y * 64u;
    var a0 = Block();
    var b0 = Block();
    var c0 = Block();
    var d0 = Block();
    var a1 = Block();
    var b1 = Block();
    var c1 = Block();
    var d1 = Block();
    for (var k = 0u; k < (params.inner + 3u) / 4u; k++) {
        let upper = quad(m, k);
        let lower = quad(m + 4u * WIDTH, k);
        let a = panel_at(k, n, lane);
        a0 = add_product(a0, upper, a);
        a1 = add_product(a1, lower, a);
        let b = panel_at(k, n + 16u, lane);
        b0 = add_product(b0, upper, b);
        b1 = add_product(b1, lower, b);
        let c = panel_at(k, n + 32u, lane);
        c0 = add_product(c0, upper, c);
        c1 = add_product(c1, lower, c);
        let d = panel_at(k, n + 48u, lane);
        d0 = add_product(d0, upper, d);
        d1 = add_product(d1, lower, d);
    }
    store(m, n, a0);
    store(m, n + 16u, b0);
    store(m, n + 32u, c0);
    store(m, n + 48u, d0);
    store(m + 4u * WIDTH, n, a1);
    store(m + 4u * WIDTH, n + 16u, b1);
    store(m + 4u * WIDTH, n + 32u, c1);
    store(m + 4u * WIDTH, n + 48u, d1);
}
