//! Evaluation and prediction graphs on a network's tensors.

use std::collections::HashMap;

use super::extract::Trunk;
use super::feed::{FedLeaves, Feed};
use super::images::Decode;
use super::network::Network;
use super::{Batch, Measure, Method};
use crate::base::labels::LabelRule;
use crate::base::{DType, Result, Shape};
use crate::data::Draw;
use crate::gpu::{Engine, Program, Tensor, Variants, readback};
use crate::graph::{Executor, NodeId};
use crate::models::Backbone;
use crate::nn::{Builder, Phase};

/// Slots of the sums.
const SLOTS: usize = 32;

/// Evaluates a network on one image set.
#[derive(Debug)]
pub struct Evaluator {
    feed: Feed,
    rows: usize,
    program: Program,
    sums: Tensor,
    names: Vec<String>,
}

impl Evaluator {
    /// Plans the evaluation pass of a method.
    ///
    /// # Errors
    /// When it does not fit the device.
    pub fn new(
        engine: &Engine,
        feed: Feed,
        decode: Decode,
        method: &dyn Method,
        backbone: &dyn Backbone,
        network: &Network,
        variants: &Variants,
    ) -> Result<Self> {
        let mut b = Builder::new(Phase::Evaluate);
        let leaves = feed.leaves(&mut b.graph, decode)?;
        let rows = b.graph.shape(leaves.labels).elements();
        let classes = feed.set().classes.len();
        let batch = Batch {
            images: leaves.images,
            labels: leaves.labels,
            classes,
            draws: leaves.draws,
            samples: feed.set().count(),
        };
        let metrics = method.evaluate(&mut b, backbone, batch)?;
        let leaf = b.graph.state("evaluation.sums", &[SLOTS]);
        let values: Vec<NodeId> = metrics.iter().map(|metric| metric.value).collect();
        // Of a method that makes its own labels there are none.
        if !values.is_empty() {
            b.graph.accumulate(&values, leaf, 0)?;
        }
        let sums = engine.tensor("evaluation.sums", Shape::new(&[SLOTS]), DType::F32)?;
        let mut placed = HashMap::from([(leaf, sums.clone())]);
        network.place(&b.graph, &mut placed)?;
        feed.place(&leaves, &mut placed);
        let executor = Executor::new(engine, &b.graph, &[], &placed, variants)?;
        let program = Program::new(engine, executor.recording())?;
        let names = metrics.into_iter().map(|m| m.name).collect();
        Ok(Self { feed, rows, program, sums, names })
    }
}

impl Measure for Evaluator {
    /// Means over all images of the set, in the method's order.
    fn run(&mut self, engine: &Engine) -> Result<Vec<(String, f64)>> {
        engine.write_words(&self.sums, &[0.0f32; SLOTS]);
        let count = self.feed.set().count();
        let mut totals = vec![0.0f64; self.names.len()];
        let mut pending = 0;
        let all: Vec<u32> = (0..count as u32).collect();
        let batches = all.chunks(self.rows).len();
        for (i, chunk) in all.chunks(self.rows).enumerate() {
            let draws: Vec<Draw> = chunk.iter().map(|&index| Draw { index, epoch: 0 }).collect();
            self.feed.write(engine, &draws, None);
            self.program.run(engine, 1)?;
            pending += 1;
            // Sums stay small enough for float32 to count exactly.
            if pending == 1000 || i + 1 == batches {
                let sums: Vec<f32> = readback::read(engine, &self.sums)?;
                totals.iter_mut().zip(&sums).for_each(|(t, s)| *t += f64::from(*s));
                engine.write_words(&self.sums, &[0.0f32; SLOTS]);
                pending = 0;
            }
        }
        Ok(self.names.iter().cloned().zip(totals.into_iter().map(|t| t / count as f64)).collect())
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn images(&self) -> usize {
        self.feed.set().count()
    }
}

/// Class probabilities of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicted {
    /// N probabilities by the method's best inference.
    pub probabilities: Vec<f32>,
    /// M rows of N probabilities, one a view.
    pub views: Vec<Vec<f32>>,
}

/// Predicts the classes of images without labels.
#[derive(Debug)]
pub struct Predictor {
    feed: Feed,
    rows: usize,
    views: usize,
    program: Program,
    probabilities: Tensor,
    view_probabilities: Tensor,
}

impl Predictor {
    /// Plans the prediction pass of a method. The labels of the feed's set are not read.
    ///
    /// # Errors
    /// When it does not fit the device.
    pub fn new(
        engine: &Engine,
        feed: Feed,
        decode: Decode,
        method: &dyn Method,
        backbone: &dyn Backbone,
        network: &Network,
        variants: &Variants,
    ) -> Result<Self> {
        let (b, leaves, prediction) = predict_graph(&feed, decode, method, backbone)?;
        let rows = b.graph.shape(leaves.labels).elements();
        let mut placed: HashMap<NodeId, Tensor> = HashMap::new();
        network.place(&b.graph, &mut placed)?;
        feed.place(&leaves, &mut placed);
        let outputs = [prediction.probabilities, prediction.view_probabilities];
        let executor = Executor::new(engine, &b.graph, &outputs, &placed, variants)?;
        Ok(Self {
            rows,
            views: method.views(),
            program: Program::new(engine, executor.recording())?,
            probabilities: executor.tensor(outputs[0])?.clone(),
            view_probabilities: executor.tensor(outputs[1])?.clone(),
            feed,
        })
    }

