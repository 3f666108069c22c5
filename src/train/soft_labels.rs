//! The labels that a network gives images, with the probability of every label: what a mean label is made of.

use std::collections::HashMap;

use super::extract::Trunk;
use super::feed::Feed;
use super::images::Decode;
use super::{Batch, Method};
use crate::base::{Error, Result};
use crate::data::Draw;
use crate::gpu::{Program, Tensor, readback};
use crate::graph::{Executor, NodeId};
use crate::nn::{Builder, Phase};

/// Labels of all images of a set by one head.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftLabels {
    /// The most probable label of each image (N).
    pub chosen: Vec<u32>,
    /// Mean over the images of the probability of each label (K).
    pub mean: Vec<f64>,
    /// Mean over the images of the entropy of their probabilities, in nats.
    pub image_entropy: f64,
}

impl SoftLabels {
    /// Labels that are certain, of `labels` ones.
    ///
    /// # Errors
    /// When there is none, or one is out of range.
    pub fn hard(chosen: Vec<u32>, labels: usize) -> Result<Self> {
        let mut mean = vec![0.0; labels];
        let part = 1.0 / chosen.len() as f64;
        for &label in &chosen {
            *mean.get_mut(label as usize).ok_or_else(|| Error::Data(format!("label {label} of {labels}")))? += part;
        }
        Ok(Self { chosen, mean, image_entropy: 0.0 })
    }

    /// Those of the first head of a network, in evaluation mode, for all images of the feed's set.
    ///
    /// # Errors
    /// When the method has no head that gives labels, it does not fit the device, or that fails.
    pub fn of(trunk: Trunk<'_>, feed: Feed, decode: Decode, method: &dyn Method) -> Result<Self> {
        let Trunk { engine, backbone, network, variants } = trunk;
        let count = feed.set().count();
        let mut b = Builder::new(Phase::Evaluate);
        let leaves = feed.leaves(&mut b.graph, decode)?;
        let classes = feed.set().classes.len();
        let (images, labels, draws) = (leaves.images, leaves.labels, leaves.draws);
        let heads = method.clusters(&mut b, backbone, Batch { images, labels, classes, draws, samples: count })?;
        let logits =
            *heads.first().ok_or_else(|| Error::Config(format!("`{}` gives images no labels", method.name())))?;
        let outputs = [b.graph.argmax(logits)?, b.graph.softmax(logits)?];
        let mut placed: HashMap<NodeId, Tensor> = HashMap::new();
        network.place(&b.graph, &mut placed)?;
        feed.place(&leaves, &mut placed);
        let executor = Executor::new(engine, &b.graph, &outputs, &placed, variants)?;
        let (chosen, probabilities) = (executor.tensor(outputs[0])?, executor.tensor(outputs[1])?);
        let program = Program::new(engine, executor.recording())?;
        let columns = probabilities.shape.last();
        let mut out = Self { chosen: Vec::with_capacity(count), mean: vec![0.0; columns], image_entropy: 0.0 };
        let all: Vec<u32> = (0..count as u32).collect();
        for chunk in all.chunks(feed.rows()) {
            let draws: Vec<Draw> = chunk.iter().map(|&index| Draw { index, epoch: 0 }).collect();
            feed.write(engine, &draws, None);
            program.run(engine, 1)?;
            out.chosen.extend(readback::read::<u32>(engine, chosen)?.iter().take(chunk.len()));
            let rows: Vec<f32> = readback::read(engine, probabilities)?;
            for row in rows.chunks(columns).take(chunk.len()) {
                for (sum, &p) in out.mean.iter_mut().zip(row) {
                    let p = f64::from(p);
                    *sum += p;
                    out.image_entropy -= if p > 0.0 { p * p.ln() } else { 0.0 };
                }
            }
        }
        out.mean.iter_mut().for_each(|sum| *sum /= count as f64);
        out.image_entropy /= count as f64;
        Ok(out)
    }
}
