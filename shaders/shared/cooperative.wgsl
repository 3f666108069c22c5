// Tiles of a matrix product on cooperative matrices (tensor cores, simdgroup matrices): half-precision factors out of
// workgroup memory, sums in single precision, 32 steps of the inner dimension a round, of which the next, or with TWICE the next
// two, is loaded into registers while one is multiplied. Appended after a kernel that uses it with a text of patches, as tile.wgsl,
// scales.wgsl and rounds.wgsl.
//
// Factors lie in workgroup memory the way they lie in the buffers, so that vectors go from one to the other as they are: lines
// of rows or columns where they go along the inner dimension, else lines of steps. What is loaded is zeroed and rounded
// where it is put down, since doing so earlier would wait for it.
//
// A device whose matrices have a side of 8 gets the text with types of that side (gpu/cooperative.rs).
override SIDE: u32 = 16u;
alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Sum = coop_mat16x16<f32, C>;

// Subgroups, each of which computes DOWN by ACROSS matrices. Those past the last (they are smaller than they may be) compute
// its matrices again, because matrices ask for uniform control flow, and nobody reads them.
override BELOW: u32 = 2u;   // one another
override BESIDE: u32 = 2u;  // one another
override DOWN: u32 = 4u;    // 1, 2 or 4
override ACROSS: u32 = 4u;  // 1, 2 or 4
override LANES: u32 = 128u; // set by the device: BELOW · BESIDE of its largest subgroups, a power of two, enough for 4 patches a lane
override SPARE: u32 = 0u;   // set by the device: 1 where there may be subgroups past the last

override TWICE: bool = false; // the next two rounds are under way
override ROUNDS: u32 = select(1u, 2u, TWICE); // a turn of the loop

override ROWS: u32 = BELOW * DOWN * SIDE;
override COLUMNS: u32 = BESIDE * ACROSS * SIDE;
override QUADS: u32 = SIDE / 4u;
// Vectors a line: 2 more than are used, so that lines begin in different banks, 16 bytes apart as matrices must.
override ROW_LINE: u32 = select(ROWS / 4u, 8u, ROWS_ALONG_K) + 2u;
override COLUMN_LINE: u32 = select(COLUMNS / 4u, 8u, COLUMNS_ALONG_K) + 2u;
override ROW_VECTORS: u32 = select(32u, ROWS, ROWS_ALONG_K) * ROW_LINE;
override COLUMN_VECTORS: u32 = select(32u, COLUMNS, COLUMNS_ALONG_K) * COLUMN_LINE;
override SUM_VECTORS: u32 = (BELOW * BESIDE + SPARE) * SIDE * QUADS;

// Patches that a lane loads of a round's 2 · ROWS and 2 · COLUMNS: 1, 2 or 4. Of a factor along the inner dimension they are
// at the same steps, else in the same rows or columns and so many vectors of steps apart.
override ROW_PATCHES: u32 = (2u * ROWS + LANES - 1u) / LANES;
override COLUMN_PATCHES: u32 = (2u * COLUMNS + LANES - 1u) / LANES;
override ROW_STRIDE: u32 = min(4u * LANES / ROWS, 8u);
override COLUMN_STRIDE: u32 = min(4u * LANES / COLUMNS, 8u);
// Whether every lane has one.
override ROWS_FILL: bool = 2u * ROWS >= LANES;
override COLUMNS_FILL: bool = 2u * COLUMNS >= LANES;
// From a patch of a lane to its next, in vectors.
override ROW_JUMP: u32 = 4u * ROW_LINE * select(ROW_STRIDE, LANES / 8u, ROWS_ALONG_K);
override COLUMN_JUMP: u32 = 4u * COLUMN_LINE * select(COLUMN_STRIDE, LANES / 8u, COLUMNS_ALONG_K);

