//! Auxiliary labels that do not change: random ones within each class, or a finer labelling that people made.

use std::collections::{BTreeSet, HashMap};

use super::TABLE;
use crate::base::philox::{Sequence, Stream};
use crate::base::{DType, Error, Result, Shape};
use crate::data::ImageSet;
use crate::gpu::{Engine, Tensor};
use crate::graph::{Graph, NodeId};
use crate::train::checkpoint::{Checkpoint, NamedTensor, TensorData};
use crate::train::events::Relabelled;
use crate::train::{Context, Labeller};

/// The checkpoint's tensor of the labels, `(1, N)`.
pub(super) const AUXILIARY: &str = "labels.auxiliary";

/// One auxiliary label for each image, in the columns of its class.
#[derive(Debug)]
pub struct Given {
    table: Tensor,
    labels: Vec<u32>,
}

/// First column of each class.
pub(super) fn firsts(hierarchy: &[usize]) -> Vec<usize> {
    hierarchy.iter().scan(0, |sum, &n| Some(std::mem::replace(sum, *sum + n))).collect()
}

/// Each image one of its class's labels, all equally likely.
fn random(set: &ImageSet, hierarchy: &[usize], seed: u64) -> Vec<u32> {
    let firsts = firsts(hierarchy);
    let mut draw = Sequence::new(seed, Stream::Labels, 0);
    let mut label = |class: usize| firsts[class] as u32 + draw.below(hierarchy[class] as u32);
    set.labels.iter().map(|&class| label(class as usize)).collect()
}

/// Labels `fine` in the columns of their classes, ascending within each. `source` names them in messages.
fn within(set: &ImageSet, fine: &[u32], hierarchy: &[usize], source: &str) -> Result<Vec<u32>> {
    set.check_finer(fine, &format!("maxl.labels: {source}"))?;
    let mut owned = vec![BTreeSet::new(); hierarchy.len()];
    for (&label, &class) in fine.iter().zip(&set.labels) {
        owned[class as usize].insert(label);
    }
    if let Some(class) = owned.iter().zip(hierarchy).position(|(labels, &most)| labels.len() > most) {
        let fitting: Vec<usize> = owned.iter().map(|labels| labels.len().max(1)).collect();
        return Err(Error::Config(format!(
            "maxl.labels: {source}: `{}` has {} labels and maxl.hierarchy gives it {}; set maxl.hierarchy = {fitting:?}",
            set.classes[class],
            owned[class].len(),
            hierarchy[class]
        )));
    }
    let firsts = firsts(hierarchy);
    let column = |(label, class): (&u32, &u32)| {
        let class = *class as usize;
        (firsts[class] + owned[class].range(..label).count()) as u32
    };
    Ok(fine.iter().zip(&set.labels).map(column).collect())
}

/// The auxiliary labels that a checkpoint keeps of the training images; none where the generator gives them, or nothing.
pub fn labels_of(checkpoint: &Checkpoint) -> Option<Vec<u32>> {
    match &checkpoint.get(AUXILIARY).ok()?.data {
        TensorData::I32(labels) => Some(labels.iter().map(|&label| label as u32).collect()),
        _ => None,
    }
}

impl Given {
    /// Random labels, or with `source` those of people.
    ///
    /// # Errors
    /// When the labels of `source` are not finer than the classes or more than the hierarchy has, a file does not fit the
    /// images, or memory does not suffice.
    pub fn new(source: Option<&str>, hierarchy: &[usize], context: Context<'_>) -> Result<Self> {
        let Context { engine, config, data, .. } = context;
        let set = &data.train;
        let labels = match source {
            None => random(set, hierarchy, config.seed),
            Some(source) => within(set, &data.finer(config, source, "maxl.labels", false)?, hierarchy, source)?,
        };
        Self::from(engine, labels)
    }

