// Folds `partial` over the lanes of a workgroup into partial[0]. Appended after a kernel that declares
// `override WIDTH: u32` (a power of two, the workgroup's size) and `var<workgroup> partial: array<f32, WIDTH>`.
// The order of the sum is a fixed tree: the same bits every run.

const LOWEST: f32 = -3.4028234e38;

fn fold_maximum(lane: u32) {
    for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            partial[lane] = max(partial[lane], partial[lane + half]);
        }
    }
    workgroupBarrier();
}

fn fold_sum(lane: u32) {
    for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            partial[lane] += partial[lane + half];
        }
    }
    workgroupBarrier();
}
