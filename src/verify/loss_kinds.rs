//! Golden kinds without a network: losses, inferences, views.

use std::collections::HashMap;

use super::Answer;
use super::golden::{Golden, nchw_to_nhwc, nhwc_to_nchw};
use crate::base::labels::LabelRule;
use crate::base::{DType, Error, Result};
use crate::gpu::{Engine, Program, Tensor, readback};
use crate::graph::{Executor, NodeId, reverse};
use crate::kernels::choose;
use crate::nn::{Builder, Phase};
use crate::train::losses::{distillation, mean_cross_entropy};

/// Runs a graph on given inputs and reads the named nodes.
pub(super) fn evaluate(
    engine: &Engine,
    b: &Builder,
    placed: &HashMap<NodeId, Tensor>,
    outputs: &[(&str, NodeId)],
) -> Result<Vec<Answer>> {
    let nodes: Vec<NodeId> = outputs.iter().map(|(_, n)| *n).collect();
    let executor = Executor::new(engine, &b.graph, &nodes, placed, &choose::direct(engine))?;
    Program::new(engine, executor.recording())?.run(engine, 1)?;
    outputs
        .iter()
        .map(|(name, node)| Ok(((*name).to_owned(), readback::read(engine, executor.tensor(*node)?)?)))
        .collect()
}

/// A float input leaf with its values on the device.
pub(super) fn input(
    engine: &Engine,
    b: &mut Builder,
    placed: &mut HashMap<NodeId, Tensor>,
    name: &str,
    sizes: &[usize],
    values: &[f32],
) -> Result<NodeId> {
    let node = b.graph.input(name, sizes, DType::F32);
    if values.len() != b.graph.shape(node).elements() {
        return Err(Error::Data(format!("`in.{name}` has {} values for {}", values.len(), b.graph.shape(node))));
    }
    let tensor = engine.tensor(name, b.graph.shape(node).clone(), DType::F32)?;
    engine.write(&tensor, values);
    placed.insert(node, tensor);
    Ok(node)
}

/// A label leaf with its values on the device.
pub(super) fn labels(
    engine: &Engine,
    b: &mut Builder,
    placed: &mut HashMap<NodeId, Tensor>,
    values: &[u32],
) -> Result<NodeId> {
    let node = b.graph.input("labels", &[values.len()], DType::U32);
    let tensor = engine.tensor("labels", b.graph.shape(node).clone(), DType::U32)?;
    engine.write(&tensor, values);
    placed.insert(node, tensor);
    Ok(node)
}

pub(super) fn sla_loss(engine: &Engine, golden: &Golden) -> Result<Vec<Answer>> {
    let (n, m, batch) = (golden.count("classes")?, golden.count("transforms")?, golden.count("batch")?);
    let mut b = Builder::new(Phase::Train { update: false });
    let mut placed = HashMap::new();
    let joint =
        input(engine, &mut b, &mut placed, "joint_logits", &[batch * m, n * m], &golden.input("joint_logits")?.f32())?;
    let single =
        input(engine, &mut b, &mut placed, "single_logits", &[batch, n], &golden.input("single_logits")?.f32())?;
    let y = labels(engine, &mut b, &mut placed, &golden.input("labels")?.u32())?;
    let joint_loss = mean_cross_entropy(&mut b, joint, y, LabelRule::Joint, m)?;
    let (t, beta) = (golden.number("temperature")? as f32, golden.number("beta")? as f32);
    let sd = distillation(&mut b, joint, single, y, m, t, beta)?;
    let total = b.graph.add(joint_loss, sd.loss)?;
    let gradients = reverse(&mut b.graph, total, &[joint, single])?;
    let aggregated = b.graph.aggregated_logits(joint, m)?;
    let outputs = [
        ("joint_cross_entropy", joint_loss),
        ("grad_joint_logits", gradients[0]),
        ("single_inference_logits", b.graph.single_inference_logits(joint, m)?),
        ("aggregated_logits", aggregated),
        ("aggregated_probabilities", b.graph.softmax(aggregated)?),
        ("distillation_kl", sd.divergence),
        ("single_cross_entropy", sd.cross_entropy),
        ("total", total),
        ("grad_single_logits", gradients[1]),
    ];
    evaluate(engine, &b, &placed, &outputs)
}

pub(super) fn multitask_loss(engine: &Engine, golden: &Golden) -> Result<Vec<Answer>> {
    let (n, m, batch) = (golden.count("classes")?, golden.count("transforms")?, golden.count("batch")?);
    let mut b = Builder::new(Phase::Train { update: false });
    let mut placed = HashMap::new();
    let rows = batch * m;
    let class = input(engine, &mut b, &mut placed, "class_logits", &[rows, n], &golden.input("class_logits")?.f32())?;
    let view =
        input(engine, &mut b, &mut placed, "transform_logits", &[rows, m], &golden.input("transform_logits")?.f32())?;
    let y = labels(engine, &mut b, &mut placed, &golden.input("labels")?.u32())?;
    let alone = mean_cross_entropy(&mut b, class, y, LabelRule::Class, m)?;
    let transform = mean_cross_entropy(&mut b, view, y, LabelRule::View, m)?;
    let loss = b.graph.add(alone, transform)?;
    let gradients = reverse(&mut b.graph, loss, &[class, view])?;
    let outputs = [
        ("augmentation_only_loss", alone),
        ("loss", loss),
        ("grad_class_logits", gradients[0]),
        ("grad_transform_logits", gradients[1]),
    ];
    evaluate(engine, &b, &placed, &outputs)
}

pub(super) fn transform(engine: &Engine, golden: &Golden) -> Result<Vec<Answer>> {
    let images = golden.input("images")?;
    let &[batch, c, h, w] = images.sizes.as_slice() else {
        return Err(Error::Data(format!("`in.images` has sizes {:?}, not (B, C, H, W)", images.sizes)));
    };
    let mut b = Builder::new(Phase::Evaluate);
    let mut placed = HashMap::new();
    let x = input(engine, &mut b, &mut placed, "images", &[batch, h, w, c], &nchw_to_nhwc(&images.f32(), [c, h, w]))?;
    let views = b.graph.transform_views(x, golden.text("transform")?.parse()?)?;
    let mut answers = evaluate(engine, &b, &placed, &[("views", views)])?;
    answers[0].1 = nhwc_to_nchw(&answers[0].1, [c, h, w]);
    Ok(answers)
}