    /// The labels `(N)` as they are.
    ///
    /// # Errors
    /// When memory does not suffice.
    pub(super) fn from(engine: &Engine, labels: Vec<u32>) -> Result<Self> {
        let table = engine.tensor(TABLE, Shape::new(&[1, labels.len()]), DType::U32)?;
        engine.write(&table, &labels);
        Ok(Self { table, labels })
    }

    /// Other labels for the same images.
    pub(super) fn set(&mut self, engine: &Engine, labels: Vec<u32>) {
        engine.write(&self.table, &labels);
        self.labels = labels;
    }

    pub(super) fn tensor(&self) -> NamedTensor {
        let values = self.labels.iter().map(|&label| label as i32).collect();
        NamedTensor { name: AUXILIARY.into(), shape: vec![1, self.labels.len()], data: TensorData::I32(values) }
    }
}

impl Labeller for Given {
    fn place(&self, graph: &Graph, placed: &mut HashMap<NodeId, Tensor>) -> Result<()> {
        let leaf = graph.nodes().iter().position(|node| node.name == TABLE);
        let leaf = leaf.ok_or_else(|| Error::Shape(format!("the graph has no `{TABLE}`")))?;
        placed.insert(NodeId(leaf as u32), self.table.clone());
        Ok(())
    }

    fn due(&self, _: u64) -> bool {
        false
    }

    fn update(&mut self, _: u64, _: f64) -> Result<Vec<Relabelled>> {
        Ok(Vec::new())
    }

    fn tensors(&self) -> Result<Vec<NamedTensor>> {
        Ok(vec![self.tensor()])
    }

    fn history(&self) -> Result<String> {
        Ok("[]".into())
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        if checkpoint.get(AUXILIARY)?.data == self.tensor().data {
            return Ok(());
        }
        Err(Error::Checkpoint(
            "its auxiliary labels are others than this run's: go on with the same maxl.hierarchy and maxl.labels"
                .into(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(labels: &[u32], classes: &[&str]) -> ImageSet {
        ImageSet {
            name: "set".into(),
            height: 1,
            width: 1,
            channels: 1,
            pixels: vec![0; labels.len()],
            labels: labels.to_vec(),
            classes: classes.iter().map(ToString::to_string).collect(),
            finer: Vec::new(),
            files: Vec::new(),
            skipped: Vec::new(),
            ignored: 0,
        }
    }

    #[test]
    fn random_labels_stay_in_their_class() {
        let classes: Vec<u32> = (0..3000).map(|i| i % 3).collect();
        let labels = random(&set(&classes, &["a", "b", "c"]), &[2, 1, 4], 5);
        let mut counts = [0; 7];
        for (&label, &class) in labels.iter().zip(&classes) {
            let columns = [0..2, 2..3, 3..7];
            assert!(columns[class as usize].contains(&label));
            counts[label as usize] += 1;
        }
        // 500 of each with standard deviation 16; 250 with 14.
        assert!(counts[..2].iter().all(|&n| (420..=580).contains(&n)), "{counts:?}");
        assert_eq!(counts[2], 1000);
        assert!(counts[3..].iter().all(|&n| (180..=320).contains(&n)), "{counts:?}");
    }

    #[test]
    fn finer_labels_go_into_the_columns_of_their_class() {
        let set = set(&[0, 1, 0, 1, 1], &["a", "b"]);
        assert_eq!(within(&set, &[9, 3, 4, 7, 3], &[2, 3], "file").unwrap(), [1, 2, 0, 3, 2]);
        let refused =
            |fine: &[u32], hierarchy: &[usize]| within(&set, fine, hierarchy, "file").unwrap_err().to_string();
        let error = refused(&[9, 9, 4, 7, 3], &[2, 3]);
        assert!(error.contains("label 9") && error.contains("`a`") && error.contains("not finer"), "{error}");
        assert!(refused(&[0, 1, 0, 1, 1], &[2, 3]).contains("not finer"));
        assert!(refused(&[9, 3, 4, 7, 3], &[2, 1]).contains("maxl.hierarchy = [2, 2]"));
    }
}