var<workgroup> row_tile: array<vec4<f16>, ROW_VECTORS>;
var<workgroup> column_tile: array<vec4<f16>, COLUMN_VECTORS>;
// A matrix of sums of each subgroup on its way out; the last is of those that nobody reads, where there may be such.
var<workgroup> sums: array<vec4<f32>, SUM_VECTORS>;

// What a lane loads of the rows of a round, and the step at which its next round begins.
struct Rows {
    p0: RowPatch,
    p1: RowPatch,
    p2: RowPatch,
    p3: RowPatch,
    inside: u32, // a bit for each vector
    next: Step,
}

struct Columns {
    p0: ColumnPatch,
    p1: ColumnPatch,
    p2: ColumnPatch,
    p3: ColumnPatch,
    inside: u32,
    next: Step,
}

// Which 4 rows the i-th patch of a round has, and which 4 steps.
fn row_group(i: u32) -> u32 {
    return select(i % (ROWS / 4u), i / 8u, ROWS_ALONG_K);
}

fn row_steps(i: u32) -> u32 {
    return select(i / (ROWS / 4u), i % 8u, ROWS_ALONG_K);
}

fn column_group(i: u32) -> u32 {
    return select(i % (COLUMNS / 4u), i / 8u, COLUMNS_ALONG_K);
}

fn column_steps(i: u32) -> u32 {
    return select(i / (COLUMNS / 4u), i % 8u, COLUMNS_ALONG_K);
}

// Where the j-th patch of a lane has its rows.
fn rows_of(first: RowPlace, j: u32, row: u32, lane: u32) -> RowPlace {
    if ROWS_ALONG_K && ROW_PATCHES > j {
        return row_place(row + 4u * row_group(lane + j * LANES));
    }
    return first;
}

fn columns_of(first: ColumnPlace, j: u32, column: u32, lane: u32) -> ColumnPlace {
    if COLUMNS_ALONG_K && COLUMN_PATCHES > j {
        return column_place(column + 4u * column_group(lane + j * LANES));
    }
    return first;
}

// The steps of a lane's next patch of a round.
fn next_of_rows(step: Step) -> Step {
    if ROWS_ALONG_K {
        return step;
    }
    return next_step(step, ROW_STRIDE);
}

fn next_of_columns(step: Step) -> Step {
    if COLUMNS_ALONG_K {
        return step;
    }
    return next_step(step, COLUMN_STRIDE);
}

fn round_of_rows(a0: RowPlace, a1: RowPlace, a2: RowPlace, a3: RowPlace, first: Step) -> Rows {
    var rows: Rows;
    var step = first;
    rows.p0 = load_rows(a0, step);
    rows.inside = rows.p0.inside;
    if ROW_PATCHES > 1u {
        step = next_of_rows(step);
        rows.p1 = load_rows(a1, step);
        rows.inside |= rows.p1.inside << 4u;
    }
    if ROW_PATCHES > 2u {
        step = next_of_rows(step);
        rows.p2 = load_rows(a2, step);
        step = next_of_rows(step);
        rows.p3 = load_rows(a3, step);
        rows.inside |= (rows.p2.inside << 8u) | (rows.p3.inside << 12u);
    }
    rows.next = next_step(step, select(ROW_STRIDE, 8u, ROWS_ALONG_K));
    return rows;
}

fn round_of_columns(b0: ColumnPlace, b1: ColumnPlace, b2: ColumnPlace, b3: ColumnPlace, first: Step) -> Columns {
    var columns: Columns;
    var step = first;
    columns.p0 = load_columns(b0, step);
    columns.inside = columns.p0.inside;
    if COLUMN_PATCHES > 1u {
        step = next_of_columns(step);
        columns.p1 = load_columns(b1, step);
        columns.inside |= columns.p1.inside << 4u;
    }
    if COLUMN_PATCHES > 2u {
        step = next_of_columns(step);
        columns.p2 = load_columns(b2, step);
        step = next_of_columns(step);
        columns.p3 = load_columns(b3, step);
        columns.inside |= (columns.p2.inside << 8u) | (columns.p3.inside << 12u);
    }
    columns.next = next_step(step, select(COLUMN_STRIDE, 8u, COLUMNS_ALONG_K));
    return columns;
}

