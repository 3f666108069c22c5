// Tiles of a matrix product for GPUs: a workgroup computes ROWS by COLUMNS sums out of workgroup memory, 16 steps of the
// inner dimension at a time, and loads the next 16 into registers meanwhile. Appended after a kernel that uses it with a
// text of patches (patches_*.wgsl), which says what the factors are: `Step`, `first_step`, `next_step`, `RowPlace`,
// `row_place`, `load_rows`, `ColumnPlace`, `column_place`, `load_columns`, `store`. Both lie in workgroup memory a line a
// step; a patch is turned in registers where that asks for it.

override ROWS: u32 = 64u;     // 64 or 128
override COLUMNS: u32 = 64u;  // 16, 32 or 64
override WIDE: bool = false;  // a lane computes 8 rows by 8 columns, else by 4
override LANES: u32 = 128u;   // ROWS / 8 · COLUMNS / (8 or 4): at least COLUMNS, at least ROWS / 2

// Vectors a line: 2 more than are used, so that the lanes of a store meet different banks.
override ROW_LINE: u32 = ROWS / 4u + 2u;
override COLUMN_LINE: u32 = COLUMNS / 4u + 2u;
override ROW_VECTORS: u32 = 16u * ROW_LINE;
override COLUMN_VECTORS: u32 = 16u * COLUMN_LINE;

// One line a step: step 4k + i of a round lies in line k + 4i, which also is the order of the sums.
var<workgroup> row_tile: array<vec4<f32>, ROW_VECTORS>;
var<workgroup> column_tile: array<vec4<f32>, COLUMN_VECTORS>;

// 8 rows (4 neighbours, and 4 half a tile on) by 4 columns.
struct Half {
    r0: vec4<f32>,
    r1: vec4<f32>,
    r2: vec4<f32>,
    r3: vec4<f32>,
    r4: vec4<f32>,
    r5: vec4<f32>,
    r6: vec4<f32>,
    r7: vec4<f32>,
}

// What a lane computes; `right` only where WIDE.
struct Sums {
    left: Half,
    right: Half,
}

fn add_outer(h: Half, upper: vec4<f32>, lower: vec4<f32>, columns: vec4<f32>) -> Half {
    return Half(
        fma(vec4(upper.x), columns, h.r0),
        fma(vec4(upper.y), columns, h.r1),
        fma(vec4(upper.z), columns, h.r2),
        fma(vec4(upper.w), columns, h.r3),
        fma(vec4(lower.x), columns, h.r4),
        fma(vec4(lower.y), columns, h.r5),
        fma(vec4(lower.z), columns, h.r6),
        fma(vec4(lower.w), columns, h.r7),
    );
}

fn lanes_across() -> u32 {
    return LANES / (ROWS / 8u);
}

fn add_line(sums: Sums, line: u32, lane: u32) -> Sums {
    let row = line * ROW_LINE + lane / lanes_across();
    let column = line * COLUMN_LINE + lane % lanes_across();
    let upper = row_tile[row];
    let lower = row_tile[row + ROWS / 8u];
    var s = sums;
    s.left = add_outer(s.left, upper, lower, column_tile[column]);
    if WIDE {
        s.right = add_outer(s.right, upper, lower, column_tile[column + COLUMNS / 8u]);
    }
    return s;
}

// 4 steps of the inner dimension (s0 to s3) by 4 neighbouring rows or columns.
struct Patch {
    s0: vec4<f32>,
    s1: vec4<f32>,
    s2: vec4<f32>,
    s3: vec4<f32>,
}

// The patch of 4 vectors, those without their bit in `inside` as zero (whatever they are); `along_k` where each has 4 steps.
fn patch_of(v: Patch, inside: u32, along_k: bool) -> Patch {
    let r0 = select(vec4(0.0), v.s0, (inside & 1u) != 0u);
    let r1 = select(vec4(0.0), v.s1, (inside & 2u) != 0u);
    let r2 = select(vec4(0.0), v.s2, (inside & 4u) != 0u);
    let r3 = select(vec4(0.0), v.s3, (inside & 8u) != 0u);
    if !along_k {
        return Patch(r0, r1, r2, r3);
    }
    return Patch(
        vec4(r0.x, r1.x, r2.x, r3.x),
        vec4(r0.y, r1.y, r2.y, r3.y),
        vec4(r0.z, r1.z, r2.z, r3.z),
        vec4(r0.w, r1.w, r2.w, r3.w),
    );
}

