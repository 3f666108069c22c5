// Panels that 8 lanes of a subgroup loaded together. Appended, with panel.wgsl, after a kernel that uses them.

// Lane l holds step l / 4 of the first two in `low`, of the last two in `high`, outputs 4 · (l % 4) ..
fn panel_of_lanes(low: vec4<f32>, high: vec4<f32>) -> Panel {
    return Panel(
        subgroupBroadcast(low, 0u), subgroupBroadcast(low, 1u), subgroupBroadcast(low, 2u), subgroupBroadcast(low, 3u),
        subgroupBroadcast(low, 4u), subgroupBroadcast(low, 5u), subgroupBroadcast(low, 6u), subgroupBroadcast(low, 7u),
        subgroupBroadcast(high, 0u), subgroupBroadcast(high, 1u), subgroupBroadcast(high, 2u), subgroupBroadcast(high, 3u),
        subgroupBroadcast(high, 4u), subgroupBroadcast(high, 5u), subgroupBroadcast(high, 6u), subgroupBroadcast(high, 7u),
    );
}

// Lane l holds 4 steps of output l in `low`, of output l + 8 in `high`.
fn columns_of_lanes(low: vec4<f32>, high: vec4<f32>) -> Panel {
    return panel_of_columns(
        subgroupBroadcast(low, 0u), subgroupBroadcast(low, 1u), subgroupBroadcast(low, 2u), subgroupBroadcast(low, 3u),
        subgroupBroadcast(low, 4u), subgroupBroadcast(low, 5u), subgroupBroadcast(low, 6u), subgroupBroadcast(low, 7u),
        subgroupBroadcast(high, 0u), subgroupBroadcast(high, 1u), subgroupBroadcast(high, 2u), subgroupBroadcast(high, 3u),
        subgroupBroadcast(high, 4u), subgroupBroadcast(high, 5u), subgroupBroadcast(high, 6u), subgroupBroadcast(high, 7u),
    );
}
