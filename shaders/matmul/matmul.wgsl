// Matrix product, with either factor transposed or not.
//
//   out[m, n] = sum over k of A[m, k] · B[k, n], with A = a or aᵀ and B = b or bᵀ
//
// Shapes     a (M, K) or (K, M), b (K, N) or (N, K) -> out (M, N); what lies outside a factor counts as zero
// Dispatch   (blocks of 8 · WIDTH rows, blocks of 16 columns, 1)
// Tile       a lane computes 2 times 4 neighbouring rows, 4 · WIDTH apart, by 16 columns in registers
// Shared     none
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

override WIDTH: u32 = 64u; // lanes a workgroup

// Inner steps from 4k on, columns from n on (a multiple of 16).
fn panel_at(k: u32, n: u32) -> Panel {
    if !TRANSPOSE_B {
        let c = n / 4u;
        let k0 = 4u * k;
        return Panel(
            load_b(k0, c), load_b(k0, c + 1u), load_b(k0, c + 2u), load_b(k0, c + 3u),
            load_b(k0 + 1u, c), load_b(k0 + 1u, c + 1u), load_b(k0 + 1u, c + 2u), load_b(k0 + 1u, c + 3u),
            load_b(k0 + 2u, c), load_b(k0 + 2u, c + 1u), load_b(k0 + 2u, c + 2u), load_b(k0 + 2u, c + 3u),
            load_b(k0 + 3u, c), load_b(k0 + 3u, c + 1u), load_b(k0 + 3u, c + 2u), load_b(k0 + 3u, c + 3u),
        );
    }
    return panel_of_columns(
        load_b(n, k), load_b(n + 1u, k), load_b(n + 2u, k), load_b(n + 3u, k),
        load_b(n + 4u, k), load_b(n + 5u, k), load_b(n + 6u, k), load_b(n + 7u, k),
        load_b(n + 8u, k), load_b(n + 9u, k), load_b(n + 10u, k), load_b(n + 11u, k),
        load_b(n + 12u, k), load_b(n + 13u, k), load_b(n + 14u, k), load_b(n + 15u, k),
    );
}

@compute @workgroup_size(WIDTH)
fn matmul(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let m = group.x * 8u * WIDTH + 4u * lane;
    let n = group.y * 16u;
    var b0 = Block();
    var b1 = Block();
    for (var k = 0u; k < (params.inner + 3u) / 4u; k++) {
        let panel = panel_at(k, n);
        b0 = add_product(b0, quad(m, k), panel);
        b1 = add_product(b1, quad(m + 4u * WIDTH, k), panel);
    }
    store(m, n, b0);
    store(m + 4u * WIDTH, n, b1);
}
