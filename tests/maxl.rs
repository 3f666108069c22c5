//! MAXL's meta step: its three forms against each other, what it leaves alone, and the memory that it needs.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use relabel::base::compare::relative_error;
use relabel::base::{Array, DType, Result};
use relabel::gpu::{Program, readback};
use relabel::graph::interpret::interpret;
use relabel::graph::ops::conv2d::Convolution;
use relabel::graph::plan::{Plan, effects};
use relabel::graph::{Executor, NodeId, Source, reverse};
use relabel::kernels::choose;
use relabel::models::Backbone;
use relabel::models::convnet::ConvNet;
use relabel::models::vgg::Vgg;
use relabel::nn::{Builder, Initialiser, Phase};
use relabel::train::losses::mean_focal;
use relabel::train::meta::{Hessian, MetaSettings, MetaStep, Networks, meta_step};
use relabel::verify::Golden;
use relabel::verify::maxl_kinds::meta_gradient;

use super::common::engine;

/// The meta-gradient of a bundled file as one list of numbers.
fn gradient(hessian: Hessian, entropy_weight: f32, recompute: bool) -> Vec<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/golden/maxl_small.safetensors");
    let golden = Golden::read(&path).unwrap();
    let found = meta_gradient(&engine(), &golden, hessian, entropy_weight, recompute).unwrap();
    found.gradient.into_iter().flat_map(|(_, values)| values).collect()
}

fn error(actual: &[f32], expected: &[f32]) -> f64 {
    let expected: Vec<f64> = expected.iter().map(|v| f64::from(*v)).collect();
    relative_error(actual, &expected)
}

#[test]
fn forms_of_the_meta_gradient_agree() {
    let exact = gradient(Hessian::Exact, 0.2, false);
    assert_eq!(gradient(Hessian::Exact, 0.2, true), exact, "the same numbers, computed twice");
    let differences = gradient(Hessian::FiniteDifference, 0.2, false);
    let off = error(&differences, &exact);
    println!("differences are off by {off:e}");
    // Differences over a hundredth are no derivative, and a float32 loss of size 1 leaves them four digits.
    assert!(off > 0.0 && off < 0.02, "{off}");

    // The entropy term is its own gradient, whatever the form of the other.
    let entropy = gradient(Hessian::None, 0.2, false);
    let without = gradient(Hessian::Exact, 0.0, false);
    let sum: Vec<f32> = entropy.iter().zip(&without).map(|(a, b)| a + b).collect();
    assert!(error(&sum, &exact) < 1e-5);
    assert!(error(&entropy, &exact) > 1e-3 && error(&without, &exact) > 1e-3, "both terms count");
    assert!(gradient(Hessian::None, 0.0, false).iter().all(|v| *v == 0.0));
}

