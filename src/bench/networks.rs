//! The networks whose layers are timed, and the shapes of their training steps, taken from the steps' graphs.

use super::Options;
use crate::base::labels::LabelRule;
use crate::base::{DType, Result};
use crate::graph::forward::needed;
use crate::graph::ops::max_pool;
use crate::graph::{Graph, NodeId, Source, reverse};
use crate::models::{self, ModelSettings};
use crate::nn::{Builder, Phase};
use crate::session::synthetic;
use crate::train::losses::mean_cross_entropy;

/// A network at the size of the images that it is trained on.
pub(super) struct Network {
    pub label: &'static str,
    /// Its name in a config; the demo's network is that of [`synthetic::DEMO`].
    name: &'static str,
    /// Height, width, channels.
    pub image: [usize; 3],
    /// Outputs of the linear layer that stands on it.
    pub outputs: usize,
    /// Rows of an image under all its transformations: outputs are joint ones of class and view.
    pub views: usize,
    rows: fn(&Options) -> usize,
    /// Whether it is measured in a full run only.
    pub full: bool,
}

/// The networks of the recipes.
pub(super) const NETWORKS: &[Network] = &[
    Network {
        label: "ResNet-32",
        name: "resnet32",
        image: [32, 32, 3],
        outputs: 40,
        views: 4,
        rows: |options| options.rows,
        full: false,
    },
    Network {
        label: "demo",
        name: "convnet",
        image: [28, 28, 1],
        outputs: 40,
        views: 4,
        rows: |options| options.demo_rows,
        full: false,
    },
    Network {
        label: "VGG-16",
        name: "vgg16",
        image: [32, 32, 3],
        outputs: 100,
        views: 1,
        rows: |options| options.rows.div_ceil(2),
        full: true,
    },
    // The rest sees so many pixels that few images are as much work.
    Network {
        label: "ResNet-18",
        name: "resnet18",
        image: [224, 224, 3],
        outputs: 1000,
        views: 1,
        rows: |options| options.rows.div_ceil(8),
        full: true,
    },
    Network {
        label: "AlexNet",
        name: "alexnet",
        image: [224, 224, 3],
        outputs: 1000,
        views: 1,
        rows: |options| options.rows.div_ceil(8),
        full: true,
    },
];

/// Shapes of a training step, as the works of kernels take them.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    /// Sizes of what rectified linear units leave.
    pub maps: Vec<Vec<usize>>,
    /// Maps under a maximum pool with its window.
    pub pools: Vec<String>,
    /// Shortcuts that take every other pixel and add channels.
    pub shortcuts: Vec<String>,
    /// Columns of the features.
    pub features: usize,
    /// Numbers in one row, each tensor at a multiple of 64, as the optimizer has them.
    pub parameters: usize,
}

impl Network {
    /// Rows of its layers.
    pub fn rows(&self, options: &Options) -> usize {
        (self.rows)(options)
    }

    /// The graph of a training step, and what the gradients of all parameters need, in order.
    ///
    /// # Errors
    /// When the network does not fit its images.
    pub fn step(&self, options: &Options) -> Result<(Graph, Vec<NodeId>)> {
        let mut b = Builder::new(Phase::Train { update: false });
        let wanted = gradients(&mut b, self, self.rows(options))?;
        let nodes = needed(&b.graph, &wanted);
        Ok((b.graph, nodes))
    }

    /// The distinct shapes of a training step.
    ///
    /// # Errors
    /// When the network does not fit its images.
    pub fn shapes(&self, options: &Options) -> Result<Shapes> {
        let (graph, nodes) = self.step(options)?;
        let mut found = Shapes::default();
        for node in nodes.into_iter().map(|id| graph.node(id)) {
            let Source::Computed(op) = &node.source else { continue };
            let first = node.inputs.first().map(|&id| graph.shape(id).sizes()).unwrap_or_default();
            let joined = || first.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
            match op.name() {
                "relu" => add(&mut found.maps, node.shape.sizes().to_vec()),
                "max_pool" => {
                    if let Some(pool) = max_pool::window(&**op) {
                        let (k, s, p) = (pool.kernel, pool.stride, pool.padding);
                        add(&mut found.pools, format!("{},k{k},s{s},p{p}", joined()));
                    }
                }
                // Of features and of heads, of rank 2, others do as much.
                "channel_window" if first.len() == 4 => {
                    let stride = first[1].div_ceil(node.shape.sizes()[1]);
                    add(&mut found.shortcuts, format!("{}-{},s{stride}", joined(), node.shape.last()));
                }
                "linear" => found.features = first.last().copied().unwrap_or_default(),
                _ => {}
            }
        }
        let parameters = graph.parameters().into_iter();
        found.parameters = parameters.map(|id| graph.shape(id).physical().next_multiple_of(64)).sum();
        Ok(found)
    }
}

fn add<T: PartialEq>(all: &mut Vec<T>, one: T) {
    if !all.contains(&one) {
        all.push(one);
    }
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
