// Matrix product, as in matmul_subgroup.wgsl, for compilers that keep an array in memory and load its elements where they
// are used (conv2d_strip.wgsl): sums of one column at a time.
//
//   out[m, n] = sum over k of A[m, k] · B[k, n], with A = a or aᵀ and B = b or bᵀ
//
// Shapes     a (M, K) or (K, M), b (K, N) or (N, K) -> out (M, N); what lies outside a factor counts as zero
// Dispatch   (blocks of 8 · WIDTH rows, blocks of 32 columns, 1)
// Tile       a lane computes twice 4 neighbouring rows, 4 · WIDTH apart, by 32 columns
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

// Column n: the upper 4 rows at 2n, the lower at 2n + 1.
var<private> sums: array<vec4<f32>, 64>;

// One inner step of a lane's 8 rows.
struct Step {
    upper: vec4<f32>,
    lower: vec4<f32>,
}

// 4 inner steps.
struct Steps {
    x: Step,
    y: Step,
    z: Step,
    w: Step,
}

fn add_column(n: u32, a: Steps, b: vec4<f32>) {
    var upper = sums[2u * n];
    var lower = sums[2u * n + 1u];
    upper = fma(a.x.upper, vec4(b.x), upper);
    lower = fma(a.x.lower, vec4(b.x), lower);
    upper = fma(a.y.upper, vec4(b.y), upper);
    lower = fma(a.y.lower, vec4(b.y), lower);
    upper = fma(a.z.upper, vec4(b.z), upper);
    lower = fma(a.z.lower, vec4(b.z), lower);
    upper = fma(a.w.upper, vec4(b.w), upper);
    lower = fma(a.w.lower, vec4(b.w), lower);
    sums[2u * n] = upper;
    sums[2u * n + 1u] = lower;
}

// 4 inner steps (x, y, z, w) of 4 columns.
fn add_columns(n: u32, a: Steps, x: vec4<f32>, y: vec4<f32>, z: vec4<f32>, w: vec4<f32>) {
    add_column(n, a, vec4(x.x, y.x, z.x, w.x));
    add_column(n + 1u, a, vec4(x.y, y.y, z.y, w.y));
    add_column(n + 2u, a, vec4(x.z, y.z, z.z, w.z));
    add_column(n + 3u, a, vec4(x.w, y.w, z.w, w.w));
}

fn add_panel(n: u32, a: Steps, p: Panel) {
    add_columns(n, a, p.xa, p.ya, p.za, p.wa);
    add_columns(n + 4u, a, p.xb, p.yb, p.zb, p.wb);
    add_columns(n + 8u, a, p.xc, p.yc, p.zc, p.wc);
    add_columns(n + 12u, a, p.xd, p.yd, p.zd, p.wd);
}

// 4 columns of a row; `at` is the place of the first.
fn four(at: u32, row: u32) -> vec4<f32> {
    return vec4(sums[at][row], sums[at + 2u][row], sums[at + 4u][row], sums[at + 6u][row]);
}

fn sums_of(at: u32, row: u32) -> Sums {
    return Sums(four(at, row), four(at + 8u, row), four(at + 16u, row), four(at + 24u, row));
}

fn store_columns(m: u32, n: u32, at: u32) {
    store(m, n, Block(sums_of(at, 0u), sums_of(at, 1u), sums_of(at, 2u), sums_of(at, 3u)));
}

@compute @workgroup_size(WIDTH)
fn matmul_column(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let m = group.x * 8u * WIDTH + 4u * lane;
    let n = group.y * 32u;
    // A place that the compiler does not know: it keeps such an array in memory, and all is zero yet.
    sums[params.rows % 64u] = vec4(0.0);
    for (var k = 0u; k < (params.inner + 3u) / 4u; k++) {
        let u = quad(m, k);
        let l = quad(m + 4u * WIDTH, k);
        let steps = Steps(
            Step(vec4(u.r0.x, u.r1.x, u.r2.x, u.r3.x), vec4(l.r0.x, l.r1.x, l.r2.x, l.r3.x)),
            Step(vec4(u.r0.y, u.r1.y, u.r2.y, u.r3.y), vec4(l.r0.y, l.r1.y, l.r2.y, l.r3.y)),
            Step(vec4(u.r0.z, u.r1.z, u.r2.z, u.r3.z), vec4(l.r0.z, l.r1.z, l.r2.z, l.r3.z)),
            Step(vec4(u.r0.w, u.r1.w, u.r2.w, u.r3.w), vec4(l.r0.w, l.r1.w, l.r2.w, l.r3.w)),
        );
        add_panel(0u, steps, panel_at(k, n, lane));
        add_panel(16u, steps, panel_at(k, n + 16u, lane));
    }
    store_columns(m, n, 0u);
    store_columns(m, n + 16u, 32u);
    store_columns(m + 4u * WIDTH, n, 1u);
    store_columns(m + 4u * WIDTH, n + 16u, 33u);
}
