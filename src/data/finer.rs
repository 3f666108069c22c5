//! Labels that are known beside the classes and finer than they are: CIFAR-100's own, and the classes from before they
//! were grouped.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::label_file::LabelFile;
use super::set::ImageSet;
use crate::base::{Error, Result};

/// The name of the finest labels that came with the data, whatever the data are.
pub const OWN: &str = "own";

/// What the settings call labels that came with the data.
const NAMES: [&str; 4] = [OWN, "fine", "coarse", "10"];

/// Labels of the images of a set that are finer than its classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finer {
    /// As the settings call it: `fine`, `coarse` or `10` for CIFAR-100's, else `own`.
    pub name: &'static str,
    /// The name of each label.
    pub classes: Vec<String>,
    /// The label of each image.
    pub labels: Vec<u32>,
}

impl Finer {
    /// Whether settings mean labels that came with the data by this, and not a file.
    pub fn is_name(text: &str) -> bool {
        NAMES.contains(&text)
    }

    /// The labels of the images at `indices`, in that order.
    ///
    /// # Panics
    /// When an index is not below the number of images.
    pub(super) fn subset(&self, indices: &[u32]) -> Self {
        Self { labels: indices.iter().map(|&i| self.labels[i as usize]).collect(), ..self.clone() }
    }
}

impl ImageSet {
    /// The finer labels of this name; [`OWN`] is the finest that came with the data. `setting` stands for the setting in
    /// messages.
    ///
    /// # Errors
    /// When the set has none of that name; those that it has are named.
    pub fn finer(&self, name: &str, setting: &str) -> Result<&Finer> {
        let found = if name == OWN { self.finer.first() } else { self.finer.iter().find(|finer| finer.name == name) };
        found.ok_or_else(|| {
            let there: Vec<&str> = self.finer.iter().map(|finer| finer.name).collect();
            let there = if there.is_empty() {
                "no labels that are finer than its classes (CIFAR-100 has with a coarser `data.labels`, any data with \
                 `data.groups`); name a label file"
                    .to_owned()
            } else {
                format!("as finer labels {}, and \"{OWN}\" for the first of these", there.join(", "))
            };
            Error::Config(format!("{setting} = \"{name}\": {} has {there}", self.name))
        })
    }

    /// Finer labels of the images: by a name as in [`ImageSet::finer`], else head 0 of a label file.
    ///
    /// # Errors
    /// When the set has no such labels, or the file cannot be read or does not fit.
    pub fn finer_labels(&self, source: &str, setting: &str) -> Result<Vec<u32>> {
        if Finer::is_name(source) {
            return Ok(self.finer(source, setting)?.labels.clone());
        }
        LabelFile::read(Path::new(source))?.labels(self, 0)
    }

    /// Refuses labels that are not finer than the classes: one that lies in two classes, or none that shares its class with
    /// another. `source` names them in messages.
    ///
    /// # Errors
    /// [`Error::Data`], with the label and both classes.
    pub fn check_finer(&self, labels: &[u32], source: &str) -> Result<()> {
        let mut owner: HashMap<u32, u32> = HashMap::new();
        for (&label, &class) in labels.iter().zip(&self.labels) {
            let first = *owner.entry(label).or_insert(class);
            if first != class {
                return Err(Error::Data(format!(
                    "{source}: label {label} is on images of `{}` and of `{}`: the labels are not finer than the classes",
                    self.classes[first as usize], self.classes[class as usize]
                )));
            }
        }
        let classes: HashSet<u32> = owner.values().copied().collect();
        if classes.len() == owner.len() {
            return Err(Error::Data(format!(
                "{source}: no class has two labels: the labels are not finer than the classes"
            )));
        }
        Ok(())
    }
}
