// What all matrix products share: loads of both factors, blocks of 4 rows by 16 columns, and stores. Appended after a
// kernel with matmul.wgsl's bindings and overrides, and with panel.wgsl.

// A vector of a, zero in rows past the last.
fn load_a(row: u32, column: u32) -> vec4<f32> {
    let value = a[min(row, params.a_rows - 1u) * params.a_stride + min(column, params.a_stride - 1u)];
    return value * select(0.0, 1.0, row < params.a_rows);
}

// A vector of b, zero in rows past the last.
fn load_b(row: u32, column: u32) -> vec4<f32> {
    let value = b[min(row, params.b_rows - 1u) * params.b_stride + min(column, params.b_stride - 1u)];
    return value * select(0.0, 1.0, row < params.b_rows);
}

// 4 neighbouring rows of A at 4 steps of the inner dimension.
struct Quad {
    r0: vec4<f32>,
    r1: vec4<f32>,
    r2: vec4<f32>,
    r3: vec4<f32>,
}

// Rows from m on (a multiple of 4), inner steps from 4k on.
fn quad(m: u32, k: u32) -> Quad {
    if !TRANSPOSE_A {
        return Quad(load_a(m, k), load_a(m + 1u, k), load_a(m + 2u, k), load_a(m + 3u, k));
    }
    let k0 = load_a(4u * k, m / 4u);
    let k1 = load_a(4u * k + 1u, m / 4u);
    let k2 = load_a(4u * k + 2u, m / 4u);
    let k3 = load_a(4u * k + 3u, m / 4u);
    return Quad(
        vec4(k0.x, k1.x, k2.x, k3.x),
        vec4(k0.y, k1.y, k2.y, k3.y),
        vec4(k0.z, k1.z, k2.z, k3.z),
        vec4(k0.w, k1.w, k2.w, k3.w),
    );
}

// 16 outputs of each of 4 rows.
struct Block {
    r0: Sums,
    r1: Sums,
    r2: Sums,
    r3: Sums,
}

fn add_product(block: Block, rows: Quad, panel: Panel) -> Block {
    return Block(
        multiply_add(block.r0, rows.r0, panel),
        multiply_add(block.r1, rows.r1, panel),
        multiply_add(block.r2, rows.r2, panel),
        multiply_add(block.r3, rows.r3, panel),
    );
}

// Columns past N are pads and stay zero.
fn masked(value: vec4<f32>, n: u32) -> vec4<f32> {
    return select(vec4(0.0), value, vec4(n) + vec4(0u, 1u, 2u, 3u) < vec4(params.columns));
}

fn store_row(m: u32, n: u32, sums: Sums) {
    if m >= params.rows || n >= params.columns {
        return;
    }
    let at = m * ((params.columns + 3u) / 4u) + n / 4u;
    out[at] = masked(sums.a, n);
    if n + 4u < params.columns { out[at + 1u] = masked(sums.b, n + 4u); }
    if n + 8u < params.columns { out[at + 2u] = masked(sums.c, n + 8u); }
    if n + 12u < params.columns { out[at + 3u] = masked(sums.d, n + 12u); }
}

fn store(m: u32, n: u32, block: Block) {
    store_row(m, n, block.r0);
    store_row(m + 1u, n, block.r1);
    store_row(m + 2u, n, block.r2);
    store_row(m + 3u, n, block.r3);
}
