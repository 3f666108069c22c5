//! Which form of a kernel suits an adapter, by what is known of its kind.

use super::product::{ARRAYS, offered};
use super::{
    adam, add_bias, add_into, add_scaled, assign_labels, assign_labels_subgroup, avg_pool, axpby, batch_norm_add_relu,
    batch_norm_apply, batch_norm_merge, batch_norm_project, batch_norm_relu, batch_norm_relu_project,
    batch_norm_relu_sums, batch_norm_residual_sums, batch_norm_stats, batch_norm_sums, broadcast, broadcast_rows,
    channel_window, colour_jitter, conv2d_array, conv2d_coop, conv2d_halo, conv2d_halo_stats, conv2d_input_grad_coop,
    conv2d_input_grad_halo, conv2d_input_grad_subgroup, conv2d_input_grad_tiled, conv2d_strip, conv2d_subgroup,
    conv2d_tiled, conv2d_weight_grad_coop, conv2d_weight_grad_halo, conv2d_weight_grad_sliding,
    conv2d_weight_grad_subgroup, conv2d_weight_grad_tiled, conv2d_weight_grad_winograd, conv2d_winograd,
    conv2d_winograd_array, copy, crop_taps, decode_augment, dropout, gather_rows, gradient_norm, grey_sums,
    matmul_coop, matmul_rows, matmul_subgroup, matmul_tiled, matmul_wide, max_pool, max_pool_grad, max_pool_index,
    max_pool_select, mul, power, relu, relu_derivative, relu_derivative_sum, resized_crop, score_rows,
    score_rows_subgroup, sgd, sinkhorn_pass, sinkhorn_pass_subgroup, sinkhorn_update, sinkhorn_wide, sliding_crop,
    sum_all, sum_parts, sum_rows, top_candidates, top_candidates_subgroup, top_k, transform_views,
    transform_views_transpose, unpack_rows,
};
use crate::gpu::{Engine, Shader, Variants};

/// Kernels that go through memory once, in the forms of [`super::flat`] and [`super::columns`].
const STREAMING: [&Shader; 22] = [
    &add_bias::SHADER,
    &axpby::SHADER,
    &batch_norm_add_relu::SHADER,
    &batch_norm_apply::SHADER,
    &batch_norm_merge::SHADER,
    &batch_norm_project::SHADER,
    &batch_norm_relu::SHADER,
    &batch_norm_relu_project::SHADER,
    &batch_norm_relu_sums::SHADER,
    &batch_norm_residual_sums::SHADER,
    &batch_norm_stats::SHADER,
    &batch_norm_sums::SHADER,
    &broadcast_rows::SHADER,
    &channel_window::SHADER,
    &copy::SHADER,
    &mul::SHADER,
    &relu::SHADER,
    &relu_derivative::SHADER,
    &relu_derivative_sum::SHADER,
    &sgd::SHADER,
    &sum_parts::SHADER,
    &sum_rows::SHADER,
];

/// Others that take groups of 8 lanes on a software adapter, and their first form on a GPU.
const IN_EIGHTS: [&Shader; 16] = [
    &adam::SHADER,
    &add_into::SHADER,
    &add_scaled::SHADER,
    &avg_pool::SHADER,
    &broadcast::SHADER,
    &dropout::SHADER,
    &gather_rows::SHADER,
    &gradient_norm::SHADER,
    &max_pool::SHADER,
    &max_pool_grad::SHADER,
    &max_pool_index::SHADER,
    &max_pool_select::SHADER,
    &power::SHADER,
    &sum_all::SHADER,
    &transform_views_transpose::SHADER,
    &unpack_rows::SHADER,
];

/// Kernels of the label assignment on subgroups.
pub const ASSIGNMENT: [&Shader; 4] = [
    &assign_labels_subgroup::SHADER,
    &score_rows_subgroup::SHADER,
    &sinkhorn_pass_subgroup::SHADER,
    &top_candidates_subgroup::SHADER,
];

/// Variants for [`crate::gpu::Recording::variants`]: those that were set for the device ([`Engine::set_variants`]), else
/// [`built_in`].
pub fn preferred(engine: &Engine) -> Variants {
    engine.variants().unwrap_or_else(|| built_in(engine))
}

