// A round of a tile's factors on its way from registers into workgroup memory: zeroed where it is outside, scaled and rounded. Patches of
// rows and of columns are types of their own, since one may be of halves. Appended with cooperative.wgsl and scales.wgsl.

fn counted(value: vec4<f16>, inside: u32, bit: u32) -> vec4<f16> {
    return select(vec4<f16>(), value, (inside & bit) != 0u);
}

// The same of single-precision numbers.
fn numbers(value: vec4<f32>, inside: u32, bit: u32) -> vec4<f32> {
    return select(vec4(0.0), value, (inside & bit) != 0u);
}

fn put_row_patch(at: u32, p: RowPatch, inside: u32, all: bool, scale: f32) {
    if SCALED {
        row_tile[at] = vec4<f16>(numbers(vec4<f32>(p.v0), inside, 1u) * scale);
        row_tile[at + ROW_LINE] = vec4<f16>(numbers(vec4<f32>(p.v1), inside, 2u) * scale);
        row_tile[at + 2u * ROW_LINE] = vec4<f16>(numbers(vec4<f32>(p.v2), inside, 4u) * scale);
        row_tile[at + 3u * ROW_LINE] = vec4<f16>(numbers(vec4<f32>(p.v3), inside, 8u) * scale);
    } else if all {
        row_tile[at] = vec4<f16>(p.v0);
        row_tile[at + ROW_LINE] = vec4<f16>(p.v1);
        row_tile[at + 2u * ROW_LINE] = vec4<f16>(p.v2);
        row_tile[at + 3u * ROW_LINE] = vec4<f16>(p.v3);
    } else {
        row_tile[at] = counted(vec4<f16>(p.v0), inside, 1u);
        row_tile[at + ROW_LINE] = counted(vec4<f16>(p.v1), inside, 2u);
        row_tile[at + 2u * ROW_LINE] = counted(vec4<f16>(p.v2), inside, 4u);
        row_tile[at + 3u * ROW_LINE] = counted(vec4<f16>(p.v3), inside, 8u);
    }
}

fn put_column_patch(at: u32, p: ColumnPatch, inside: u32, all: bool, scale: f32) {
    if SCALED {
        column_tile[at] = vec4<f16>(numbers(vec4<f32>(p.v0), inside, 1u) * scale);
        column_tile[at + COLUMN_LINE] = vec4<f16>(numbers(vec4<f32>(p.v1), inside, 2u) * scale);
        column_tile[at + 2u * COLUMN_LINE] = vec4<f16>(numbers(vec4<f32>(p.v2), inside, 4u) * scale);
        column_tile[at + 3u * COLUMN_LINE] = vec4<f16>(numbers(vec4<f32>(p.v3), inside, 8u) * scale);
    } else if all {
        column_tile[at] = vec4<f16>(p.v0);
        column_tile[at + COLUMN_LINE] = vec4<f16>(p.v1);
        column_tile[at + 2u * COLUMN_LINE] = vec4<f16>(p.v2);
        column_tile[at + 3u * COLUMN_LINE] = vec4<f16>(p.v3);
    } else {
        column_tile[at] = counted(vec4<f16>(p.v0), inside, 1u);
        column_tile[at + COLUMN_LINE] = counted(vec4<f16>(p.v1), inside, 2u);
        column_tile[at + 2u * COLUMN_LINE] = counted(vec4<f16>(p.v2), inside, 4u);
        column_tile[at + 3u * COLUMN_LINE] = counted(vec4<f16>(p.v3), inside, 8u);
    }
}

// The largest absolute value of a patch's vectors.
fn largest_of(v0: vec4<f32>, v1: vec4<f32>, v2: vec4<f32>, v3: vec4<f32>, inside: u32) -> f32 {
    let upper = max(largest(numbers(v0, inside, 1u)), largest(numbers(v1, inside, 2u)));
    return max(upper, max(largest(numbers(v2, inside, 4u)), largest(numbers(v3, inside, 8u))));
}

fn largest_of_row_patch(p: RowPatch, inside: u32) -> f32 {
    return largest_of(vec4<f32>(p.v0), vec4<f32>(p.v1), vec4<f32>(p.v2), vec4<f32>(p.v3), inside);
}

fn largest_of_column_patch(p: ColumnPatch, inside: u32) -> f32 {
    return largest_of(vec4<f32>(p.v0), vec4<f32>(p.v1), vec4<f32>(p.v2), vec4<f32>(p.v3), inside);
}

// The largest absolute value of what a lane has of a round's rows.
fn largest_of_rows(rows: Rows) -> f32 {
    var most = largest_of_row_patch(rows.p0, rows.inside);
    if ROW_PATCHES > 1u {
        most = max(most, largest_of_row_patch(rows.p1, rows.inside >> 4u));
    }
    if ROW_PATCHES > 2u {
        most = max(most, largest_of_row_patch(rows.p2, rows.inside >> 8u));
        most = max(most, largest_of_row_patch(rows.p3, rows.inside >> 12u));
    }
    return most;
}

// The largest absolute value of what a lane has of a round's columns.
fn largest_of_columns(columns: Columns) -> f32 {
    var most = largest_of_column_patch(columns.p0, columns.inside);
    if COLUMN_PATCHES > 1u {
        most = max(most, largest_of_column_patch(columns.p1, columns.inside >> 4u));
    }
    if COLUMN_PATCHES > 2u {
        most = max(most, largest_of_column_patch(columns.p2, columns.inside >> 8u));
        most = max(most, largest_of_column_patch(columns.p3, columns.inside >> 12u));
    }
    return most;
}

// `at` is where the first patch lies; `all` where no vector of the round is outside.
fn put_rows(at: u32, rows: Rows, all: bool, scale: f32) {
    put_row_patch(at, rows.p0, rows.inside, all, scale);
    if ROW_PATCHES > 1u {
        put_row_patch(at + ROW_JUMP, rows.p1, rows.inside >> 4u, all, scale);
    }
    if ROW_PATCHES > 2u {
        put_row_patch(at + 2u * ROW_JUMP, rows.p2, rows.inside >> 8u, all, scale);
        put_row_patch(at + 3u * ROW_JUMP, rows.p3, rows.inside >> 12u, all, scale);
    }
}

fn put_columns(at: u32, columns: Columns, all: bool, scale: f32) {
    put_column_patch(at, columns.p0, columns.inside, all, scale);
    if COLUMN_PATCHES > 1u {
        put_column_patch(at + COLUMN_JUMP, columns.p1, columns.inside >> 4u, all, scale);
    }
    if COLUMN_PATCHES > 2u {
        put_column_patch(at + 2u * COLUMN_JUMP, columns.p2, columns.inside >> 8u, all, scale);
        put_column_patch(at + 3u * COLUMN_JUMP, columns.p3, columns.inside >> 12u, all, scale);
    }
}
