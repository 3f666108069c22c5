// Tiles of a matrix product on cooperative matrices (tensor cores, simdgroup matrices): half-precision factors out of
// workgroup memory, sums in single precision, 32 steps of the inner dimension at a time. Appended after a kernel that uses
// it with a text of patches, as tile.wgsl.
//
// A device whose matrices have a side of 8 gets the text with types of that side (gpu/cooperative.rs).
override SIDE: u32 = 16u;
alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Sum = coop_mat16x16<f32, C>;

// Subgroups lie 4 down and SPANS across; each computes DOWN by ACROSS matrices. Subgroups past 4 · SPANS (they are smaller
// than they may be) compute the last one's again, because matrices ask for uniform control flow, and nobody reads them.
override DOWN: u32 = 1u;   // 1 or 2
override ACROSS: u32 = 4u; // 1, 2 or 4
override SPANS: u32 = 1u;
override LANES: u32 = 128u; // set by the device: 4 · SPANS of its largest subgroups, and at least ROWS + COLUMNS

override ROWS: u32 = 4u * DOWN * SIDE;
override COLUMNS: u32 = SPANS * ACROSS * SIDE;
// Numbers a line: 8 more than are used, so that lines begin in different banks, 16 bytes apart as matrices must.
override ROW_LINE: u32 = ROWS + 8u;
override COLUMN_LINE: u32 = COLUMNS + 8u;
override ROW_NUMBERS: u32 = 32u * ROW_LINE;
override COLUMN_NUMBERS: u32 = 32u * COLUMN_LINE;
override SUM_NUMBERS: u32 = (4u * SPANS + 1u) * SIDE * SIDE;

// One line a step; numbers alone, because Metal loads no matrix from vectors.
var<workgroup> row_tile: array<f16, ROW_NUMBERS>;
var<workgroup> column_tile: array<f16, COLUMN_NUMBERS>;
// A matrix of sums of each subgroup on its way out; the last is of those that nobody reads.
var<workgroup> sum_tile: array<f32, SUM_NUMBERS>;

fn put_row_step(at: u32, value: vec4<f32>) {
    let v = vec4<f16>(value);
    row_tile[at] = v.x;
    row_tile[at + 1u] = v.y;
    row_tile[at + 2u] = v.z;
    row_tile[at + 3u] = v.w;
}

fn put_column_step(at: u32, value: vec4<f32>) {
    let v = vec4<f16>(value);
    column_tile[at] = v.x;
    column_tile[at + 1u] = v.y;
    column_tile[at + 2u] = v.z;
    column_tile[at + 3u] = v.w;
}

// `line` is the patch's first.
fn put_rows(line: u32, unit: u32, p: Patch) {
    let at = line * ROW_LINE + unit / 4u * 4u;
    put_row_step(at, p.s0);
    put_row_step(at + ROW_LINE, p.s1);
    put_row_step(at + 2u * ROW_LINE, p.s2);
    put_row_step(at + 3u * ROW_LINE, p.s3);
}

fn put_columns(line: u32, unit: u32, p: Patch) {
    let at = line * COLUMN_LINE + unit / 4u * 4u;
    put_column_step(at, p.s0);
    put_column_step(at + COLUMN_LINE, p.s1);
    put_column_step(at + 2u * COLUMN_LINE, p.s2);
    put_column_step(at + 3u * COLUMN_LINE, p.s3);
}

// The sums in sum_tile, stored by all lanes: one matrix of every subgroup, `down` and `across` within its own.
fn store_sums(row: u32, column: u32, down: u32, across: u32, lane: u32) {
    workgroupBarrier();
    let vectors = SIDE * SIDE / 4u;
    for (var i = lane; i < 4u * SPANS * vectors; i += LANES) {
        let subgroup = i / vectors;
        let m = (subgroup / SPANS * DOWN + down) * SIDE + i % vectors / (SIDE / 4u);
        let n = (subgroup % SPANS * ACROSS + across) * SIDE + i % (SIDE / 4u) * 4u;
        let at = 4u * i;
        store(row + m, column + n, vec4(sum_tile[at], sum_tile[at + 1u], sum_tile[at + 2u], sum_tile[at + 3u]));
    }
    workgroupBarrier();
}

