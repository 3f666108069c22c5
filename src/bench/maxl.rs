//! What a meta step of MAXL costs beside a plain training step of the same network and batch: time, memory, and how far
//! the finite differences are from the exact meta-gradient.

use std::collections::HashMap;

use super::clock::Sampled;
use super::{Options, Row};
use crate::base::compare::relative_error;
use crate::base::philox::{Sequence, Stream};
use crate::base::{DType, Error, Result, Shape};
use crate::gpu::clock::{Elapsed, Moment};
use crate::gpu::{Engine, Program, Recording, Tensor, readback};
use crate::graph::{Executor, NodeId, Store, reverse};
use crate::kernels::choose;
use crate::models::Backbone;
use crate::models::vgg::Vgg;
use crate::nn::{Builder, Initialiser, Phase};
use crate::train::config::Optimizer as OptimizerSettings;
use crate::train::losses::mean_focal;
use crate::train::meta::{Hessian, MetaSettings, Networks, meta_step};
use crate::train::network::Network;
use crate::train::optimizer::Optimizer;
use crate::train::place_gradients;

/// Classes of CIFAR-100's coarse labels, and auxiliary labels of each.
const HIERARCHY: [usize; 20] = [5; 20];
const GENERATOR: &str = "generator";

/// Which steps are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Rows of 32 x 32 x 3.
    pub batch: usize,
    /// Channels of VGG-16's five blocks, in both networks.
    pub widths: [usize; 5],
}

impl Size {
    /// As the rows have it.
    pub fn shape(&self) -> String {
        format!("{} rows of 32x32x3, vgg16 {:?}", self.batch, self.widths)
    }
}

impl Default for Size {
    /// A quarter of the width, which a software adapter runs in seconds.
    fn default() -> Self {
        Self { batch: 16, widths: [16, 32, 64, 128, 128] }
    }
}

/// What a step may take of a plain step's time and memory.
#[derive(Clone, Copy, Debug, Default)]
struct Bars {
    time: Option<f64>,
    memory: Option<f64>,
}

/// One of the steps that are compared.
struct Timed {
    name: &'static str,
    bars: Bars,
    program: Program,
    recording: Recording,
    planned: u64,
    bytes: u64,
    gradients: Store,
    samples: Vec<Elapsed>,
}

/// A builder with a batch on the device.
struct Batch {
    b: Builder,
    placed: HashMap<NodeId, Tensor>,
    images: NodeId,
    labels: NodeId,
    rate: NodeId,
}

/// A plain step (forward, backward, update), then meta steps with the generator's update: exact, exact with
/// recomputation, finite differences, entropy alone. Timed in turns, so that a busy machine slows all. A step's memory is
/// all that it takes: batch, weights, gradients, the optimizer's buffers, what the plan keeps in between and textures of inputs.
///
/// # Errors
/// When the adapter has no room, or fails.
pub fn maxl(engine: &Engine, options: &Options, size: Size) -> Result<Vec<Row>> {
    if options.repeats == 0 || size.batch == 0 || size.widths.contains(&0) {
        return Err(Error::Config(format!("bench: repeats, batch and widths must be at least 1: {size:?}")));
    }
    let net = Vgg::new(&size.widths, Initialiser::XavierUniform)?;
    let mut steps = vec![plain(engine, &net, size.batch)?];
    let bars = |time, memory| Bars { time, memory: Some(memory) };
    for (name, hessian, recompute, bars) in [
        ("meta step, exact", Hessian::Exact, false, bars(Some(4.0), 3.2)),
        ("meta step, exact, recompute", Hessian::Exact, true, bars(None, 2.2)),
        ("meta step, finite differences", Hessian::FiniteDifference, false, Bars::default()),
        ("meta step, none", Hessian::None, false, Bars::default()),
    ] {
        let step = meta(engine, &net, size.batch, hessian, recompute)?;
        steps.push(Timed { name, bars, ..step });
    }
    // The first run of each from the same weights: what the errors are taken of.
    let mut gradients = Vec::new();
    for step in &steps {
        step.program.run(engine, 1)?;
        gradients.push(readback::read::<f32>(engine, step.gradients.flat())?);
    }
    for _ in 0..options.repeats {
        for step in &mut steps {
            let start = Moment::now(engine);
            step.program.run(engine, 1)?;
            readback::wait(engine)?;
            step.samples.push(start.elapsed(engine, 1));
        }
    }
    let exact: Vec<f64> = gradients[1].iter().map(|v| f64::from(*v)).collect();
    let mut rows: Vec<Row> = Vec::new();
    let plain_seconds = Sampled::of(&steps[0].samples).median.wall;
    let plain_bytes = steps[0].bytes as f64;
    for (i, step) in steps.iter().enumerate() {
        let sampled = Sampled::of(&step.samples);
        let seconds = sampled.median.wall;
        let at_most = |bar: Option<f64>| bar.map_or(String::new(), |bar| format!(", at most {bar}"));
        let mut note = format!(
            "{:.2} of the plain step{}; {:.1} MB ({:.2}{})",
            seconds / plain_seconds,
            at_most(step.bars.time),
            step.bytes as f64 / 1e6,
            step.bytes as f64 / plain_bytes,
            at_most(step.bars.memory)
        );
        if i > 1 {
            note += &format!(", gradient off by {:.1e}", relative_error(&gradients[i], &exact));
        }
        rows.push(Row {
            images_per_s: size.batch as f64 / seconds,
            note,
            planned_bytes: Some(step.planned),
            allocated_bytes: Some(step.bytes),
            ..Row::sampled(step.name, &size.shape(), step.recording.cost(), sampled, options.repeats)
        });
    }
    Ok(rows)
}

