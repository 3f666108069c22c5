//! Whole networks with their gradients, fused: the same values in float64, fewer nodes, less memory.

use std::collections::HashMap;

use relabel::base::compare::{Tolerance, compare};
use relabel::base::labels::LabelRule;
use relabel::base::{Array, DType, Shape};
use relabel::gpu::{Engine, Program, Recording, Shader, Tensor, Variants, readback};
use relabel::graph::executor::Executor;
use relabel::graph::fuse::fuse;
use relabel::graph::interpret::interpret;
use relabel::graph::plan::Plan;
use relabel::graph::{Graph, NodeId, Source, reverse};
use relabel::kernels::product::offered;
use relabel::kernels::{
    batch_norm_merge, batch_norm_residual_sums, batch_norm_running, batch_norm_stats, conv2d, conv2d_halo,
    conv2d_halo_stats, conv2d_weight_grad, relu, relu_derivative_sum, sum_part_lists, sum_parts,
};
use relabel::models::{ModelSettings, backbone};
use relabel::nn::{Builder, Phase};

use super::common::engine;

/// A network with a head, its loss, and the gradients of all parameters.
struct Made {
    b: Builder,
    images: NodeId,
    labels: NodeId,
    outputs: Vec<NodeId>,
}

fn network(name: &str, widths: &[usize], image: [usize; 4]) -> Made {
    let settings = ModelSettings { name: name.into(), widths: widths.to_vec(), ..ModelSettings::default() };
    let mut b = Builder::new(Phase::Train { update: true });
    let images = b.graph.input("images", &image, DType::F32);
    let labels = b.graph.input("labels", &[image[0]], DType::U32);
    let features = backbone(&settings).unwrap().features(&mut b, images).unwrap();
    let logits = b.linear("head", features, 5).unwrap();
    let losses = b.graph.cross_entropy(logits, labels, LabelRule::Class, 1).unwrap();
    let loss = b.graph.sum_all(losses, 1.0).unwrap();
    let wrt = b.graph.parameters();
    let mut outputs = reverse(&mut b.graph, loss, &wrt).unwrap();
    outputs.push(loss);
    Made { b, images, labels, outputs }
}

fn recorded(graph: &Graph, outputs: &[NodeId]) -> Vec<&'static str> {
    let name = |id: &NodeId| match &graph.node(*id).source {
        Source::Computed(operation) => Some(operation.name()),
        _ => None,
    };
    Plan::new(graph, outputs, &|_| false).order.iter().filter_map(name).collect()
}

#[test]
fn residual_networks_keep_loss_and_gradients() {
    // Projection shortcuts, appended channels, and normalisation in front of the convolutions.
    for (name, widths) in
        [("cifar_resnet18", &[4, 5, 6, 7][..]), ("resnet20", &[4, 6, 8]), ("resnetv2_50", &[2, 3, 4, 5])]
    {
        let made = network(name, widths, [2, 8, 8, 3]);
        let graph = &made.b.graph;
        let mut leaves = HashMap::new();
        leaves.insert(made.images, Array::normal(&[2, 8, 8, 3], 1.0, 1));
        leaves.insert(made.labels, Array::integers(&[2], 5, 2));
        for (i, spec) in made.b.parameters().iter().chain(made.b.states()).enumerate() {
            let sizes = spec.shape().sizes().to_vec();
            let node = (0..graph.nodes().len() as u32).map(NodeId).find(|&id| graph.node(id).name == spec.name);
            leaves.insert(node.unwrap(), Array::normal(&sizes, 0.5, 10 + i as u64).map(|v| v + 0.1));
        }
        let fused = fuse(graph, &made.outputs, &|_| false).unwrap();
        let expected = interpret(graph, &leaves, &made.outputs).unwrap();
        let found = interpret(&fused, &leaves, &made.outputs).unwrap();
        let mut alive = 0;
        for id in &made.outputs {
            let largest = expected[id].data.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            alive += usize::from(largest > 1e-6);
            for (a, e) in found[id].data.iter().zip(&expected[id].data) {
                assert!((a - e).abs() <= 1e-12 * largest.max(1e-3), "{name}, {}: {a} and {e}", graph.node(*id).name);
            }
        }
        // Normalisation of single pixels has no gradient: some are zero, but not most.
        assert!(2 * alive > made.outputs.len(), "{name}: {alive} of {}", made.outputs.len());
        let (before, after) = (recorded(graph, &made.outputs), recorded(&fused, &made.outputs));
        assert!(after.len() + 10 < before.len(), "{name}: {} of {}", after.len(), before.len());
    }
}

