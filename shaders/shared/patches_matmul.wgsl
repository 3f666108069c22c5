// The factors of a matrix product. Appended after a kernel with matmul.wgsl's parameters, bindings and overrides, and
// patch.wgsl.

// Rounds of 16 steps.
fn rounds() -> u32 {
    return (params.inner + 15u) / 16u;
}

// 4 steps of the inner dimension, in vectors of 4.
struct Step {
    k: u32,
}

fn first_step(vector: u32) -> Step {
    return Step(vector);
}

fn next_step(step: Step) -> Step {
    return Step(step.k + 4u);
}

// A vector of a, zero outside.
fn load_a(row: u32, column: u32) -> vec4<f32> {
    let inside = row < params.a_rows && column < params.a_stride;
    let at = select(0u, row * params.a_stride + column, inside);
    return kept(inside, a[at]);
}

// A vector of b, zero outside.
fn load_b(row: u32, column: u32) -> vec4<f32> {
    let inside = row < params.b_rows && column < params.b_stride;
    let at = select(0u, row * params.b_stride + column, inside);
    return kept(inside, b[at]);
}

// A multiple of 4.
struct RowPlace {
    m: u32,
}

fn row_place(m: u32) -> RowPlace {
    return RowPlace(m);
}

fn load_rows(place: RowPlace, step: Step) -> Patch {
    let m = place.m;
    if TRANSPOSE_A {
        let k = 4u * step.k;
        return Patch(load_a(k, m / 4u), load_a(k + 1u, m / 4u), load_a(k + 2u, m / 4u), load_a(k + 3u, m / 4u));
    }
    return across(load_a(m, step.k), load_a(m + 1u, step.k), load_a(m + 2u, step.k), load_a(m + 3u, step.k));
}

// A multiple of 4.
struct ColumnPlace {
    n: u32,
}

fn column_place(n: u32) -> ColumnPlace {
    return ColumnPlace(n);
}

fn load_columns(place: ColumnPlace, step: Step) -> Patch {
    let n = place.n;
    if !TRANSPOSE_B {
        let k = 4u * step.k;
        return Patch(load_b(k, n / 4u), load_b(k + 1u, n / 4u), load_b(k + 2u, n / 4u), load_b(k + 3u, n / 4u));
    }
    return across(load_b(n, step.k), load_b(n + 1u, step.k), load_b(n + 2u, step.k), load_b(n + 3u, step.k));
}

// Columns past N are pads and stay zero.
fn store(m: u32, n: u32, value: vec4<f32>) {
    if m < params.rows && n < params.columns {
        let at = m * ((params.columns + 3u) / 4u) + n / 4u;
        out[at] = select(vec4(0.0), value, vec4(n) + vec4(0u, 1u, 2u, 3u) < vec4(params.columns));
    }
}