// The matrix of rows from `row` on (of the tile) and 4 · `k` steps into the round.
fn left(row: u32, k: u32) -> Left {
    if ROWS_ALONG_K {
        return coopLoadT<Left>(&row_tile[row * ROW_LINE + k], ROW_LINE);
    }
    return coopLoad<Left>(&row_tile[4u * k * ROW_LINE + row / 4u], ROW_LINE);
}

// The matrix of columns from `column` on.
fn right(column: u32, k: u32) -> Right {
    if COLUMNS_ALONG_K {
        return coopLoad<Right>(&column_tile[column * COLUMN_LINE + k], COLUMN_LINE);
    }
    return coopLoadT<Right>(&column_tile[4u * k * COLUMN_LINE + column / 4u], COLUMN_LINE);
}

// The same where there is a second of a subgroup, else `other`, and nobody asks.
fn second(column: u32, k: u32, other: Right) -> Right {
    if ACROSS > 1u {
        return right(column, k);
    }
    return other;
}

// And a third and a fourth.
fn further(column: u32, k: u32, other: Right) -> Right {
    if ACROSS > 2u {
        return right(column, k);
    }
    return other;
}

// Where a subgroup has room for a matrix of sums.
fn own_sums(subgroup: u32) -> u32 {
    return min(subgroup, BELOW * BESIDE + SPARE - 1u) * SIDE * QUADS;
}

// A matrix of sums of every subgroup, `down` and `across` within its own, through workgroup memory and stored by all lanes.
fn store_sums(sum: Sum, row: u32, column: u32, down: u32, across: u32, lane: u32, subgroup: u32, unscale: f32) {
    coopStoreT(sum, &sums[own_sums(subgroup)], QUADS);
    workgroupBarrier();
    for (var i = lane; i < BELOW * BESIDE * SIDE * QUADS; i += LANES) {
        let owner = i / (SIDE * QUADS);
        let m = (owner / BESIDE * DOWN + down) * SIDE + i / QUADS % SIDE;
        let n = (owner % BESIDE * ACROSS + across) * SIDE + i % QUADS * 4u;
        var total = sums[i];
        if SCALED {
            total = total * unscale;
        }
        store(row + m, column + n, total);
    }
    workgroupBarrier();
}

alias Sums = array<Sum, 16>;

// The products of a round, added to a subgroup's sums.
fn multiply(own_row: u32, own_column: u32, s: ptr<function, Sums>) {
    for (var k = 0u; k < 8u; k += QUADS) {
        let r0 = right(own_column, k);
        let r1 = second(own_column + SIDE, k, r0);
        let r2 = further(own_column + 2u * SIDE, k, r0);
        let r3 = further(own_column + 3u * SIDE, k, r0);
        let l0 = left(own_row, k);
        (*s)[0] = coopMultiplyAdd(l0, r0, (*s)[0]);
        if ACROSS > 1u {
            (*s)[1] = coopMultiplyAdd(l0, r1, (*s)[1]);
        }
        if ACROSS > 2u {
            (*s)[2] = coopMultiplyAdd(l0, r2, (*s)[2]);
            (*s)[3] = coopMultiplyAdd(l0, r3, (*s)[3]);
        }
        if DOWN > 1u {
            let l1 = left(own_row + SIDE, k);
            (*s)[4] = coopMultiplyAdd(l1, r0, (*s)[4]);
            if ACROSS > 1u {
                (*s)[5] = coopMultiplyAdd(l1, r1, (*s)[5]);
            }
            if ACROSS > 2u {
                (*s)[6] = coopMultiplyAdd(l1, r2, (*s)[6]);
                (*s)[7] = coopMultiplyAdd(l1, r3, (*s)[7]);
            }
        }
        if DOWN > 2u {
            let l2 = left(own_row + 2u * SIDE, k);
            (*s)[8] = coopMultiplyAdd(l2, r0, (*s)[8]);
            if ACROSS > 1u {
                (*s)[9] = coopMultiplyAdd(l2, r1, (*s)[9]);
            }
            if ACROSS > 2u {
                (*s)[10] = coopMultiplyAdd(l2, r2, (*s)[10]);
                (*s)[11] = coopMultiplyAdd(l2, r3, (*s)[11]);
            }
            let l3 = left(own_row + 3u * SIDE, k);
            (*s)[12] = coopMultiplyAdd(l3, r0, (*s)[12]);
            if ACROSS > 1u {
                (*s)[13] = coopMultiplyAdd(l3, r1, (*s)[13]);
            }
            if ACROSS > 2u {
                (*s)[14] = coopMultiplyAdd(l3, r2, (*s)[14]);
                (*s)[15] = coopMultiplyAdd(l3, r3, (*s)[15]);
            }
        }
    }
}