#[test]
fn resnet32_takes_less_memory_and_no_unit_alone() {
    let made = network("resnet32", &[], [32, 32, 32, 3]);
    let fused = fuse(&made.b.graph, &made.outputs, &|_| false).unwrap();
    let bytes = [&made.b.graph, &fused].map(|g| Plan::new(g, &made.outputs, &|_| false).bytes());
    println!("planned memory of ResNet-32 at 32 rows: {} and fused {} bytes", bytes[0], bytes[1]);
    assert!(bytes[1] <= bytes[0], "{bytes:?}");
    let [before, after] = [&made.b.graph, &fused].map(|g| recorded(g, &made.outputs));
    println!("nodes: {} and fused {}", before.len(), after.len());
    let count = |names: &[&str], name: &str| names.iter().filter(|n| **n == name).count();
    assert_eq!((count(&before, "relu"), count(&after, "relu")), (31, 0));
    // 15 blocks, each with a unit of its own inside, and the stem's.
    assert_eq!(count(&after, "batch_norm_relu_project"), 16);
    // Every block's gradient goes around it, the last one's comes from the pooling alone.
    assert_eq!((count(&after, "relu_derivative_sum"), count(&after, "relu_derivative")), (14, 1));
}

/// The executor of a network whose kernels take these forms, the tensors of its running statistics, and its parameters' gradients, all in
/// one buffer.
fn executor(engine: &Engine, made: &Made, forms: &[(&'static str, usize)]) -> (Executor, Vec<Tensor>, Tensor) {
    let graph = &made.b.graph;
    let (mut placed, mut states) = (HashMap::new(), Vec::new());
    let gradients = &made.outputs[..made.outputs.len() - 1];
    let room = |id: &NodeId| graph.node(*id).shape.bytes_of(DType::F32).next_multiple_of(256);
    let bytes: u64 = gradients.iter().map(room).sum();
    let flat = engine.tensor("gradients", Shape::new(&[bytes as usize / 4]), DType::F32).unwrap();
    let mut offset = 0;
    for id in gradients {
        placed.insert(*id, flat.window(offset, graph.node(*id).shape.clone()));
        offset += room(id);
    }
    let names =
        made.b.parameters().iter().map(|spec| (spec, false)).chain(made.b.states().iter().map(|spec| (spec, true)));
    for (i, (spec, state)) in names.enumerate() {
        let id = (0..graph.nodes().len() as u32).map(NodeId).find(|&id| graph.node(id).name == spec.name).unwrap();
        let values = Array::normal(spec.shape().sizes(), 0.5, 10 + i as u64).map(|v| v + 0.1);
        let tensor = engine.upload(&spec.name, &values, DType::F32).unwrap();
        placed.insert(id, tensor.clone());
        states.extend(state.then_some(tensor));
    }
    let mut kernels: HashMap<&'static str, usize> = forms.iter().copied().collect();
    // As on a GPU, where statistics are two dispatches whatever the shape.
    let wide = batch_norm_stats::SHADER.variants.iter().position(|v| v.name == "256").unwrap();
    kernels.insert(batch_norm_stats::SHADER.name, wide);
    let variants = Variants { kernels, ..Variants::default() };
    (Executor::new(engine, graph, &made.outputs, &placed, &variants).unwrap(), states, flat)
}

fn count(executor: &Executor, shader: &Shader) -> usize {
    executor.recording().dispatches.iter().filter(|d| d.shader.name == shader.name).count()
}

/// Runs a step on images of noise, and reads tensors.
fn run(engine: &Engine, executor: &Executor, made: &Made, read: &[&Tensor]) -> Vec<f32> {
    let shape = made.b.graph.node(made.images).shape.clone();
    engine.write(executor.tensor(made.images).unwrap(), &Array::normal(shape.sizes(), 1.0, 1).to_f32());
    let labels: Vec<u32> = (0..shape.sizes()[0] as u32).map(|i| i % 5).collect();
    engine.write(executor.tensor(made.labels).unwrap(), &labels);
    Program::new(engine, executor.recording()).unwrap().run(engine, 1).unwrap();
    read.iter().flat_map(|tensor| readback::read_floats(engine, tensor).unwrap()).collect()
}

/// The gradient around a block takes the sums of the batch normalisation inside along, also where the channels of the block's
/// input are cut out in between; with a projection around the block, those of one of the two.
#[test]
fn gradients_around_blocks_take_their_sums_along() {
    let engine = engine();
    for (name, widths, image, blocks) in
        [("resnet32", &[][..], [2, 16, 16, 3], 15), ("cifar_resnet18", &[4, 5, 6, 7], [2, 8, 8, 3], 8)]
    {
        let made = network(name, widths, image);
        let (executor, ..) = executor(&engine, &made, &[(conv2d_halo::SHADER.name, 0)]);
        // The last block's gradient comes from the pooling alone.
        assert_eq!(count(&executor, &batch_norm_residual_sums::SHADER), blocks - 1, "{name}");
        assert_eq!(count(&executor, &relu_derivative_sum::SHADER), 0, "{name}");
    }
}

/// Where both are named, statistics are found in the convolutions in front of them, with the same answer where an adapter has
/// matrices.
#[test]
fn convolutions_by_bands_find_their_statistics() {
    let engine = engine();
    let made = network("resnet20", &[16, 16, 16], [24, 16, 16, 3]);
    let side = engine.cooperative().unwrap_or(16);
    let variants = conv2d_halo::SHADER.variants;
    let form = variants.iter().position(|v| v.name == format!("{side} 16x16")).unwrap();
    let found = [&[][..], &[(conv2d_halo_stats::SHADER.name, form)]].map(|more| {
        let forms = [&[(conv2d_halo::SHADER.name, form)], more].concat();
        let (executor, states, _) = executor(&engine, &made, &forms);
        let names = [&conv2d_halo_stats::SHADER, &batch_norm_merge::SHADER, &batch_norm_running::SHADER]
            .map(|shader| count(&executor, shader));
        let passes = count(&executor, &batch_norm_stats::SHADER);
        let values = offered(&engine, (&conv2d_halo::SHADER, form)).then(|| {
            let loss = executor.tensor(*made.outputs.last().unwrap()).unwrap();
            run(&engine, &executor, &made, &states.iter().chain([loss]).collect::<Vec<_>>())
        });
        (names, passes, values)
    });
    let [(apart, passes, expected), (joined, fewer, values)] = found;
    assert_eq!((apart, passes), ([0, 0, 19], 38), "19 layers");
    assert_eq!((joined, fewer), ([19, 19, 0], 0), "those of stride 2 too");
    if let (Some(expected), Some(values)) = (expected, values) {
        let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
        // Statistics that are added in another order go through 19 layers.
        compare(&values, &expected, Tolerance::largest(1e-5)).unwrap();
    }
}

/// Where lanes share the parts of split weight gradients, sums of several layers wait for one another: the same gradients in fewer
/// dispatches.
#[test]
fn parts_of_several_layers_are_added_at_once() {
    let engine = engine();
    let made = network("resnet20", &[16, 16, 16], [24, 16, 16, 3]);
    let shared = sum_parts::SHADER.variants.iter().position(|v| v.name == "256/16").unwrap();
    let [(apart, lists, expected), (left, at_once, values)] = [0, shared].map(|form| {
        let (executor, _, gradients) = executor(&engine, &made, &[(sum_parts::SHADER.name, form)]);
        let counts = [&sum_parts::SHADER, &sum_part_lists::SHADER].map(|shader| count(&executor, shader));
        (counts[0], counts[1], run(&engine, &executor, &made, &[&gradients]))
    });
    assert!(apart >= 10 && lists == 0, "{apart} split weight gradients, {lists} lists");
    assert!(left == 0 && at_once == 1, "{left} left, {at_once} lists of few parts");
    let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
    // Sums in another order, which go no further.
    compare(&values, &expected, Tolerance::largest(1e-6)).unwrap();
}

/// A gradient that is read while it waits has its sum before that; the others wait on.
#[test]
fn a_gradient_that_is_read_does_not_wait() {
    let engine = engine();
    let shared = sum_parts::SHADER.variants.iter().position(|v| v.name == "256/16").unwrap();
    let convolution = conv2d::Convolution { stride: 1, padding: 1 };
    let [x, dy] =
        [1, 2].map(|seed| engine.upload("x", &Array::normal(&[24, 16, 16, 8], 1.0, seed), DType::F32).unwrap());
    let geometry = conv2d::Geometry::new([24, 16, 16, 8], [3, 3], 8, convolution).unwrap();
    let found = [false, true].map(|collected| {
        let flat = engine.upload("gradients", &Array::zeros(&[4 * 576]), DType::F32).unwrap();
        let gradients = [0, 1, 2, 3].map(|i| flat.window(4 * 576 * i, Shape::new(&[3, 3, 8, 8])));
        let copy = engine.upload("copy", &Array::zeros(&[3, 3, 8, 8]), DType::F32).unwrap();
        let part = engine.tensor("part", conv2d_weight_grad::scratch(&geometry), DType::F32).unwrap();
        let mut recording = Recording::new();
        recording.variants.insert(sum_parts::SHADER.name, shared);
        for (i, dw) in gradients.iter().enumerate() {
            conv2d_weight_grad::record(&mut recording, &x, &dy, convolution, &part, dw).unwrap();
            if i == 1 {
                relu::record(&mut recording, &gradients[0], &copy).unwrap();
            }
        }
        if collected {
            assert!(sum_part_lists::collect(&engine, &mut recording).unwrap() > 0);
        }
        let names: Vec<_> = recording.dispatches.iter().map(|d| d.shader.name).collect();
        Program::new(&engine, &recording).unwrap().run(&engine, 1).unwrap();
        (names, [&flat, &copy].map(|tensor| readback::read_floats(&engine, tensor).unwrap()))
    });
    let [(_, expected), (names, values)] = found;
    let of = |name: &str| names.iter().enumerate().filter(|(_, n)| **n == name).map(|(i, _)| i).collect::<Vec<_>>();
    assert_eq!(of(sum_part_lists::SHADER.name), [2, 6], "{names:?}");
    assert_eq!(of(relu::SHADER.name), [3], "{names:?}");
    assert!(values == expected, "other bits");
}
