//! Every distinct product of the networks that matter: what a training step of each convolves and multiplies, taken from
//! the graph of its step.

use super::Options;
use super::kernels::{Measured, measure};
use crate::base::labels::LabelRule;
use crate::base::{DType, Result, Shape};
use crate::gpu::{Engine, Tensor};
use crate::graph::forward::needed;
use crate::graph::{Io, NodeId, Source, reverse};
use crate::kernels::ceilings::noise;
use crate::models::{self, ModelSettings};
use crate::nn::{Builder, Phase};
use crate::session::synthetic;
use crate::train::losses::mean_cross_entropy;

/// A network at the size of the images that it is trained on.
struct Network {
    label: &'static str,
    /// Its name in a config; the demo's network is that of [`synthetic::DEMO`].
    name: &'static str,
    /// Height, width, channels.
    image: [usize; 3],
    /// Outputs of the linear layer that stands on it.
    outputs: usize,
    rows: fn(&Options) -> usize,
    /// Whether it is measured in a full run only.
    full: bool,
}

const NETWORKS: &[Network] = &[
    Network {
        label: "ResNet-32",
        name: "resnet32",
        image: [32, 32, 3],
        outputs: 40,
        rows: |options| options.rows,
        full: false,
    },
    Network {
        label: "demo",
        name: "convnet",
        image: [28, 28, 1],
        outputs: 40,
        rows: |options| options.demo_rows,
        full: false,
    },
    Network {
        label: "VGG-16",
        name: "vgg16",
        image: [32, 32, 3],
        outputs: 100,
        rows: |options| options.rows.div_ceil(2),
        full: true,
    },
    // The rest sees so many pixels that few images are as much work.
    Network {
        label: "ResNet-18",
        name: "resnet18",
        image: [224, 224, 3],
        outputs: 1000,
        rows: |options| options.rows.div_ceil(8),
        full: true,
    },
    Network {
        label: "AlexNet",
        name: "alexnet",
        image: [224, 224, 3],
        outputs: 1000,
        rows: |options| options.rows.div_ceil(8),
        full: true,
    },
];

/// The products of each network's training step, each distinct one once.
pub(super) fn products(engine: &Engine, options: &Options, measured: &mut Measured) -> Result<()> {
    let mut networks = NETWORKS.iter().filter(|n| options.full || !n.full);
    networks.try_for_each(|network| of(engine, options, network, measured))
}

fn of(engine: &Engine, options: &Options, network: &Network, measured: &mut Measured) -> Result<()> {
    let mut b = Builder::new(Phase::Train { update: false });
    let wanted = gradients(&mut b, network, (network.rows)(options))?;
    let mut seen = Vec::new();
    for id in needed(&b.graph, &wanted) {
        let node = b.graph.node(id);
        let Source::Computed(op) = &node.source else { continue };
        if !["conv2d", "linear"].iter().any(|kind| op.name().starts_with(kind)) {
            continue;
        }
        let shapes: Vec<&Shape> = node.inputs.iter().map(|&input| b.graph.shape(input)).collect();
        let key = format!("{op:?} {shapes:?}");
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        let shape = format!("{} {}", network.label, sizes(op.name(), [shapes[0], shapes[1], &node.shape]));
        let row = engine.passing(|| {
            let inputs = shapes.iter().map(|s| noise(engine, s.sizes())).collect::<Result<Vec<Tensor>>>()?;
            let inputs: Vec<&Tensor> = inputs.iter().collect();
            let output = engine.tensor("output", node.shape.clone(), DType::F32)?;
            let scratch = op.scratch(&shapes, &node.shape).into_iter();
            let scratch = scratch.map(|s| engine.tensor("scratch", s, DType::F32)).collect::<Result<Vec<Tensor>>>()?;
            let scratch: Vec<&Tensor> = scratch.iter().collect();
            let io = Io { inputs: &inputs, output: &output, scratch: &scratch };
            measure(engine, options, op.name(), &shape, |r| op.record(r, &io))
        });
        measured.add(op.name(), &shape, row)?;
    }
    Ok(())
}

/// The graph of a training step; the gradients of all parameters.
fn gradients(b: &mut Builder, network: &Network, rows: usize) -> Result<Vec<NodeId>> {
    let [height, width, channels] = network.image;
    let images = b.graph.input("images", &[rows, height, width, channels], DType::F32);
    let labels = b.graph.input("labels", &[rows], DType::U32);
    let mut settings = ModelSettings { name: network.name.into(), ..ModelSettings::default() };
    if network.label == "demo" {
        (settings.widths, settings.strides) = (synthetic::DEMO_WIDTHS.into(), synthetic::DEMO_STRIDES.into());
    }
    let features = models::backbone(&settings)?.features(b, images)?;
    let logits = b.linear("head", features, network.outputs)?;
    let loss = mean_cross_entropy(b, logits, labels, LabelRule::Class, 1)?;
    let parameters = b.graph.parameters();
    reverse(&mut b.graph, loss, &parameters)
}

/// Sizes in words; a layer's three directions have the same. `shapes` are those of both factors and of the result.
fn sizes(name: &str, shapes: [&Shape; 3]) -> String {
    let [first, second, result] = shapes.map(Shape::sizes);
    let (x, w, y) = match name {
        "conv2d" | "linear" => (first, second, result),
        "conv2d_input_grad" | "linear_input_grad" => (result, second, first),
        _ => (first, result, second),
    };
    match (x, w, y) {
        (&[r, h, width, c], &[kernel, ..], &[_, out, _, n]) => {
            // The border may leave less than a whole step.
            let stride = (h as f64 / out as f64).round() as usize;
            let border = ((out - 1) * stride + kernel).saturating_sub(h).div_ceil(2);
            let border = if border == kernel / 2 { String::new() } else { format!(", border {border}") };
            let kernel = if kernel == 3 { String::new() } else { format!(", {kernel}x{kernel}") };
            format!("{r}x{h}x{width}x{c} to {n}, stride {stride}{kernel}{border}")
        }
        (&[r, d], _, &[_, n]) => format!("{r}x{d} to {n}"),
        _ => format!("{x:?} to {y:?}"),
    }
}
