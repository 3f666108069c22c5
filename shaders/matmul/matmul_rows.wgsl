// Matrix product of few rows, such as a linear layer's on a small batch: each vector of b is loaded once for ROWS rows, by one lane, and the rows
// of a are passed round.
//
//   out[m, n] = sum over k of a[m, k] · B[k, n], with B = b or bᵀ
//
// Shapes     a (M, K), b (K, N) or (N, K) -> out (M, N); what lies outside a factor counts as zero
// Dispatch   (blocks of ROWS rows, blocks of 4 · WIDTH columns, 1)
// Tile       a lane computes 4 columns of ROWS rows
// Shared     none; needs subgroups of at least 8 lanes
// Order      each output is summed by one lane over k in rising order: the same bits every run

struct Params {
    rows: u32,     // M
    columns: u32,  // N
    inner: u32,    // K
    a_rows: u32,   // rows of a
    a_stride: u32, // vec4 a row of a
    b_rows: u32,   // rows of b as it lies in memory
    b_stride: u32, // vec4 a row of b
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;         // (M, K)
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;         // (K, N), or (N, K) where TRANSPOSE_B
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // (M, N)

override TRANSPOSE_A: bool = false; // always, for factors.wgsl
override TRANSPOSE_B: bool = false;
override ROWS: u32 = 4u; // 4 or 8

const WIDTH: u32 = 8u; // lanes a workgroup: the first 8 of one subgroup

// 4 inner steps of 4 columns, or 4 columns of 4 rows of the answer.
struct Four {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

// Inner steps from 4k on.
fn four_at(k: u32, quad: u32) -> Four {
    if !TRANSPOSE_B {
        return Four(load_b(4u * k, quad), load_b(4u * k + 1u, quad), load_b(4u * k + 2u, quad), load_b(4u * k + 3u, quad));
    }
    let x = load_b(4u * quad, k);
    let y = load_b(4u * quad + 1u, k);
    let z = load_b(4u * quad + 2u, k);
    let w = load_b(4u * quad + 3u, k);
    return Four(vec4(x.x, y.x, z.x, w.x), vec4(x.y, y.y, z.y, w.y), vec4(x.z, y.z, z.z, w.z), vec4(x.w, y.w, z.w, w.w));
}

fn add_row(sum: vec4<f32>, row: vec4<f32>, b: Four) -> vec4<f32> {
    var s = fma(vec4(row.x), b.a, sum);
    s = fma(vec4(row.y), b.b, s);
    s = fma(vec4(row.z), b.c, s);
    return fma(vec4(row.w), b.d, s);
}

fn add_four(s: Four, rows: Quad, b: Four) -> Four {
    return Four(add_row(s.a, rows.r0, b), add_row(s.b, rows.r1, b), add_row(s.c, rows.r2, b), add_row(s.d, rows.r3, b));
}

// A lane's part of 16 inner steps of a row; none past the last step.
fn part_of(m: u32, k: u32) -> vec4<f32> {
    return load_a(m, k) * select(0.0, 1.0, 4u * k < params.inner);
}

// 16 inner steps of 4 rows, 4 at a time.
struct Steps {
    a: Quad,
    b: Quad,
    c: Quad,
    d: Quad,
}

fn steps_at(m: u32, k: u32) -> Steps {
    let p = panel_of_halves(part_of(m, k), part_of(m + 1u, k), part_of(m + 2u, k), part_of(m + 3u, k));
    return Steps(Quad(p.xa, p.ya, p.za, p.wa), Quad(p.xb, p.yb, p.zb, p.wb), Quad(p.xc, p.yc, p.zc, p.wc), Quad(p.xd, p.yd, p.zd, p.wd));
}

fn store_vector(m: u32, n: u32, sum: vec4<f32>) {
    if m < params.rows && n < params.columns {
        out[m * ((params.columns + 3u) / 4u) + n / 4u] = masked(sum, n);
    }
}

fn store_four(m: u32, n: u32, sums: Four) {
    store_vector(m, n, sums.a);
    store_vector(m + 1u, n, sums.b);
    store_vector(m + 2u, n, sums.c);
    store_vector(m + 3u, n, sums.d);
}

@compute @workgroup_size(WIDTH)
fn matmul_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let m = group.x * ROWS;
    let quad = group.y * WIDTH + lane;
    var upper = Four(vec4(0.0), vec4(0.0), vec4(0.0), vec4(0.0));
    var lower = upper;
    for (var k = 0u; k < (params.inner + 3u) / 4u; k += 4u) {
        let b0 = four_at(k, quad);
        let b1 = four_at(k + 1u, quad);
        let b2 = four_at(k + 2u, quad);
        let b3 = four_at(k + 3u, quad);
        let u = steps_at(m, k + lane % 4u);
        upper = add_four(add_four(add_four(add_four(upper, u.a, b0), u.b, b1), u.c, b2), u.d, b3);
        if ROWS == 8u {
            let l = steps_at(m + 4u, k + lane % 4u);
            lower = add_four(add_four(add_four(add_four(lower, l.a, b0), l.b, b1), l.c, b2), l.d, b3);
        }
    }
    store_four(m, 4u * quad, upper);
    if ROWS == 8u {
        store_four(m + 4u, 4u * quad, lower);
    }
}
