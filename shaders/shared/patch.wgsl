// Patches, which the tiles of matrix products are filled with: 4 steps of the inner dimension by 4 neighbouring rows or
// columns, as they lie in memory. Appended after a kernel with a text of patches (patches_*.wgsl), which says of each factor
// what its vectors are (`RowVector`, `ColumnVector`) and which way they go: along the inner dimension (ROWS_ALONG_K,
// COLUMNS_ALONG_K), so that the 4 vectors are neighbouring rows or columns, or else along these, and the 4 are steps.

// What is not inside counts as zero but holds another value, because whoever zeroed it here would wait for it.
struct RowPatch {
    v0: RowVector,
    v1: RowVector,
    v2: RowVector,
    v3: RowVector,
    inside: u32, // a bit for each vector
}

struct ColumnPatch {
    v0: ColumnVector,
    v1: ColumnVector,
    v2: ColumnVector,
    v3: ColumnVector,
    inside: u32,
}

// The bits of 4 vectors.
fn bits(inside: vec4<bool>) -> u32 {
    let b = select(vec4(0u), vec4(1u, 2u, 4u, 8u), inside);
    return b.x | b.y | b.z | b.w;
}

// The bits of 4 vectors from `line` on that lie before line `end`.
fn bits_before(end: u32, line: u32) -> u32 {
    return (1u << min(max(end, line) - line, 4u)) - 1u;
}