fn batch(engine: &Engine, phase: Phase, rows: usize) -> Result<Batch> {
    let mut b = Builder::new(phase);
    let mut placed = HashMap::new();
    let mut random = Sequence::new(0, Stream::Test, 0);
    let mut leaf = |b: &mut Builder, name: &str, sizes: &[usize], dtype| -> Result<(NodeId, Tensor)> {
        let node = b.graph.input(name, sizes, dtype);
        let tensor = engine.tensor(name, b.graph.shape(node).clone(), dtype)?;
        placed.insert(node, tensor.clone());
        Ok((node, tensor))
    };
    let (images, tensor) = leaf(&mut b, "images", &[rows, 32, 32, 3], DType::F32)?;
    let noise: Vec<f32> = (0..rows * 32 * 32 * 3).map(|_| random.normal()).collect();
    engine.write(&tensor, &noise);
    let (labels, tensor) = leaf(&mut b, "labels", &[rows], DType::U32)?;
    let classes: Vec<u32> = (0..rows).map(|i| (i % HIERARCHY.len()) as u32).collect();
    engine.write(&tensor, &classes);
    let (rate, tensor) = leaf(&mut b, "rate", &[1], DType::F32)?;
    engine.write(&tensor, &[0.01f32]);
    Ok(Batch { b, placed, images, labels, rate })
}

fn plain(engine: &Engine, net: &Vgg, rows: usize) -> Result<Timed> {
    let before = engine.tensor_bytes();
    let Batch { mut b, mut placed, images, labels, .. } = batch(engine, Phase::Train { update: true }, rows)?;
    let features = net.features(&mut b, images)?;
    let logits = b.linear("primary", features, HIERARCHY.len())?;
    let targets = b.graph.one_hot(labels, HIERARCHY.len())?;
    let loss = mean_focal(&mut b, logits, targets, 2.0)?;
    let parameters = b.graph.parameters();
    let gradients = reverse(&mut b.graph, loss, &parameters)?;
    let network = Network::new(engine, &b)?;
    network.initialise(engine, 0)?;
    network.place(&b.graph, &mut placed)?;
    let pairs: Vec<(NodeId, NodeId)> = parameters.into_iter().zip(gradients).collect();
    finish(engine, b, placed, &pairs, &network, before)
}

fn meta(engine: &Engine, net: &Vgg, rows: usize, hessian: Hessian, recompute: bool) -> Result<Timed> {
    let before = engine.tensor_bytes();
    let Batch { mut b, mut placed, images, labels, rate } = batch(engine, Phase::Train { update: false }, rows)?;
    let auxiliary: usize = HIERARCHY.iter().sum();
    let multitask = |b: &mut Builder| {
        let features = net.features(b, images)?;
        Ok([b.linear("primary", features, HIERARCHY.len())?, b.linear("auxiliary", features, auxiliary)?])
    };
    let generator = |b: &mut Builder| {
        b.within(GENERATOR, |b| {
            let features = net.features(b, images)?;
            b.linear("head", features, auxiliary)
        })
    };
    let networks = Networks { multitask: &multitask, generator: &generator };
    let hierarchy = HIERARCHY.to_vec();
    let settings =
        MetaSettings { hierarchy, gamma: 2.0, entropy_weight: 0.2, hessian, recompute, running: false, cosine: false };
    let step = meta_step(&mut b, networks, labels, rate, &settings)?;
    let first = Network::part(engine, &b, |name| !name.starts_with(GENERATOR))?;
    let second = Network::part(engine, &b, |name| name.starts_with(GENERATOR))?;
    for network in [&first, &second] {
        network.initialise(engine, 0)?;
        network.place_own(&b.graph, &mut placed);
    }
    finish(engine, b, placed, &step.meta, &second, before)
}

/// The gradients of `pairs` in a store, and the update of `network` by them.
fn finish(
    engine: &Engine,
    mut b: Builder,
    mut placed: HashMap<NodeId, Tensor>,
    pairs: &[(NodeId, NodeId)],
    network: &Network,
    before: u64,
) -> Result<Timed> {
    let (parameters, gradients): (Vec<NodeId>, Vec<NodeId>) = pairs.iter().copied().unzip();
    let store = network.parameters.same_layout(engine, "gradients")?;
    let outputs = place_gradients(&mut b, &parameters, &gradients, &store, &mut placed)?;
    let executor = Executor::new(engine, &b.graph, &outputs, &placed, &choose::preferred(engine))?;
    let settings = OptimizerSettings { lr: 0.001, momentum: 0.0, weight_decay: 5e-4, ..OptimizerSettings::default() };
    let optimizer = Optimizer::new(engine, &settings, network)?;
    let step = engine.tensor("step", Shape::new(&[8]), DType::U32)?;
    engine.write_words(&step, &optimizer.step_words(0, settings.lr, 0));
    let mut recording = executor.recording().clone();
    optimizer.record(engine, &mut recording, network, store.flat(), 1.0, &step)?;
    let program = Program::new(engine, &recording)?;
    // Programs share textures: each step counts those that it reads.
    let bytes = engine.tensor_bytes() - before + program.texture_bytes();
    Ok(Timed {
        name: "plain training step",
        bars: Bars::default(),
        program,
        recording,
        planned: executor.bytes(),
        bytes,
        gradients: store,
        samples: Vec::new(),
    })
}
