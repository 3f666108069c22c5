//! Golden kinds with a network: training steps and forward tangents of CIFAR residual networks.

use std::collections::HashMap;

use super::Answer;
use super::golden::{Golden, nchw_to_nhwc};
use super::loss_kinds::{evaluate, input, labels};
use crate::base::labels::LabelRule;
use crate::base::{DType, Error, Result, Shape};
use crate::gpu::{Engine, Program, readback};
use crate::graph::{Executor, NodeId, forward, reverse};
use crate::kernels::choose;
use crate::models::Backbone;
use crate::models::cifar_resnet::CifarResNet;
use crate::nn::{Builder, Phase};
use crate::train::config::{Optimizer as OptimizerSettings, OptimizerKind};
use crate::train::losses::mean_cross_entropy;
use crate::train::network::{Network, slot_to_torch};
use crate::train::optimizer::Optimizer;
use crate::train::place_gradients;

struct Settings {
    net: CifarResNet,
    classes: usize,
    batch: usize,
    image: [usize; 3],
}

fn settings(golden: &Golden, images: &[usize]) -> Result<Settings> {
    let channels = images.get(images.len().saturating_sub(3)).copied().unwrap_or(3);
    let blocks = golden.count("blocks")?;
    // A graph of any depth is built before its weights are looked for: look first.
    golden.input(&format!("init.layer1.{}.conv1.weight", blocks - 1))?;
    Ok(Settings {
        net: CifarResNet { blocks, widths: golden.counts("widths")? },
        classes: golden.count("classes")?,
        batch: golden.count("batch")?,
        image: [channels, golden.count("height")?, golden.count("width")?],
    })
}

/// The optimizer as golden files describe it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct OptimizerCase {
    kind: OptimizerKind,
    lr: f64,
    #[serde(default)]
    momentum: f64,
    #[serde(default)]
    weight_decay: f64,
    #[serde(default)]
    nesterov: bool,
}

impl OptimizerCase {
    fn settings(&self) -> OptimizerSettings {
        OptimizerSettings {
            kind: self.kind,
            lr: self.lr,
            momentum: self.momentum,
            weight_decay: self.weight_decay,
            nesterov: self.nesterov,
            ..OptimizerSettings::default()
        }
    }
}

pub(super) fn resnet_training(engine: &Engine, golden: &Golden) -> Result<Vec<Answer>> {
    let images = golden.input("images")?;
    let s = settings(golden, &images.sizes)?;
    let [c, h, w] = s.image;
    let (steps, m) = (golden.count("steps")?, golden.count("transforms")?);
    let set = golden.text("transform")?.parse()?;
    let optimizer_settings = golden.object::<OptimizerCase>("optimizer")?.settings();
    let pixels = nchw_to_nhwc(&images.f32(), s.image);
    let y = golden.input("labels")?.u32();
    let per_step = s.batch * c * h * w;
    if pixels.len() != steps * per_step || y.len() != steps * s.batch {
        return Err(Error::Data(format!(
            "{} pixels and {} labels for {steps} steps of {}",
            pixels.len(),
            y.len(),
            s.batch
        )));
    }
    let head = |b: &mut Builder, x: NodeId| -> Result<(NodeId, NodeId)> {
        let views = b.graph.transform_views(x, set)?;
        let features = s.net.features(b, views)?;
        Ok((features, b.linear("joint", features, s.classes * m)?))
    };

    // Training: the graph, its gradients, and the optimizer in one program, as the trainer has it.
    let mut b = Builder::new(Phase::Train { update: true });
    let mut placed = HashMap::new();
    let x = input(engine, &mut b, &mut placed, "images", &[s.batch, h, w, c], &pixels[..per_step])?;
    let labels_node = labels(engine, &mut b, &mut placed, &y[..s.batch])?;
    let (_, logits) = head(&mut b, x)?;
    let loss = mean_cross_entropy(&mut b, logits, labels_node, LabelRule::Joint, m)?;
    let parameters = b.graph.parameters();
    let gradients = reverse(&mut b.graph, loss, &parameters)?;
    let network = Network::new(engine, &b)?;
    network.from_torch(engine, golden.torch("init."))?;
    network.place(&b.graph, &mut placed)?;
    let mut answers = evaluation(engine, &s, &network, &pixels[..per_step], &head)?;

    let store = network.parameters.same_layout(engine, "gradients")?;
    let mut outputs = place_gradients(&mut b, &parameters, &gradients, &store, &mut placed)?;
    outputs.extend([logits, loss]);
    let executor = Executor::new(engine, &b.graph, &outputs, &placed, &choose::direct(engine))?;
    let optimizer = Optimizer::new(engine, &optimizer_settings, &network)?;
    let step_settings = engine.tensor("step", Shape::new(&[8]), DType::U32)?;
    let mut recording = executor.recording().clone();
    optimizer.record(engine, &mut recording, &network, store.flat(), 1.0, &step_settings)?;
    let program = Program::new(engine, &recording)?;
    let mut losses = Vec::new();
    for step in 0..steps {
        engine.write(&placed[&x], &pixels[step * per_step..(step + 1) * per_step]);
        engine.write(&placed[&labels_node], &y[step * s.batch..(step + 1) * s.batch]);
        engine.write_words(&step_settings, &optimizer.step_words(step as u64, optimizer_settings.lr, 0));
        program.run(engine, 1)?;
        losses.extend(readback::read::<f32>(engine, executor.tensor(loss)?)?);
        if step == 0 {
            answers.push(("train_logits".into(), readback::read(engine, executor.tensor(logits)?)?));
            for tensor in slot_to_torch(engine, network.parameter_specs(), &store, "grad.")? {
                answers.push((tensor.name, tensor.values));
            }
        }
    }
    answers.push(("losses".into(), losses));
    answers.extend(network.to_torch(engine)?.into_iter().map(|t| (format!("final.{}", t.name), t.values)));
    Ok(answers)
}