// The scales of factors, and whether nothing but zeros was staged so far: later the sums, scaled by both, might not bear larger ones.
struct Scales {
    rows: f32,
    columns: f32,
    no_rows: bool,
    no_columns: bool,
    turn: u32, // of `peaks`
}

// A matrix of sums times a factor, by way of workgroup memory, since Metal has no operator for it; called by all lanes.
fn times(sum: Sum, factor: f32, lane: u32, subgroup: u32) -> Sum {
    coopStoreT(sum, &sums[own_sums(subgroup)], QUADS);
    workgroupBarrier();
    for (var i = lane; i < SUM_VECTORS; i += LANES) {
        let product = sums[i] * factor;
        sums[i] = product;
    }
    workgroupBarrier();
    let result = coopLoadT<Sum>(&sums[own_sums(subgroup)], QUADS);
    workgroupBarrier();
    return result;
}

fn all_times(s: ptr<function, Sums>, factor: f32, lane: u32, subgroup: u32) {
    (*s)[0] = times((*s)[0], factor, lane, subgroup);
    if ACROSS > 1u {
        (*s)[1] = times((*s)[1], factor, lane, subgroup);
    }
    if ACROSS > 2u {
        (*s)[2] = times((*s)[2], factor, lane, subgroup);
        (*s)[3] = times((*s)[3], factor, lane, subgroup);
    }
    if DOWN > 1u {
        (*s)[4] = times((*s)[4], factor, lane, subgroup);
        if ACROSS > 1u {
            (*s)[5] = times((*s)[5], factor, lane, subgroup);
        }
        if ACROSS > 2u {
            (*s)[6] = times((*s)[6], factor, lane, subgroup);
            (*s)[7] = times((*s)[7], factor, lane, subgroup);
        }
    }
    if DOWN > 2u {
        (*s)[8] = times((*s)[8], factor, lane, subgroup);
        (*s)[12] = times((*s)[12], factor, lane, subgroup);
        if ACROSS > 1u {
            (*s)[9] = times((*s)[9], factor, lane, subgroup);
            (*s)[13] = times((*s)[13], factor, lane, subgroup);
        }
        if ACROSS > 2u {
            (*s)[10] = times((*s)[10], factor, lane, subgroup);
            (*s)[11] = times((*s)[11], factor, lane, subgroup);
            (*s)[14] = times((*s)[14], factor, lane, subgroup);
            (*s)[15] = times((*s)[15], factor, lane, subgroup);
        }
    }
}

// Tells the others the largest of what a lane staged; before the barrier after it.
fn note_largest(rows: ptr<function, Rows>, columns: ptr<function, Columns>, turn: u32, sublane: u32) {
    note_peaks(turn, largest_of_rows(*rows), largest_of_columns(*columns), sublane);
}