/// What suits an adapter's kind, with nothing measured; a kernel that is not listed takes its first.
///
/// A software adapter (lavapipe, WARP) pays for every lane of every load, so its products share loads through subgroup
/// broadcasts (docs/performance.md). A GPU would leave most of a subgroup idle in groups of 8 lanes; it takes tiles in
/// workgroup memory.
pub fn built_in(engine: &Engine) -> Variants {
    let mut chosen = Variants::default();
    let software = engine.is_software();
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
        for shader in STREAMING.into_iter().chain(IN_EIGHTS) {
            let place = shader.variants.iter().position(|v| v.name == "8");
            chosen.insert(shader.name, place.expect("it has such a variant"));
        }
    }
    if !software {
        // Groups of 256 lanes, with four loads under way a lane where it loads rows, and the parts of an output shared out.
        for shader in STREAMING {
            let named = |name: &str| shader.variants.iter().position(|v| v.name == name);
            let rows = shader.variants[0].sets("LOADS").and_then(|_| named("256x4"));
            let place = rows.or_else(|| named("256/16")).or_else(|| named("256"));
            chosen.insert(shader.name, place.expect("its variants are those of flat, columns or sum_parts"));
        }
        // Rows of hundreds of clusters: at least a subgroup of 32 lanes for each.
        chosen.insert(sinkhorn_pass::SHADER.name, 1);
        let wider = [
            &assign_labels::SHADER,
            &decode_augment::SHADER,
            &gradient_norm::SHADER,
            &score_rows::SHADER,
            &sinkhorn_wide::SHADER,
            &top_candidates::SHADER,
            &transform_views::SHADER,
        ];
        chosen.kernels.extend(wider.map(|shader| (shader.name, 1)));
        chosen.insert(sinkhorn_update::SHADER.name, 2);
        // Thousands of columns a row: one vector of lanes would leave a GPU idle.
        chosen.insert(top_k::SHADER.name, 1);
    }
    let failed = engine.failures();
    let sound = |(shader, _): &(&Shader, usize)| !failed.contains_key(shader.name);
    chosen.kernels.extend(tried(engine).into_iter().filter(sound).map(|(shader, form)| (shader.name, form)));
    chosen
}

/// The forms that [`built_in`] takes before anybody measured them, and that a driver may get wrong where it runs the plain
/// ones: products on subgroups, on tiles, on matrices and in arrays, and the label assignment on subgroups.
pub fn tried(engine: &Engine) -> Vec<(&'static Shader, usize)> {
    let pass = &sinkhorn_pass_subgroup::SHADER;
    let subgroups = engine.features().contains(wgpu::Features::SUBGROUP);
    if engine.is_software() {
        let on_subgroups = [
            &conv2d_subgroup::SHADER,
            &conv2d_input_grad_subgroup::SHADER,
            &conv2d_weight_grad_sliding::SHADER,
            &conv2d_weight_grad_subgroup::SHADER,
            &conv2d_winograd::SHADER,
            &matmul_rows::SHADER,
            &matmul_subgroup::SHADER,
            &matmul_wide::SHADER,
        ];
        let forms = on_subgroups.into_iter().chain(ASSIGNMENT).chain(ARRAYS).map(|shader| (shader, 0));
        return forms.filter(|&form| offered(engine, form)).collect();
    }
    for_gpus(engine).into_iter().chain(subgroups.then_some((pass, 1))).collect()
}

/// The products' forms for GPUs, each with the variant that chooses its tile by the shape.
pub fn for_gpus(engine: &Engine) -> Vec<(&'static Shader, usize)> {
    let tiled: [&'static Shader; 4] = [
        &conv2d_tiled::SHADER,
        &conv2d_input_grad_tiled::SHADER,
        &conv2d_weight_grad_tiled::SHADER,
        &matmul_tiled::SHADER,
    ];
    // Taken only where half-precision factors are allowed.
    let cooperative: [&'static Shader; 4] =
        [&conv2d_coop::SHADER, &conv2d_input_grad_coop::SHADER, &conv2d_weight_grad_coop::SHADER, &matmul_coop::SHADER];
    // In single precision by factors in two halves; rounded ones where they are allowed.
    let halo: [&'static Shader; 4] = [
        &conv2d_halo::SHADER,
        &conv2d_halo_stats::SHADER,
        &conv2d_input_grad_halo::SHADER,
        &conv2d_weight_grad_halo::SHADER,
    ];
    let of_side = |shader: &'static Shader| {
        let side = engine.cooperative()?;
        let form = (shader, shader.variants.iter().position(|variant| variant.constant("SIDE") == side)?);
        offered(engine, form).then_some(form)
    };
    let on_matrices = cooperative.into_iter().chain(halo).filter_map(of_side);
    tiled.map(|shader| (shader, 0)).into_iter().chain(on_matrices).collect()
}

/// Those that were set for the device, else [`direct_forms`]: what answers computed elsewhere are compared with.
///
/// Winograd's sums add and subtract inputs first; those of F(4, 3) err up to twice as much, those in an array no more. The twins' tolerance
/// has room for that, but a rectified linear unit whose input is 6e-7 (there is one in `maxl_deeper`) falls on the other
/// side of zero, and its whole gradient with it. `conv2d_strip` and `conv2d_array` round as finely as the direct forms but
/// add in another order, and 6e-7 lies below the rounding of any order: it falls on the other side there too. A GPU's tiles
/// give way to the forms that every adapter runs.
pub fn direct(engine: &Engine) -> Variants {
    engine.variants().unwrap_or_else(|| direct_forms(engine))
}

/// [`built_in`] with every product in its direct form, whatever was set.
pub fn direct_forms(engine: &Engine) -> Variants {
    let mut chosen = built_in(engine);
    let others = [
        &conv2d_winograd::SHADER,
        &conv2d_winograd_array::SHADER,
        &conv2d_weight_grad_winograd::SHADER,
        &conv2d_strip::SHADER,
        &conv2d_array::SHADER,
    ];
    for shader in others.into_iter().chain(for_gpus(engine).into_iter().map(|(shader, _)| shader)) {
        chosen.kernels.remove(shader.name);
    }
    chosen
}
