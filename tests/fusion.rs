//! Whole networks with their gradients, fused: the same values in float64, fewer nodes, less memory.

use std::collections::HashMap;

use relabel::base::labels::LabelRule;
use relabel::base::{Array, DType};
use relabel::graph::fuse::fuse;
use relabel::graph::interpret::interpret;
use relabel::graph::plan::Plan;
use relabel::graph::{Graph, NodeId, Source, reverse};
use relabel::models::{ModelSettings, backbone};
use relabel::nn::{Builder, Phase};

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