    /// Probabilities of every image of the feed's set, in order.
    ///
    /// # Errors
    /// When the device fails.
    pub fn run(&mut self, engine: &Engine) -> Result<Vec<Predicted>> {
        let all: Vec<u32> = (0..self.feed.set().count() as u32).collect();
        let mut out = Vec::with_capacity(all.len());
        for chunk in all.chunks(self.rows) {
            let draws: Vec<Draw> = chunk.iter().map(|&index| Draw { index, epoch: 0 }).collect();
            self.feed.write(engine, &draws, None);
            self.program.run(engine, 1)?;
            let mut read = readback::read_words::<f32>(engine, &[&self.probabilities, &self.view_probabilities])?;
            let views = self.view_probabilities.shape.unpad(&read.remove(1));
            let best = self.probabilities.shape.unpad(&read.remove(0));
            let classes = self.probabilities.shape.last();
            for row in 0..chunk.len() {
                let view = |j: usize| views[(row * self.views + j) * classes..][..classes].to_vec();
                out.push(Predicted {
                    probabilities: best[row * classes..][..classes].to_vec(),
                    views: (0..self.views).map(view).collect(),
                });
            }
        }
        Ok(out)
    }
}

fn predict_graph(
    feed: &Feed,
    decode: Decode,
    method: &dyn Method,
    backbone: &dyn Backbone,
) -> Result<(Builder, FedLeaves, super::Prediction)> {
    let mut b = Builder::new(Phase::Evaluate);
    let leaves = feed.leaves(&mut b.graph, decode)?;
    let prediction = method.predict(&mut b, backbone, leaves.images, feed.set().classes.len())?;
    Ok((b, leaves, prediction))
}

/// A cluster and how sure the network is of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chosen {
    /// The cluster.
    pub label: u32,
    /// Its probability.
    pub confidence: f32,
}

/// Sorts images into the clusters of a network's heads.
#[derive(Debug)]
pub struct Sorter {
    feed: Feed,
    program: Program,
    /// Labels and their −log P, `(B)` each, of every head.
    heads: Vec<(Tensor, Tensor)>,
}

impl Sorter {
    /// Plans the pass: the most probable clusters, or with `assigned` (labels of each image, one list a head) those.
    ///
    /// # Errors
    /// When it does not fit the device.
    pub fn new(
        trunk: Trunk<'_>,
        feed: Feed,
        decode: Decode,
        method: &dyn Method,
        assigned: Option<&[Vec<u32>]>,
    ) -> Result<Self> {
        let Trunk { engine, backbone, network, variants } = trunk;
        let mut b = Builder::new(Phase::Evaluate);
        let leaves = feed.leaves(&mut b.graph, decode)?;
        let mut placed: HashMap<NodeId, Tensor> = HashMap::new();
        let table = match assigned {
            None => None,
            Some(labels) => {
                let table = engine.tensor("labels", Shape::new(&[labels.len(), feed.set().count()]), DType::U32)?;
                engine.write(&table, &labels.concat());
                let leaf = b.graph.input("assigned labels", table.shape.sizes(), DType::U32);
                placed.insert(leaf, table);
                Some(leaf)
            }
        };
        let batch = Batch {
            images: leaves.images,
            labels: leaves.labels,
            classes: feed.set().classes.len(),
            draws: leaves.draws,
            samples: feed.set().count(),
        };
        let mut outputs = Vec::new();
        for (head, logits) in method.clusters(&mut b, backbone, batch)?.into_iter().enumerate() {
            let label = match table {
                Some(table) => b.graph.gather_labels(table, leaves.draws, leaves.labels, head..head + 1)?,
                None => b.graph.argmax(logits)?,
            };
            outputs.extend([label, b.graph.cross_entropy(logits, label, LabelRule::Class, 1)?]);
        }
        network.place(&b.graph, &mut placed)?;
        feed.place(&leaves, &mut placed);
        let executor = Executor::new(engine, &b.graph, &outputs, &placed, variants)?;
        let tensor = |id: NodeId| executor.tensor(id).cloned();
        let heads = outputs.chunks(2).map(|pair| Ok((tensor(pair[0])?, tensor(pair[1])?))).collect::<Result<_>>()?;
        Ok(Self { program: Program::new(engine, executor.recording())?, heads, feed })
    }

    /// Of every head, the clusters of all images in order.
    ///
    /// # Errors
    /// When the device fails.
    pub fn run(&mut self, engine: &Engine) -> Result<Vec<Vec<Chosen>>> {
        let all: Vec<u32> = (0..self.feed.set().count() as u32).collect();
        let mut out = vec![Vec::with_capacity(all.len()); self.heads.len()];
        for chunk in all.chunks(self.feed.rows()) {
            let draws: Vec<Draw> = chunk.iter().map(|&index| Draw { index, epoch: 0 }).collect();
            self.feed.write(engine, &draws, None);
            self.program.run(engine, 1)?;
            for (head, (labels, losses)) in self.heads.iter().enumerate() {
                let labels: Vec<u32> = readback::read(engine, labels)?;
                let losses: Vec<f32> = readback::read(engine, losses)?;
                let pairs = labels.iter().zip(&losses).take(chunk.len());
                out[head].extend(pairs.map(|(&label, loss)| Chosen { label, confidence: (-loss).exp().min(1.0) }));
            }
        }
        Ok(out)
    }
}
