// The panel of a matrix product for subgroups: the lanes load 8 vectors of b together and pass them round. Appended after
// a kernel with panel.wgsl and factors.wgsl.

// Inner steps from 4k on, columns from n on (a multiple of 16); called by 8 lanes together.
fn panel_at(k: u32, n: u32, lane: u32) -> Panel {
    if !TRANSPOSE_B {
        // Lane l loads step l / 4 of two, columns 4 · (l % 4) ..
        let xy = load_b(4u * k + lane / 4u, n / 4u + lane % 4u);
        let zw = load_b(4u * k + 2u + lane / 4u, n / 4u + lane % 4u);
        return Panel(
            subgroupBroadcast(xy, 0u), subgroupBroadcast(xy, 1u), subgroupBroadcast(xy, 2u), subgroupBroadcast(xy, 3u),
            subgroupBroadcast(xy, 4u), subgroupBroadcast(xy, 5u), subgroupBroadcast(xy, 6u), subgroupBroadcast(xy, 7u),
            subgroupBroadcast(zw, 0u), subgroupBroadcast(zw, 1u), subgroupBroadcast(zw, 2u), subgroupBroadcast(zw, 3u),
            subgroupBroadcast(zw, 4u), subgroupBroadcast(zw, 5u), subgroupBroadcast(zw, 6u), subgroupBroadcast(zw, 7u),
        );
    }
    // Lane l loads columns l and l + 8.
    let low = load_b(n + lane, k);
    let high = load_b(n + 8u + lane, k);
    return panel_of_columns(
        subgroupBroadcast(low, 0u), subgroupBroadcast(low, 1u), subgroupBroadcast(low, 2u), subgroupBroadcast(low, 3u),
        subgroupBroadcast(low, 4u), subgroupBroadcast(low, 5u), subgroupBroadcast(low, 6u), subgroupBroadcast(low, 7u),
        subgroupBroadcast(high, 0u), subgroupBroadcast(high, 1u), subgroupBroadcast(high, 2u), subgroupBroadcast(high, 3u),
        subgroupBroadcast(high, 4u), subgroupBroadcast(high, 5u), subgroupBroadcast(high, 6u), subgroupBroadcast(high, 7u),
    );
}
