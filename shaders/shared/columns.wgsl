// Folds `first_sum` and `second_sum` over the row lanes of a workgroup that handles a tile of columns: lane l stands for
// column l % tile and row lane l / tile, tile a power of two; afterwards lane l < tile holds its column's total.
// Appended after a kernel that declares `override WIDTH: u32` (a power of two, the workgroup's size) and
// `var<workgroup> first_sum, second_sum: array<vec4<f32>, WIDTH>`. The order is a fixed tree: the same bits every run.

fn fold_columns(lane: u32, tile: u32) {
    for (var half = WIDTH / 2u; half >= tile && half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            first_sum[lane] += first_sum[lane + half];
            second_sum[lane] += second_sum[lane + half];
        }
    }
    workgroupBarrier();
}
