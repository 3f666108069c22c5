// The factors of a matrix product. Appended after a kernel with matmul.wgsl's parameters, bindings and overrides, and
// patch.wgsl.

// As they lie in memory (gpu/elements.rs).
alias a_element = vec4<f32>;
alias b_element = vec4<f32>;
alias RowVector = a_element;
alias ColumnVector = b_element;

override ROWS_ALONG_K: bool = !TRANSPOSE_A;
override COLUMNS_ALONG_K: bool = TRANSPOSE_B;
// Before the last step rows are inside everywhere, as columns are.
const ROWS_INSIDE = true;

// Steps of the inner dimension.
fn steps() -> u32 {
    return params.inner;
}

// 4 steps of the inner dimension, in vectors of 4.
struct Step {
    k: u32,
}

fn first_step(vector: u32) -> Step {
    return Step(vector);
}

fn next_step(step: Step, vectors: u32) -> Step {
    return Step(step.k + vectors);
}

// Rows past the last are computed again, and zero where they are stored.
fn in_a(line: u32, vector: u32) -> u32 {
    return min(line, params.a_rows - 1u) * params.a_stride + min(vector, params.a_stride - 1u);
}

fn in_b(line: u32, vector: u32) -> u32 {
    return min(line, params.b_rows - 1u) * params.b_stride + min(vector, params.b_stride - 1u);
}

// A multiple of 4.
struct RowPlace {
    m: u32,
}

fn row_place(m: u32) -> RowPlace {
    return RowPlace(m);
}

fn load_rows(place: RowPlace, step: Step) -> RowPatch {
    let line = select(place.m, 4u * step.k, TRANSPOSE_A);
    let vector = select(step.k, place.m / 4u, TRANSPOSE_A);
    return RowPatch(
        a_element(a[in_a(line, vector)]),
        a_element(a[in_a(line + 1u, vector)]),
        a_element(a[in_a(line + 2u, vector)]),
        a_element(a[in_a(line + 3u, vector)]),
        select(select(0u, 15u, vector < params.a_stride), bits_before(params.a_rows, line), TRANSPOSE_A),
    );
}

// A multiple of 4.
struct ColumnPlace {
    n: u32,
}

fn column_place(n: u32) -> ColumnPlace {
    return ColumnPlace(n);
}

fn load_columns(place: ColumnPlace, step: Step) -> ColumnPatch {
    let line = select(4u * step.k, place.n, TRANSPOSE_B);
    let vector = select(place.n / 4u, step.k, TRANSPOSE_B);
    return ColumnPatch(
        b_element(b[in_b(line, vector)]),
        b_element(b[in_b(line + 1u, vector)]),
        b_element(b[in_b(line + 2u, vector)]),
        b_element(b[in_b(line + 3u, vector)]),
        select(bits_before(params.b_rows, line), select(0u, 15u, vector < params.b_stride), TRANSPOSE_B),
    );
}

// Rows and columns that a factor lacks are zero, and columns past N are pads and stay zero.
fn store(m: u32, n: u32, value: vec4<f32>) {
    if m < params.rows && n < params.columns {
        let columns = select(params.columns, min(params.columns, params.b_rows), TRANSPOSE_B);
        let end = select(0u, columns, TRANSPOSE_A || m < params.a_rows);
        let at = m * ((params.columns + 3u) / 4u) + n / 4u;
        out[at] = select(vec4(0.0), value, vec4(n) + vec4(0u, 1u, 2u, 3u) < vec4(end));
    }
}
