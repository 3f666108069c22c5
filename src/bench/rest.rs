//! The kernels that no other part times: pools, views, losses and rows at the shapes of the networks, label assignment at
//! CIFAR's and, in full, at a window of a tenth of ImageNet.

use super::kernels::{Measured, measure};
use super::networks::{NETWORKS, Network};
use super::{Options, sinkhorn};
use crate::base::{DType, Error, Result};
use crate::gpu::Engine;
use crate::kernels::work::{self, Tensors};
use crate::transport::row_store::binding_bytes;

/// Kernels without a row of their own name in any part, with the row, or a part of its name, that has their time.
pub const WITHIN: &[(&str, &str)] = &[
    // Forms of a product: adapters differ in which they take.
    ("conv2d_array", "conv2d"),
    ("conv2d_coop", "conv2d"),
    ("conv2d_halo", "conv2d"),
    ("conv2d_strip", "conv2d"),
    ("conv2d_subgroup", "conv2d"),
    ("conv2d_tiled", "conv2d"),
    ("conv2d_winograd", "conv2d"),
    ("conv2d_winograd_array", "conv2d"),
    ("conv2d_input_grad_coop", "conv2d_input_grad"),
    ("conv2d_input_grad_halo", "conv2d_input_grad"),
    ("conv2d_input_grad_subgroup", "conv2d_input_grad"),
    ("conv2d_input_grad_tiled", "conv2d_input_grad"),
    ("conv2d_weight_grad_array", "conv2d_weight_grad"),
    ("conv2d_weight_grad_coop", "conv2d_weight_grad"),
    ("conv2d_weight_grad_halo", "conv2d_weight_grad"),
    ("conv2d_weight_grad_sliding", "conv2d_weight_grad"),
    ("conv2d_weight_grad_subgroup", "conv2d_weight_grad"),
    ("conv2d_weight_grad_tiled", "conv2d_weight_grad"),
    ("conv2d_weight_grad_winograd", "conv2d_weight_grad"),
    ("matmul_column", "matmul"),
    ("matmul_rows", "matmul"),
    ("matmul_coop", "matmul"),
    ("matmul_subgroup", "matmul"),
    ("matmul_tiled", "matmul"),
    ("matmul_wide", "matmul"),
    // Forms of other kernels.
    ("assign_labels_subgroup", "assign_labels"),
    ("score_rows_subgroup", "score_rows"),
    ("sinkhorn_pass_subgroup", "sinkhorn_pass"),
    ("sliding_crop", "resized_crop"),
    ("top_candidates_subgroup", "top_candidates"),
    // Whole steps alone bring what they join.
    ("conv2d_halo_stats", "step resnet32 baseline"),
    ("sum_part_lists", "step resnet32 baseline"),
    ("fma_loop", "ceiling: multiply-adds"),
];

/// Kernels whose work does not follow from a network, and their shapes.
const FIXED: &[(&str, &str)] = &[
    ("accumulate", "8"),
    ("flag_nonfinite", "8"),
    ("clip_scale", "1"),
    ("loss_scale", "1"),
    ("philox_words", "65536"),
    // A batch's labels, and its scores or features as stored.
    ("gather_labels", "256x50000,h10"),
    ("gather_rows", "256x128,w50000"),
    ("scatter_rows", "256x128,w50000"),
    ("unpack_rows", "16384x512"),
    // The neighbours of some images among CIFAR's.
    ("top_k", "64x50000,n200"),
    // Only what exact sizes of clusters ask for: a part of the samples says as much.
    ("top_candidates", "8192x128,n10"),
];
/// Kernels that go over all scores of samples for clusters.
const SCORES: [&str; 4] = ["score_rows", "sinkhorn_pass", "sinkhorn_wide", "assign_labels"];
/// Kernels over the logits of a batch.
const LOGITS: [&str; 11] = [
    "softmax",
    "softmax_grad",
    "focal",
    "focal_grad",
    "masked_softmax",
    "distillation",
    "distillation_grad",
    "one_hot",
    "argmax",
    "row_dot",
    "row_scale",
];
/// Parts of a weight gradient's sum.
const PARTS: usize = 8;
/// Slabs, or workgroups of a large GPU, that leave statistics of theirs.
const SLABS: usize = 264;

/// A row to be: its kernel, the shape of its work, and what stands before that in the table.
type Planned = (&'static str, String, &'static str);

/// What is measured, each kernel and shape once.
fn plan(options: &Options, binding: u64) -> Result<Vec<Planned>> {
    let mut all: Vec<Planned> = Vec::new();
    for network in NETWORKS.iter().filter(|n| options.full || !n.full) {
        of_network(network, options, &mut all)?;
    }
    // The others have pools too, in a full run.
    if !options.full {
        for network in NETWORKS.iter().filter(|n| n.label == "VGG-16") {
            pools(network.label, network.shapes(options)?.pools.into_iter().take(1), &mut all);
        }
    }
    all.extend(FIXED.iter().map(|&(kernel, shape)| (kernel, shape.to_owned(), "")));
    for (samples, clusters) in sinkhorn::SIZES.into_iter().take(if options.full { 2 } else { 1 }) {
        let window = samples.min((binding / (4 * clusters as u64)) as usize);
        all.extend(SCORES.map(|kernel| (kernel, format!("{window}x{clusters}"), "")));
        all.push(("sinkhorn_update", clusters.to_string(), ""));
        all.push(("max_rows", format!("{SLABS}x{clusters}"), ""));
        all.push(("sum_all", samples.to_string(), ""));
    }
    let mut once: Vec<Planned> = Vec::new();
    for planned in all {
        // The same work under another network's name.
        if !once.iter().any(|(kernel, shape, _)| (*kernel, shape) == (planned.0, &planned.1)) {
            once.push(planned);
        }
    }
    Ok(once)
}