// The scales that suit what was staged, which is staged again where those it was staged by do not; called by all lanes after that barrier.
fn settle(
    rows: ptr<function, Rows>,
    columns: ptr<function, Columns>,
    at: vec2<u32>,
    own: vec2<bool>,
    lane: u32,
    subgroup: u32,
    scales: ptr<function, Scales>,
    s: ptr<function, Sums>,
) {
    let turn = (*scales).turn;
    let bits_of_rows = atomicLoad(&peaks[turn]);
    let bits_of_columns = atomicLoad(&peaks[turn + 1u]);
    (*scales).turn = 2u - turn;
    if lane < 2u {
        // All have read these, a round ago: the next ones begin at zero.
        atomicStore(&peaks[2u - turn + lane], 0u);
    }
    let next_rows = next_scale(bits_of_rows, (*scales).rows, (*scales).no_rows);
    let next_columns = next_scale(bits_of_columns, (*scales).columns, (*scales).no_columns);
    if next_rows != (*scales).rows || next_columns != (*scales).columns {
        if !(*scales).no_rows && !(*scales).no_columns {
            all_times(s, next_rows / (*scales).rows * (next_columns / (*scales).columns), lane, subgroup);
        }
        (*scales).rows = next_rows;
        (*scales).columns = next_columns;
        if own.x {
            put_rows(at.x, *rows, false, next_rows);
        }
        if own.y {
            put_columns(at.y, *columns, false, next_columns);
        }
        workgroupBarrier();
    }
    (*scales).no_rows = (*scales).no_rows && bits_of_rows == 0u;
    (*scales).no_columns = (*scales).no_columns && bits_of_columns == 0u;
}

