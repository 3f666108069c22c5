//! Nearest neighbours, a linear probe, and clusters against true classes.

use std::sync::Arc;

use super::{Origin, labels};
use crate::base::{Error, Result};
use crate::data::ImageSet;
use crate::eval::clusters::{Contingency, Sizes};
use crate::eval::knn;
use crate::session::Trained;
use crate::train::probe;

/// What is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Images at once.
    pub batch: usize,
    /// How neighbours vote.
    pub knn: knn::Settings,
    /// The linear probe's training run; `None` leaves it out.
    pub probe: Option<probe::Settings>,
    /// Seed of the probe.
    pub seed: u64,
}

/// One head's clusters against the true classes.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadReport {
    /// The head, from 0.
    pub head: usize,
    /// Normalised mutual information (arithmetic mean).
    pub nmi: f64,
    /// Adjusted mutual information (arithmetic mean).
    pub ami: f64,
    /// Adjusted Rand index.
    pub ari: f64,
    /// Share of the images that are of their cluster's most frequent class.
    pub purity: f64,
    /// Accuracy under the best one-to-one assignment of clusters to classes.
    pub hungarian: f64,
    /// How large the clusters are.
    pub sizes: Sizes,
}

/// Everything about one checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Accuracy of the neighbours' vote on the test images.
    pub knn: f64,
    /// The linear probe.
    pub probe: Option<probe::Outcome>,
    /// The test images' predicted clusters, of every head; none where the method makes no labels.
    pub test: Vec<HeadReport>,
    /// The labels that were assigned to the training images, of every head.
    pub assigned: Vec<HeadReport>,
}

/// How many classes a set has to judge by.
///
/// # Errors
/// When it is one only.
pub fn classes_of(set: &ImageSet) -> Result<usize> {
    match set.classes.len() {
        0 | 1 => Err(Error::Data(format!(
            "{} has one class: without true classes there is nothing to compare with; look at the clusters with \
             `relabel label --gallery`, or name labelled images with --data",
            set.name
        ))),
        classes => Ok(classes),
    }
}

/// Measures a network. The trunk's features in evaluation mode are what neighbours and probe see.
///
/// # Errors
/// When the images have one class only, the sets' classes differ, or a setting does not fit.
pub fn judge(
    trained: &Trained,
    checkpoint: &std::path::Path,
    train: &Arc<ImageSet>,
    test: &Arc<ImageSet>,
    options: &Options,
) -> Result<Judgement> {
    let classes = classes_of(train)?;
    if train.classes != test.classes {
        return Err(Error::Data(format!("{} and {} have different classes", train.name, test.name)));
    }
    let engine = trained.engine();
    let known = trained.features(train, options.batch)?;
    let asked = trained.features(test, options.batch)?;
    let found =
        knn::classify(engine, known.windows(), &train.labels, asked.windows(), test.count(), classes, &options.knn)?;
    let right = found.iter().zip(&test.labels).filter(|(a, b)| a == b).count();
    let probe = match &options.probe {
        None => None,
        Some(settings) => {
            let known = probe::Features { windows: known.windows(), labels: &train.labels };
            let asked = probe::Features { windows: asked.windows(), labels: &test.labels };
            Some(probe::run(engine, known, asked, classes, settings, options.seed, &mut |_, _| Ok(()))?)
        }
    };
    let clusters = trained.clusters();
    let report = |set: &ImageSet, heads: &[Vec<crate::train::inference::Chosen>]| -> Result<Vec<HeadReport>> {
        let one = |(head, chosen): (usize, &Vec<crate::train::inference::Chosen>)| {
            let found: Vec<u32> = chosen.iter().map(|c| c.label).collect();
            let table = Contingency::new(&set.labels, &found)?;
            Ok(HeadReport {
                head,
                nmi: table.nmi(),
                ami: table.ami(),
                ari: table.adjusted_rand_index(),
                purity: table.purity(),
                hungarian: table.hungarian_accuracy()?,
                sizes: Sizes::new(&found, clusters)?,
            })
        };
        heads.iter().enumerate().map(one).collect()
    };
    let (mut on_test, mut assigned) = (Vec::new(), Vec::new());
    if trained.method().makes_labels() {
        let (predicted, _) = labels(trained, checkpoint, test, options.batch, Some(Origin::Predicted))?;
        on_test = report(test, &predicted)?;
        // Other training images than those of the run have no assigned labels.
        let (given, origin) = labels(trained, checkpoint, train, options.batch, None)?;
        if origin == Origin::Assigned {
            assigned = report(train, &given)?;
        }
    }
    Ok(Judgement { knn: right as f64 / test.count() as f64, probe, test: on_test, assigned })
}
