// Sums over rows by columns as in whole_rows.wgsl: every value in the order in which it lies in memory, a lane alone for SETS columns
// WIDTH apart, so that nothing is folded. Appended after a kernel that declares `params.quads`, `override WIDTH, SETS`,
//   struct Map, fn map_of(column: u32) -> Map         the constants of a column
//   struct Sums, fn add(i: u32, map: Map, sums: Sums) -> Sums   the sums with value i of that column
//   fn store(slab: u32, column: u32, map: Map, sums: Sums)

override ROWS_A_TURN: u32 = 8u / SETS;

fn whole_sums(slab: u32, column: u32, first: u32, end: u32) {
    var maps: array<Map, 8>;
    var sums: array<Sums, 8>;
    for (var s = 0u; s < SETS; s++) {
        maps[s] = map_of(column + s * WIDTH);
    }
    var row = first;
    for (; row + ROWS_A_TURN <= end; row += ROWS_A_TURN) {
        for (var r = 0u; r < ROWS_A_TURN; r++) {
            for (var s = 0u; s < SETS; s++) {
                sums[s] = add((row + r) * params.quads + column + s * WIDTH, maps[s], sums[s]);
            }
        }
    }
    for (; row < end; row++) {
        for (var s = 0u; s < SETS; s++) {
            sums[s] = add(row * params.quads + column + s * WIDTH, maps[s], sums[s]);
        }
    }
    for (var s = 0u; s < SETS; s++) {
        store(slab, column + s * WIDTH, maps[s], sums[s]);
    }
}
