// A pass over whole rows, or as much of them as SETS tiles are, in the order in which they lie in memory: software adapters run a
// group's lanes as one vector, and lines that they skip cost as much as lines that they read (docs/performance.md). Appended after
// a kernel that declares `params.quads`, `override WIDTH, SETS` (1, 2, 4 or 8; tiles are WIDTH wide where it is more than 1),
//   struct Map, fn map_of(column: u32) -> Map   the constants of a column
//   fn put(i: u32, map: Map)                    what is done to value i of that column

override ROWS_A_TURN: u32 = 8u / SETS;

fn whole_rows(column: u32, first: u32, end: u32) {
    var maps: array<Map, 8>;
    for (var s = 0u; s < SETS; s++) {
        maps[s] = map_of(column + s * WIDTH);
    }
    var row = first;
    for (; row + ROWS_A_TURN <= end; row += ROWS_A_TURN) {
        for (var r = 0u; r < ROWS_A_TURN; r++) {
            for (var s = 0u; s < SETS; s++) {
                put((row + r) * params.quads + column + s * WIDTH, maps[s]);
            }
        }
    }
    for (; row < end; row++) {
        for (var s = 0u; s < SETS; s++) {
            put(row * params.quads + column + s * WIDTH, maps[s]);
        }
    }
}