// The tile whose first output is (row, column), summed over `steps` and stored; called by all lanes of a workgroup.
fn tile(row: u32, column: u32, steps: u32, lane: u32, subgroup: u32, sublane: u32) {
    let of_rows = ROWS_FILL | (lane < 2u * ROWS);
    let of_columns = COLUMNS_FILL | (lane < 2u * COLUMNS);
    let a0 = row_place(row + 4u * row_group(lane));
    let a1 = rows_of(a0, 1u, row, lane);
    let a2 = rows_of(a0, 2u, row, lane);
    let a3 = rows_of(a0, 3u, row, lane);
    let b0 = column_place(column + 4u * column_group(lane));
    let b1 = columns_of(b0, 1u, column, lane);
    let b2 = columns_of(b0, 2u, column, lane);
    let b3 = columns_of(b0, 3u, column, lane);
    let row_at = select(
        4u * row_steps(lane) * ROW_LINE + row_group(lane),
        4u * row_group(lane) * ROW_LINE + row_steps(lane),
        ROWS_ALONG_K,
    );
    let column_at = select(
        4u * column_steps(lane) * COLUMN_LINE + column_group(lane),
        4u * column_group(lane) * COLUMN_LINE + column_steps(lane),
        COLUMNS_ALONG_K,
    );
    var rows: Rows;
    var columns: Columns;
    var later_rows: Rows; // with TWICE, of the round after
    var later_columns: Columns;
    if of_rows {
        rows = round_of_rows(a0, a1, a2, a3, first_step(row_steps(lane)));
    }
    if of_columns {
        columns = round_of_columns(b0, b1, b2, b3, first_step(column_steps(lane)));
    }
    later_rows.next = rows.next;
    later_columns.next = columns.next;
    if TWICE && steps > 32u {
        if of_rows {
            later_rows = round_of_rows(a0, a1, a2, a3, rows.next);
        }
        if of_columns {
            later_columns = round_of_columns(b0, b1, b2, b3, columns.next);
        }
    }

    let place = min(subgroup, BELOW * BESIDE - 1u);
    let own_row = place / BESIDE * DOWN * SIDE;
    let own_column = place % BESIDE * ACROSS * SIDE;
    var s = Sums();
    var scales = Scales(1024.0, 1024.0, true, true, 0u);
    if SCALED && lane < 4u {
        atomicStore(&peaks[lane], 0u); // before the first barrier
    }
    for (var step = 0u; step < steps; step += ROUNDS * 32u) {
        workgroupBarrier();
        if of_rows {
            put_rows(row_at, rows, ROWS_INSIDE && step + 32u <= steps, scales.rows);
        }
        if of_columns {
            put_columns(column_at, columns, step + 32u <= steps, scales.columns);
        }
        if SCALED {
            note_largest(&rows, &columns, scales.turn, sublane);
        }
        workgroupBarrier();
        if SCALED {
            settle(&rows, &columns, vec2(row_at, column_at), vec2(of_rows, of_columns), lane, subgroup, &scales, &s);
        }
        if step + ROUNDS * 32u < steps {
            var next_rows = rows.next;
            var next_columns = columns.next;
            if TWICE {
                next_rows = later_rows.next;
                next_columns = later_columns.next;
            }
            if of_rows {
                rows = round_of_rows(a0, a1, a2, a3, next_rows);
            }
            if of_columns {
                columns = round_of_columns(b0, b1, b2, b3, next_columns);
            }
        }
        multiply(own_row, own_column, &s);
        if TWICE && step + 32u < steps {
            workgroupBarrier();
            if of_rows {
                put_rows(row_at, later_rows, ROWS_INSIDE && step + 64u <= steps, scales.rows);
            }
            if of_columns {
                put_columns(column_at, later_columns, step + 64u <= steps, scales.columns);
            }
            if SCALED {
                note_largest(&later_rows, &later_columns, scales.turn, sublane);
            }
            workgroupBarrier();
            if SCALED {
                settle(
                    &later_rows, &later_columns, vec2(row_at, column_at), vec2(of_rows, of_columns), lane, subgroup, &scales, &s,
                );
            }
            if step + 96u < steps {
                if of_rows {
                    later_rows = round_of_rows(a0, a1, a2, a3, rows.next);
                }
                if of_columns {
                    later_columns = round_of_columns(b0, b1, b2, b3, columns.next);
                }
            }
            multiply(own_row, own_column, &s);
        }
    }

    let unscale = (1.0 / scales.rows) * (1.0 / scales.columns);
    store_sums(s[0], row, column, 0u, 0u, lane, subgroup, unscale);
    if ACROSS > 1u {
        store_sums(s[1], row, column, 0u, 1u, lane, subgroup, unscale);
    }
    if ACROSS > 2u {
        store_sums(s[2], row, column, 0u, 2u, lane, subgroup, unscale);
        store_sums(s[3], row, column, 0u, 3u, lane, subgroup, unscale);
    }
    if DOWN > 1u {
        store_sums(s[4], row, column, 1u, 0u, lane, subgroup, unscale);
        if ACROSS > 1u {
            store_sums(s[5], row, column, 1u, 1u, lane, subgroup, unscale);
        }
        if ACROSS > 2u {
            store_sums(s[6], row, column, 1u, 2u, lane, subgroup, unscale);
            store_sums(s[7], row, column, 1u, 3u, lane, subgroup, unscale);
        }
    }
    if DOWN > 2u {
        store_sums(s[8], row, column, 2u, 0u, lane, subgroup, unscale);
        store_sums(s[12], row, column, 3u, 0u, lane, subgroup, unscale);
        if ACROSS > 1u {
            store_sums(s[9], row, column, 2u, 1u, lane, subgroup, unscale);
            store_sums(s[13], row, column, 3u, 1u, lane, subgroup, unscale);
        }
        if ACROSS > 2u {
            store_sums(s[10], row, column, 2u, 2u, lane, subgroup, unscale);
            store_sums(s[11], row, column, 2u, 3u, lane, subgroup, unscale);
            store_sums(s[14], row, column, 3u, 2u, lane, subgroup, unscale);
            store_sums(s[15], row, column, 3u, 3u, lane, subgroup, unscale);
        }
    }
}
