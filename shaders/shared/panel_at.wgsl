// The panel of a matrix product for subgroups: the lanes load 8 vectors of b together and pass them round. Appended after
// a kernel with panel.wgsl, lanes.wgsl and factors.wgsl.

// Inner steps from 4k on, columns from n on (a multiple of 16); called by 8 lanes together.
fn panel_at(k: u32, n: u32, lane: u32) -> Panel {
    if !TRANSPOSE_B {
        // Lane l loads step l / 4 of two, columns 4 · (l % 4) ..
        let xy = load_b(4u * k + lane / 4u, n / 4u + lane % 4u);
        let zw = load_b(4u * k + 2u + lane / 4u, n / 4u + lane % 4u);
        return panel_of_lanes(xy, zw);
    }
    // Lane l loads columns l and l + 8.
    let low = load_b(n + lane, k);
    let high = load_b(n + 8u + lane, k);
    return columns_of_lanes(low, high);
}