fn rows_at(place: RowPlace, step: Step) -> Patch {
    let p = load_rows(place, step);
    return patch_of(Patch(vec4<f32>(p.v0), vec4<f32>(p.v1), vec4<f32>(p.v2), vec4<f32>(p.v3)), p.inside, ROWS_ALONG_K);
}

fn columns_at(place: ColumnPlace, step: Step) -> Patch {
    let p = load_columns(place, step);
    return patch_of(Patch(vec4<f32>(p.v0), vec4<f32>(p.v1), vec4<f32>(p.v2), vec4<f32>(p.v3)), p.inside, COLUMNS_ALONG_K);
}

fn put_rows(unit: u32, p: Patch) {
    let at = unit % 4u * ROW_LINE + unit / 4u;
    row_tile[at] = p.s0;
    row_tile[at + 4u * ROW_LINE] = p.s1;
    row_tile[at + 8u * ROW_LINE] = p.s2;
    row_tile[at + 12u * ROW_LINE] = p.s3;
}

fn put_columns(unit: u32, p: Patch) {
    let at = unit % 4u * COLUMN_LINE + unit / 4u;
    column_tile[at] = p.s0;
    column_tile[at + 4u * COLUMN_LINE] = p.s1;
    column_tile[at + 8u * COLUMN_LINE] = p.s2;
    column_tile[at + 12u * COLUMN_LINE] = p.s3;
}

// The tile whose first output is (row, column), summed over `steps` in rounds of 16 and stored; called by all lanes of a
// workgroup.
//
// A lane loads up to two patches of rows and one of columns, all at the same 4 of the 16 steps: of 4 lanes next to one
// another each reads other parts of the same lines of memory.
fn tile(row: u32, column: u32, steps: u32, lane: u32) {
    let rounds = (steps + 15u) / 16u;
    let second = lane + LANES;
    let two = LANES < ROWS && second < ROWS;
    let rows0 = row_place(row + lane / 4u * 4u);
    let rows1 = row_place(row + second / 4u * 4u);
    let columns0 = column_place(column + lane / 4u * 4u);
    var step = first_step(lane % 4u);
    var r0 = Patch();
    var r1 = Patch();
    var c0 = Patch();
    if lane < ROWS { r0 = rows_at(rows0, step); }
    if two { r1 = rows_at(rows1, step); }
    if lane < COLUMNS { c0 = columns_at(columns0, step); }

    var sums = Sums();
    for (var round = 0u; round < rounds; round++) {
        workgroupBarrier();
        if lane < ROWS { put_rows(lane, r0); }
        if two { put_rows(second, r1); }
        if lane < COLUMNS { put_columns(lane, c0); }
        workgroupBarrier();
        if round + 1u < rounds {
            step = next_step(step, 4u);
            if lane < ROWS { r0 = rows_at(rows0, step); }
            if two { r1 = rows_at(rows1, step); }
            if lane < COLUMNS { c0 = columns_at(columns0, step); }
        }
        for (var line = 0u; line < 16u; line += 4u) {
            sums = add_line(sums, line, lane);
            sums = add_line(sums, line + 1u, lane);
            sums = add_line(sums, line + 2u, lane);
            sums = add_line(sums, line + 3u, lane);
        }
    }

    let m = row + lane / lanes_across() * 4u;
    let n = column + lane % lanes_across() * 4u;
    store_half(m, n, sums.left);
    if WIDE {
        store_half(m, n + COLUMNS / 2u, sums.right);
    }
}

fn store_half(m: u32, n: u32, h: Half) {
    store(m, n, h.r0);
    store(m + 1u, n, h.r1);
    store(m + 2u, n, h.r2);
    store(m + 3u, n, h.r3);
    let below = m + ROWS / 2u;
    store(below, n, h.r4);
    store(below + 1u, n, h.r5);
    store(below + 2u, n, h.r6);
    store(below + 3u, n, h.r7);
}