// The tile whose first output is (row, column), summed over `rounds` of 16 steps and stored; called by all lanes of a
// workgroup. A lane loads patches of rows, or of columns, or none.
fn tile(row: u32, column: u32, rounds: u32, lane: u32, subgroup: u32) {
    let unit = select(lane - ROWS, lane, lane < ROWS);
    let of_rows = lane < ROWS;
    let of_columns = !of_rows && unit < COLUMNS;
    let rows = row_place(row + unit / 4u * 4u);
    let columns = column_place(column + unit / 4u * 4u);
    let line = lane % 4u * 4u;
    var step = first_step(lane % 4u);
    var p0 = Patch();
    var p1 = Patch();
    if of_rows { p0 = load_rows(rows, step); } else if of_columns { p0 = load_columns(columns, step); }
    step = next_step(step);
    if of_rows { p1 = load_rows(rows, step); } else if of_columns { p1 = load_columns(columns, step); }

    let place = min(subgroup, 4u * SPANS - 1u);
    let first_row = place / SPANS * DOWN * SIDE;
    let first_column = place % SPANS * ACROSS * SIDE;
    var s00 = Sum();
    var s01 = Sum();
    var s02 = Sum();
    var s03 = Sum();
    var s10 = Sum();
    var s11 = Sum();
    var s12 = Sum();
    var s13 = Sum();
    for (var round = 0u; round < rounds; round += 2u) {
        workgroupBarrier();
        if of_rows {
            put_rows(line, unit, p0);
            put_rows(line + 16u, unit, p1);
        } else if of_columns {
            put_columns(line, unit, p0);
            put_columns(line + 16u, unit, p1);
        }
        workgroupBarrier();
        if round + 2u < rounds {
            step = next_step(step);
            if of_rows { p0 = load_rows(rows, step); } else if of_columns { p0 = load_columns(columns, step); }
            step = next_step(step);
            if of_rows { p1 = load_rows(rows, step); } else if of_columns { p1 = load_columns(columns, step); }
        }
        for (var k = 0u; k < 32u; k += SIDE) {
            let above = k * ROW_LINE + first_row;
            let beside = k * COLUMN_LINE + first_column;
            let l0 = coopLoad<Left>(&row_tile[above], ROW_LINE);
            let r0 = coopLoadT<Right>(&column_tile[beside], COLUMN_LINE);
            s00 = coopMultiplyAdd(l0, r0, s00);
            if ACROSS > 1u {
                let r1 = coopLoadT<Right>(&column_tile[beside + SIDE], COLUMN_LINE);
                s01 = coopMultiplyAdd(l0, r1, s01);
                if ACROSS > 2u {
                    let r2 = coopLoadT<Right>(&column_tile[beside + 2u * SIDE], COLUMN_LINE);
                    let r3 = coopLoadT<Right>(&column_tile[beside + 3u * SIDE], COLUMN_LINE);
                    s02 = coopMultiplyAdd(l0, r2, s02);
                    s03 = coopMultiplyAdd(l0, r3, s03);
                    if DOWN > 1u {
                        let l1 = coopLoad<Left>(&row_tile[above + SIDE], ROW_LINE);
                        s10 = coopMultiplyAdd(l1, r0, s10);
                        s11 = coopMultiplyAdd(l1, r1, s11);
                        s12 = coopMultiplyAdd(l1, r2, s12);
                        s13 = coopMultiplyAdd(l1, r3, s13);
                    }
                }
            }
        }
    }

    let own = min(subgroup, 4u * SPANS) * SIDE * SIDE;
    coopStoreT(s00, &sum_tile[own], SIDE);
    store_sums(row, column, 0u, 0u, lane);
    if ACROSS > 1u {
        coopStoreT(s01, &sum_tile[own], SIDE);
        store_sums(row, column, 0u, 1u, lane);
    }
    if ACROSS > 2u {
        coopStoreT(s02, &sum_tile[own], SIDE);
        store_sums(row, column, 0u, 2u, lane);
        coopStoreT(s03, &sum_tile[own], SIDE);
        store_sums(row, column, 0u, 3u, lane);
    }
    if DOWN > 1u {
        coopStoreT(s10, &sum_tile[own], SIDE);
        store_sums(row, column, 1u, 0u, lane);
        coopStoreT(s11, &sum_tile[own], SIDE);
        store_sums(row, column, 1u, 1u, lane);
        coopStoreT(s12, &sum_tile[own], SIDE);
        store_sums(row, column, 1u, 2u, lane);
        coopStoreT(s13, &sum_tile[own], SIDE);
        store_sums(row, column, 1u, 3u, lane);
    }
}