fn of_network(network: &Network, options: &Options, all: &mut Vec<Planned>) -> Result<()> {
    let Network { label, image: [height, width, channels], outputs, views, .. } = *network;
    let shapes = network.shapes(options)?;
    let images = network.rows(options).div_ceil(views);
    let rows = images * views;
    let mut add = |kernel: &'static str, shape: String| all.push((kernel, shape, label));
    let logits = format!("{rows}x{outputs}");
    for kernel in LOGITS {
        let classes = if kernel == "masked_softmax" { ",c10" } else { "" };
        add(kernel, format!("{logits}{classes}"));
    }
    for kernel in ["cross_entropy", "cross_entropy_grad"] {
        add(kernel, if views > 1 { format!("{logits},v{views}") } else { logits.clone() });
    }
    for kernel in ["counted", "count_matches"] {
        add(kernel, if views > 1 { format!("{rows},v{views}") } else { rows.to_string() });
    }
    add("normalize_rows", format!("{rows}x{}", shapes.features));
    add("entropy", outputs.to_string());
    add("sum_all", rows.to_string());
    if views > 1 {
        for kernel in ["aggregate", "aggregate_transpose", "conditional"] {
            add(kernel, format!("{logits},v{views}"));
        }
    }
    for kernel in ["transform_views", "transform_views_transpose"] {
        add(kernel, format!("{images}x{height}x{width}x{channels},rotation"));
    }
    for shortcut in shapes.shortcuts {
        add("channel_window", shortcut);
    }
    let widest = shapes.maps.iter().filter(|map| map.len() == 4).map(|map| map[3]).max().unwrap_or(1);
    add("batch_norm_running", widest.to_string());
    add("batch_norm_merge", format!("{SLABS}x{widest}"));
    add("sum_parts", format!("{PARTS}x9x{widest}x{widest}"));
    pools(label, shapes.pools.into_iter(), all);
    Ok(())
}

fn pools(label: &'static str, shapes: impl Iterator<Item = String>, all: &mut Vec<Planned>) {
    for shape in shapes {
        for kernel in ["max_pool", "max_pool_index", "max_pool_select", "max_pool_grad", "avg_pool"] {
            all.push((kernel, shape.clone(), label));
        }
    }
}

/// Measures them with the variants that training would take.
///
/// # Errors
/// When the adapter fails for another reason than memory.
pub fn rest(engine: &Engine, options: &Options) -> Result<Measured> {
    if options.repeats == 0 || options.rows == 0 || options.demo_rows == 0 {
        return Err(Error::Config(format!("bench: repeats and rows must be at least 1: {options:?}")));
    }
    let mut measured = Measured::default();
    for (kernel, shape, label) in plan(options, binding_bytes(&engine.limits()))? {
        let words = format!("{label} {}", work::words(kernel, &shape)?).trim_start().to_owned();
        let row = engine.passing(|| {
            let record = work::record(&Tensors::new(engine), kernel, &shape, DType::F32)?;
            measure(engine, options, kernel, &words, |r| record(r))
        });
        measured.add(kernel, &words, row)?;
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_planned_once_and_full_runs_hold_all_of_plain_ones() {
        let binding = 128 << 20;
        let of = |full| plan(&Options { full, ..Options::default() }, binding).expect("a plan");
        let (plain, full) = (of(false), of(true));
        for (kernel, shape, _) in &plain {
            assert!(full.iter().any(|(k, s, _)| (k, s) == (kernel, shape)), "{kernel} {shape}");
        }
        for (kernel, shape, _) in &full {
            assert_eq!(full.iter().filter(|(k, s, _)| (k, s) == (kernel, shape)).count(), 1, "{kernel} {shape}");
            work::words(kernel, shape).expect("a shape that is understood");
        }
        for (kernel, shape, label) in [
            ("max_pool", "4x112x112x64,k3,s2,p1", "ResNet-18"),
            ("max_pool_grad", "16x32x32x64,k2,s2,p0", "VGG-16"),
            ("avg_pool", "4x55x55x96,k3,s2,p0", "AlexNet"),
            ("channel_window", "32x32x32x16-32,s2", "ResNet-32"),
            ("cross_entropy", "128x40,v4", "demo"),
            ("softmax", "4x1000", "ResNet-18"),
        ] {
            assert!(full.contains(&(kernel, shape.to_owned(), label)), "{kernel} {shape}: {full:?}");
        }
    }
}
