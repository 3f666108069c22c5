//! Which form of a kernel suits an adapter, by what is known of its kind.

use std::collections::HashMap;

use super::{
    assign_labels, colour_jitter, conv2d_input_grad_subgroup, conv2d_subgroup, conv2d_weight_grad_sliding,
    conv2d_weight_grad_subgroup, conv2d_winograd, crop_taps, grey_sums, matmul_subgroup, matmul_wide, resized_crop,
    score_rows, shared, sinkhorn_pass, sinkhorn_pass_subgroup, sinkhorn_update, sinkhorn_wide, sliding_crop,
    top_candidates, top_k,
};
use crate::gpu::Engine;

/// Variants for [`crate::gpu::Recording::variants`]; a kernel that is not listed takes its first.
///
/// A software adapter (lavapipe, WARP) pays for every lane of every load, so its products share loads through subgroup
/// broadcasts and load two floats at a time (docs/performance.md). A GPU broadcasts such loads in its caches and would
/// leave most of a subgroup idle in groups of 8 lanes.
pub fn preferred(engine: &Engine) -> HashMap<&'static str, usize> {
    let mut chosen = HashMap::new();
    let info = engine.info();
    let software = info.device_type == wgpu::DeviceType::Cpu;
    if software {
        // Groups of one vector register: no lane of a group waits for another, and no barrier costs anything.
        for shader in [
            &crop_taps::SHADER,
            &resized_crop::SHADER,
            &sliding_crop::SHADER,
            &grey_sums::SHADER,
            &colour_jitter::SHADER,
        ] {
            chosen.insert(shader.name, 1);
        }
    }
    if software && engine.features().contains(shared::SOFTWARE_FORMS) && info.subgroup_min_size >= 8 {
        let shaders = [
            &conv2d_subgroup::SHADER,
            &conv2d_input_grad_subgroup::SHADER,
            &conv2d_weight_grad_sliding::SHADER,
            &conv2d_weight_grad_subgroup::SHADER,
            &conv2d_winograd::SHADER,
            &matmul_subgroup::SHADER,
            &matmul_wide::SHADER,
        ];
        for shader in shaders {
            chosen.insert(shader.name, 0);
        }
    }
    if software && engine.features().contains(wgpu::Features::SUBGROUP) && info.subgroup_min_size >= 8 {
        chosen.insert(sinkhorn_pass_subgroup::SHADER.name, 0);
    }
    if !software {
        // Rows of hundreds of clusters: at least a subgroup of 32 lanes for each.
        let pass = if engine.features().contains(wgpu::Features::SUBGROUP) {
            &sinkhorn_pass_subgroup::SHADER
        } else {
            &sinkhorn_pass::SHADER
        };
        chosen.insert(pass.name, 1);
        let wider = [&score_rows::SHADER, &assign_labels::SHADER, &top_candidates::SHADER, &sinkhorn_wide::SHADER];
        chosen.extend(wider.map(|shader| (shader.name, 1)));
        chosen.insert(sinkhorn_update::SHADER.name, 2);
    }
    if !software {
        // Thousands of columns a row: one vector of lanes would leave a GPU idle.
        chosen.insert(top_k::SHADER.name, 1);
    }
    chosen
}
