//! Golden kinds of meta auxiliary learning: its losses, and its meta-gradient through two residual networks.

use std::collections::HashMap;

use super::Answer;
use super::golden::{Golden, nchw_to_nhwc};
use super::loss_kinds::{evaluate, input, labels};
use crate::base::Result;
use crate::gpu::{Engine, Program, readback};
use crate::graph::{Executor, NodeId, Store, reverse};
use crate::kernels::choose;
use crate::models::Backbone;
use crate::models::cifar_resnet::CifarResNet;
use crate::nn::{Builder, Phase};
use crate::train::losses::mean_focal;
use crate::train::meta::{Hessian, MetaSettings, Networks, meta_step};
use crate::train::network::{Network, slot_from_torch, slot_to_torch};
use crate::train::place_gradients;

pub(super) fn maxl_loss(engine: &Engine, golden: &Golden) -> Result<Vec<Answer>> {
    let (batch, hierarchy) = (golden.count("batch")?, golden.counts("hierarchy")?);
    let sizes = [batch, hierarchy.iter().sum()];
    let mut b = Builder::new(Phase::Train { update: false });
    let mut placed = HashMap::new();
    let mut logits = |b: &mut Builder, name: &str| -> Result<NodeId> {
        input(engine, b, &mut placed, name, &sizes, &golden.input(name)?.f32())
    };
    let auxiliary = logits(&mut b, "auxiliary_logits")?;
    let generator = logits(&mut b, "generator_logits")?;
    let y = labels(engine, &mut b, &mut placed, &golden.input("labels")?.u32())?;
    let q = b.graph.masked_softmax(generator, y, &hierarchy)?;
    let loss = mean_focal(&mut b, auxiliary, q, golden.number("gamma")? as f32)?;
    let entropy = b.graph.negative_entropy(q)?;
    let gradients = reverse(&mut b.graph, loss, &[auxiliary, generator])?;
    let by_entropy = reverse(&mut b.graph, entropy, &[generator])?[0];
    let outputs = [
        ("generated_labels", q),
        ("focal_loss", loss),
        ("negative_entropy", entropy),
        ("grad_auxiliary_logits", gradients[0]),
        ("grad_generator_logits", gradients[1]),
        ("grad_entropy_generator_logits", by_entropy),
    ];
    evaluate(engine, &b, &placed, &outputs)
}

/// What the generator's parameters are called in the graph, and in the file.
const GENERATOR: &str = "generator.";

/// The answers of one meta step.
#[derive(Debug)]
pub struct MetaAnswers {
    /// Losses, labels and the inner gradient, under the file's names.
    pub answers: Vec<Answer>,
    /// The meta-gradient, under the parameters' names in the file.
    pub gradient: Vec<Answer>,
}

pub(super) fn maxl_meta_gradient(engine: &Engine, golden: &Golden) -> Result<Vec<Answer>> {
    let whole = meta_gradient(engine, golden, Hessian::Exact, golden.number("entropy_weight")? as f32, false)?;
    let without = meta_gradient(engine, golden, Hessian::Exact, 0.0, true)?;
    let named = |prefix: &str, answers: Vec<Answer>| -> Vec<Answer> {
        answers.into_iter().map(|(name, values)| (format!("{prefix}.{name}"), values)).collect()
    };
    let mut answers = whole.answers;
    answers.extend(named("meta_grad", whole.gradient));
    answers.extend(named("meta_grad_without_entropy", without.gradient));
    Ok(answers)
}