/// On the device, with logits of ±1e4 among smaller ones: finite, of sum one, and nothing at all outside the class.
#[test]
fn generated_labels_are_exactly_zero_outside_their_class() {
    let hierarchy = [2, 5, 1, 4];
    let mut b = Builder::new(Phase::Evaluate);
    let x = b.graph.input("logits", &[40, 12], DType::F32);
    let y = b.graph.input("labels", &[40], DType::U32);
    let q = b.graph.masked_softmax(x, y, &hierarchy).unwrap();
    let engine = engine();
    let mut placed = HashMap::new();
    for leaf in [x, y] {
        placed.insert(leaf, engine.tensor("leaf", b.graph.shape(leaf).clone(), b.graph.node(leaf).dtype).unwrap());
    }
    let mut logits = Array::normal(&[40, 12], 3.0, 1).to_f32();
    logits.iter_mut().enumerate().filter(|(i, _)| i % 3 == 0).for_each(|(i, v)| *v = [1e4, -1e4][i / 3 % 2]);
    let classes: Vec<u32> = (0..40).map(|i| i % 4).collect();
    engine.write(&placed[&x], &logits);
    engine.write(&placed[&y], &classes);
    let executor = Executor::new(&engine, &b.graph, &[q], &placed, &choose::preferred(&engine)).unwrap();
    Program::new(&engine, executor.recording()).unwrap().run(&engine, 1).unwrap();
    let labels: Vec<f32> = readback::read(&engine, executor.tensor(q).unwrap()).unwrap();
    let columns = [0..2, 2..7, 7..8, 8..12];
    for (row, class) in labels.chunks_exact(12).zip(classes) {
        let own = &columns[class as usize];
        assert!((row[own.clone()].iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
        assert!((0..12).all(|k| own.contains(&k) || row[k].to_bits() == 0), "{row:?}");
    }
}

struct Graphs {
    b: Builder,
    step: MetaStep,
    inputs: [NodeId; 3],
}

impl Graphs {
    /// Values for everything: noise, fresh weights, a rate of 0.3.
    fn leaves(&mut self, batch: usize) -> HashMap<NodeId, Array> {
        let [x, y, rate] = self.inputs;
        let mut leaves = HashMap::new();
        leaves.insert(x, Array::normal(&[batch, 32, 32, 3], 1.0, 1));
        leaves.insert(y, Array::integers(&[batch], 20, 2));
        leaves.insert(rate, Array::scalar(0.3));
        leaves.insert(self.b.step(), Array::zeros(&[8]));
        for spec in self.b.parameters() {
            let values = spec.initialise(3).unwrap().into_iter().map(f64::from).collect();
            let node = self.b.graph.clone().parameter(&spec.name, spec.shape().sizes());
            leaves.insert(node, Array::new(spec.shape().sizes(), values));
        }
        leaves
    }
}

/// A network with two dropouts.
#[derive(Debug)]
struct Dropping;

impl Backbone for Dropping {
    fn features(&self, b: &mut Builder, x: NodeId) -> Result<NodeId> {
        let halved = Convolution { stride: 2, padding: 1 };
        let x = b.conv2d("conv1", x, 5, 3, halved, Initialiser::KaimingNormalFanOut)?;
        let x = b.batch_norm("bn1", x)?;
        let x = b.graph.relu(x)?;
        let x = b.dropout(x, 0.3)?;
        let x = b.conv2d("conv2", x, 8, 3, halved, Initialiser::KaimingNormalFanOut)?;
        let x = b.graph.relu(x)?;
        let x = b.graph.global_average_pool(x)?;
        b.dropout(x, 0.5)
    }
}

/// A meta step of a network of 20 classes with 5 auxiliary labels each.
fn step(net: &dyn Backbone, batch: usize, hessian: Hessian, recompute: bool, own_generator: bool) -> Result<Graphs> {
    let hierarchy = vec![5; 20];
    let (running, cosine) = (false, false);
    let settings = MetaSettings { hierarchy, gamma: 2.0, entropy_weight: 0.2, hessian, recompute, running, cosine };
    step_of(net, batch, &settings, own_generator)
}

fn step_of(net: &dyn Backbone, batch: usize, settings: &MetaSettings, own_generator: bool) -> Result<Graphs> {
    let mut b = Builder::new(Phase::Train { update: true });
    let x = b.graph.input("images", &[batch, 32, 32, 3], DType::F32);
    let y = b.graph.input("labels", &[batch], DType::U32);
    let rate = b.graph.input("rate", &[1], DType::F32);
    let multitask = |b: &mut Builder| {
        let features = net.features(b, x)?;
        Ok([b.linear("primary", features, 20)?, b.linear("auxiliary", features, 100)?])
    };
    let generator = |b: &mut Builder| {
        let layers = |b: &mut Builder| {
            let features = net.features(b, x)?;
            b.linear("generator", features, 100)
        };
        if own_generator { b.within("generator", layers) } else { layers(b) }
    };
    let networks = Networks { multitask: &multitask, generator: &generator };
    let step = meta_step(&mut b, networks, y, rate, settings)?;
    Ok(Graphs { b, step, inputs: [x, y, rate] })
}

/// In float64, on a network with biases and max-pooling: the meta-gradient against differences of what it is the gradient
/// of, the primary loss at the look-ahead weights plus the weighted entropy.
#[test]
fn the_meta_gradient_is_that_of_the_meta_loss() {
    let vgg = Vgg::new(&[4, 3, 4, 3, 4], Initialiser::XavierUniform).unwrap();
    for (net, recompute) in [(&vgg as &dyn Backbone, false), (&Dropping, false), (&Dropping, true)] {
        is_that_of_the_meta_loss(net, recompute);
    }
}

fn is_that_of_the_meta_loss(net: &dyn Backbone, recompute: bool) {
    let batch = 6;
    let mut made = step(net, batch, Hessian::Exact, recompute, true).unwrap();
    let leaves = made.leaves(batch);
    let mut outputs = vec![made.step.ahead_loss, made.step.negative_entropy];
    let mut along = 0.0;
    let mut directions = Vec::new();
    outputs.extend(made.step.meta.iter().map(|(_, gradient)| *gradient));
    let found = interpret(&made.b.graph, &leaves, &outputs).unwrap();
    for (i, (leaf, gradient)) in made.step.meta.iter().enumerate() {
        let direction = Array::normal(made.b.graph.shape(*leaf).sizes(), 1.0, 100 + i as u64);
        along += found[gradient].zip(&direction, |g, d| g * d).data.iter().sum::<f64>();
        directions.push((*leaf, direction));
    }
    let loss = |step: f64| -> [f64; 2] {
        let mut moved = leaves.clone();
        for (leaf, direction) in &directions {
            moved.insert(*leaf, leaves[leaf].zip(direction, |v, d| v + step * d));
        }
        let found = interpret(&made.b.graph, &moved, &outputs[..2]).unwrap();
        [found[&outputs[0]].data[0], found[&outputs[1]].data[0]]
    };
    let (up, down) = (loss(1e-6), loss(-1e-6));
    let [ahead, entropy] = [0, 1].map(|i| (up[i] - down[i]) / 2e-6);
    let expected = ahead + f64::from(0.2f32) * entropy;
    println!("{along} beside {expected}, of which {ahead} of the look-ahead loss");
    assert!(ahead.abs() > 1e-2 * expected.abs(), "the look-ahead has no part in this case");
    assert!((along - expected).abs() < 1e-5 * expected.abs(), "{along} where {expected} was expected");
}

/// In float64: what stands for the pass at θ₁ has its masks, or differences over a hundredth would be those of masks.
#[test]
fn passes_that_stand_for_another_drop_the_same_values() {
    let gradient = |hessian, recompute| -> Vec<f64> {
        let mut made = step(&Dropping, 6, hessian, recompute, true).unwrap();
        assert_eq!(made.b.dropouts(), 6, "the generator, θ₁ and θ₁⁺ have two of their own each");
        let leaves = made.leaves(6);
        let outputs: Vec<NodeId> = made.step.meta.iter().map(|(_, gradient)| *gradient).collect();
        let found = interpret(&made.b.graph, &leaves, &outputs).unwrap();
        outputs.iter().flat_map(|node| found[node].data.clone()).collect()
    };
    let exact = gradient(Hessian::Exact, false);
    assert!(exact.iter().any(|v| v.abs() > 1e-4));
    assert_eq!(gradient(Hessian::Exact, true), exact);
    let differences: Vec<f32> = gradient(Hessian::FiniteDifference, false).into_iter().map(|v| v as f32).collect();
    let off = relative_error(&differences, &exact);
    println!("differences are off by {off:e}");
    assert!(off < 0.05, "{off}");
}

/// In float64, against the cosines of each output channel taken one by one.
#[test]
fn the_two_losses_gradients_are_compared() {
    let net = ConvNet::new(&[4, 6], &[2, 2]).unwrap();
    let settings = MetaSettings {
        hierarchy: vec![5; 20],
        gamma: 2.0,
        entropy_weight: 0.2,
        hessian: Hessian::None,
        recompute: false,
        running: false,
        cosine: true,
    };
    let mut made = step_of(&net, 5, &settings, true).unwrap();
    let leaves = made.leaves(5);
    let is_shared = |leaf: &NodeId| {
        let node = made.b.graph.node(*leaf);
        !node.name.starts_with("primary") && !node.name.starts_with("auxiliary") && node.shape.sizes().len() > 1
    };
    let shared: Vec<NodeId> = made.step.inner.iter().map(|(leaf, _)| *leaf).filter(is_shared).collect();
    assert_eq!(shared.len(), 4, "two convolutions, two normalisations");
    let gradients = [made.step.primary_loss, made.step.auxiliary_loss]
        .map(|loss| reverse(&mut made.b.graph, loss, &shared).unwrap());
    let cosine = made.step.cosine.unwrap();
    let outputs: Vec<NodeId> = gradients.iter().flatten().copied().chain([cosine]).collect();
    let found = interpret(&made.b.graph, &leaves, &outputs).unwrap();
    let mut sum = 0.0;
    for (first, second) in gradients[0].iter().zip(&gradients[1]) {
        let channels = found[first].shape.last();
        for channel in 0..channels {
            let of = |node: &NodeId| -> Vec<f64> {
                found[node].data.iter().skip(channel).step_by(channels).copied().collect()
            };
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let (a, b) = (of(first), of(second));
            sum += dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt() / channels as f64 / shared.len() as f64;
        }
    }
    let value = found[&cosine].data[0];
    assert!((value - sum).abs() < 1e-6, "{value} where {sum} was expected");
    assert!(sum.abs() > 1e-3);
}

#[test]
fn a_meta_step_moves_nothing_and_needs_two_networks() {
    let net = ConvNet::new(&[4, 8], &[2, 2]).unwrap();
    for hessian in [Hessian::Exact, Hessian::FiniteDifference, Hessian::None] {
        let made = step(&net, 4, hessian, false, true).unwrap();
        assert!(effects(&made.b.graph).is_empty(), "a running statistic would move");
        assert_eq!(made.b.phase, Phase::Train { update: true });
        let names = |pairs: &[(NodeId, NodeId)]| -> Vec<String> {
            pairs.iter().map(|(leaf, _)| made.b.graph.node(*leaf).name.clone()).collect()
        };
        assert!(names(&made.step.meta).iter().all(|name| name.starts_with("generator.")));
        assert!(names(&made.step.inner).iter().all(|name| !name.starts_with("generator.")));
        assert_eq!((made.step.meta.len(), made.step.inner.len()), (6, 8));
    }
    let error = step(&net, 4, Hessian::Exact, false, false).map(drop).unwrap_err().to_string();
    assert!(error.contains("`conv1.weight`") && error.contains("both networks"), "{error}");
}

/// Bytes of everything that lives while `outputs` are computed: activations, leaves, and the gradients in their stores.
fn bytes(b: &Builder, gradients: &[NodeId], outputs: &[NodeId]) -> u64 {
    let flat: HashSet<NodeId> = gradients.iter().copied().collect();
    let all: Vec<NodeId> = gradients.iter().chain(outputs).copied().collect();
    let plan = Plan::new(&b.graph, &all, &|id| flat.contains(&id));
    let outside = plan
        .order
        .iter()
        .filter(|id| flat.contains(id) || matches!(b.graph.node(**id).source, Source::Input | Source::Parameter));
    plan.bytes() + outside.map(|id| b.graph.node(*id).shape.bytes()).sum::<u64>()
}

#[test]
fn memory_of_a_meta_step_stays_within_its_bounds() {
    let net = Vgg::new(&[], Initialiser::XavierUniform).unwrap();
    let batch = 100;
    let mut b = Builder::new(Phase::Train { update: true });
    let x = b.graph.input("images", &[batch, 32, 32, 3], DType::F32);
    let y = b.graph.input("labels", &[batch], DType::U32);
    let features = net.features(&mut b, x).unwrap();
    let logits = b.linear("primary", features, 20).unwrap();
    let targets = b.graph.one_hot(y, 20).unwrap();
    let loss = mean_focal(&mut b, logits, targets, 2.0).unwrap();
    let parameters = b.graph.parameters();
    let gradients = reverse(&mut b.graph, loss, &parameters).unwrap();
    let plain = bytes(&b, &gradients, &[loss]) as f64;
    for (hessian, recompute, most) in [
        (Hessian::Exact, false, 3.2),
        (Hessian::Exact, true, 2.2),
        (Hessian::FiniteDifference, false, 3.2),
        (Hessian::None, false, 1.2),
    ] {
        let made = step(&net, batch, hessian, recompute, true).unwrap();
        let gradients: Vec<NodeId> = made.step.meta.iter().map(|(_, gradient)| *gradient).collect();
        let share = bytes(&made.b, &gradients, &[made.step.negative_entropy]) as f64 / plain;
        println!("{hessian:?}, recompute {recompute}: {share:.2} of the {:.0} MB of a training step", plain / 1e6);
        assert!(share <= most, "{hessian:?}, recompute {recompute}: {share:.2} times a training step's memory");
    }
}