/// Appends a network; its features and logits.
type Head<'a> = &'a dyn Fn(&mut Builder, NodeId) -> Result<(NodeId, NodeId)>;

fn evaluation(engine: &Engine, s: &Settings, network: &Network, pixels: &[f32], head: Head<'_>) -> Result<Vec<Answer>> {
    let [c, h, w] = s.image;
    let mut b = Builder::new(Phase::Evaluate);
    let mut placed = HashMap::new();
    let x = input(engine, &mut b, &mut placed, "images", &[s.batch, h, w, c], pixels)?;
    let (features, logits) = head(&mut b, x)?;
    network.place(&b.graph, &mut placed)?;
    evaluate(engine, &b, &placed, &[("eval_features", features), ("eval_logits", logits)])
}

pub(super) fn forward_tangent(engine: &Engine, golden: &Golden) -> Result<Vec<Answer>> {
    let images = golden.input("images")?;
    let s = settings(golden, &images.sizes)?;
    let [c, h, w] = s.image;
    let mut b = Builder::new(Phase::Train { update: false });
    let mut placed = HashMap::new();
    let pixels = nchw_to_nhwc(&images.f32(), s.image);
    let x = input(engine, &mut b, &mut placed, "images", &[s.batch, h, w, c], &pixels)?;
    let features = s.net.features(&mut b, x)?;
    let logits = b.linear("head", features, s.classes)?;
    let network = Network::new(engine, &b)?;
    network.from_torch(engine, golden.torch("init."))?;
    network.place(&b.graph, &mut placed)?;
    let directions = golden.torch("direction.");
    let mut along = Vec::new();
    for spec in network.parameter_specs() {
        let values = spec.from_torch(|name| {
            let found = directions.get(name).cloned();
            found.ok_or_else(|| Error::Data(format!("`in.direction.{name}` is missing")))
        })?;
        let shape = spec.shape();
        let node = input(engine, &mut b, &mut placed, &format!("direction.{}", spec.name), shape.sizes(), &values)?;
        along.push((b.graph.parameter(&spec.name, shape.sizes()), node));
    }
    let tangent = forward(&mut b.graph, &along, &[logits])?[0];
    let tangent = tangent.ok_or_else(|| Error::Shape("the logits do not depend on the parameters".into()))?;
    evaluate(engine, &b, &placed, &[("logits", logits), ("tangent", tangent)])
}