/// One meta step on a file of the kind `maxl_meta_gradient`.
///
/// # Errors
/// When the file lacks a tensor or a setting, or the device fails.
pub fn meta_gradient(
    engine: &Engine,
    golden: &Golden,
    hessian: Hessian,
    entropy_weight: f32,
    recompute: bool,
) -> Result<MetaAnswers> {
    let (batch, hierarchy) = (golden.count("batch")?, golden.counts("hierarchy")?);
    let (height, width) = (golden.count("height")?, golden.count("width")?);
    let net = CifarResNet { blocks: golden.count("blocks")?, widths: golden.counts("widths")? };
    // A graph of any depth is built before its weights are looked for: look first.
    golden.input(&format!("multitask.layer1.{}.conv1.weight", net.blocks - 1))?;
    let (classes, auxiliary) = (hierarchy.len(), hierarchy.iter().sum());
    let gamma = golden.number("gamma")? as f32;
    let settings = MetaSettings { hierarchy, gamma, entropy_weight, hessian, recompute, running: false, cosine: false };

    let mut b = Builder::new(Phase::Train { update: false });
    let mut placed = HashMap::new();
    let pixels = nchw_to_nhwc(&golden.input("images")?.f32(), [3, height, width]);
    let x = input(engine, &mut b, &mut placed, "images", &[batch, height, width, 3], &pixels)?;
    let y = labels(engine, &mut b, &mut placed, &golden.input("labels")?.u32())?;
    let rate = input(engine, &mut b, &mut placed, "alpha", &[1], &[golden.number("alpha")? as f32])?;
    let multitask = |b: &mut Builder| {
        let features = net.features(b, x)?;
        Ok([b.linear("primary", features, classes)?, b.linear("auxiliary", features, auxiliary)?])
    };
    let generator = |b: &mut Builder| {
        b.within(GENERATOR.trim_end_matches('.'), |b| {
            let features = net.features(b, x)?;
            b.linear("generator", features, auxiliary)
        })
    };
    let networks = Networks { multitask: &multitask, generator: &generator };
    let step = meta_step(&mut b, networks, y, rate, &settings)?;

    let first = Network::part(engine, &b, |name| !name.starts_with(GENERATOR))?;
    let second = Network::part(engine, &b, |name| name.starts_with(GENERATOR))?;
    let mut weights = golden.torch("multitask.");
    slot_from_torch(engine, first.parameter_specs(), &first.parameters, "", &mut weights)?;
    let mut weights = golden.torch("");
    slot_from_torch(engine, second.parameter_specs(), &second.parameters, "", &mut weights)?;
    first.place_own(&b.graph, &mut placed);
    second.place_own(&b.graph, &mut placed);
    let mut place = |pairs: &[(NodeId, NodeId)], network: &Network, label: &str| -> Result<(Store, Vec<NodeId>)> {
        let store = network.parameters.same_layout(engine, label)?;
        let (parameters, gradients): (Vec<NodeId>, Vec<NodeId>) = pairs.iter().copied().unzip();
        let nodes = place_gradients(&mut b, &parameters, &gradients, &store, &mut placed)?;
        Ok((store, nodes))
    };
    let (inner, mut outputs) = place(&step.inner, &first, "inner gradients")?;
    let (meta, nodes) = place(&step.meta, &second, "meta-gradients")?;
    outputs.extend(nodes);
    let named = [
        ("primary_loss", step.primary_loss),
        ("auxiliary_loss", step.auxiliary_loss),
        ("generated_labels", step.labels),
        ("lookahead_primary_loss", step.ahead_loss),
        ("negative_entropy", step.negative_entropy),
    ];
    outputs.extend(named.map(|(_, node)| node));
    let executor = Executor::new(engine, &b.graph, &outputs, &placed, &choose::direct(engine))?;
    Program::new(engine, executor.recording())?.run(engine, 1)?;
    let mut answers = Vec::new();
    for (name, node) in named {
        answers.push((name.to_owned(), readback::read(engine, executor.tensor(node)?)?));
    }
    let inner = slot_to_torch(engine, first.parameter_specs(), &inner, "inner_grad.")?;
    answers.extend(inner.into_iter().map(|t| (t.name, t.values)));
    let plain = |name: &str| name.strip_prefix(GENERATOR).unwrap_or(name).to_owned();
    let meta = slot_to_torch(engine, second.parameter_specs(), &meta, "")?;
    let gradient = meta.into_iter().map(|t| (plain(&t.name), t.values)).collect();
    Ok(MetaAnswers { answers, gradient })
}
