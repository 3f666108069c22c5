//! The auxiliary labels of MAXL: how many are used, how sure they are, and how they agree with finer true labels.

use std::path::Path;
use std::sync::Arc;

use crate::base::{Error, Result};
use crate::data::ImageSet;
use crate::eval::{Contingency, WithinClasses};
use crate::methods::maxl::{MaxlSettings, labels_of};
use crate::session::Trained;
use crate::train::checkpoint::Checkpoint;
use crate::train::soft_labels::SoftLabels;

/// The auxiliary labels of a set of images.
#[derive(Clone, Debug, PartialEq)]
pub struct Auxiliary {
    /// Entropy of the mean label, in nats.
    pub entropy: f64,
    /// Mean entropy of one image's label, in nats.
    pub image_entropy: f64,
    /// What of the mean label's entropy is not that of the classes, as a part of the mean of ln ψ over the images: 0 to 1; 0
    /// when ψ is 1 throughout.
    pub usage: f64,
    /// Labels that are the most probable one of some image.
    pub used: usize,
    /// Σψ.
    pub labels: usize,
    /// How they agree with finer true labels, where these are given.
    pub agreement: Option<Agreement>,
}

/// Auxiliary labels, each image's most probable one, against finer true ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// Which labels are the true ones.
    pub source: String,
    /// Number of true labels that occur.
    pub labels: usize,
    /// Normalised mutual information over all images.
    pub nmi: f64,
    /// Adjusted mutual information over all images.
    pub ami: f64,
    /// Accuracy under the best one-to-one assignment of auxiliary to true labels.
    pub hungarian: f64,
    /// NMI, AMI and Hungarian accuracy of the classes themselves: what labels that tell nothing more have.
    pub class: [f64; 3],
    /// Means within the classes; none where no class has two true labels among these images.
    pub within: Option<WithinClasses>,
}

/// What the labels of a set are compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// What messages call it.
    pub source: String,
    /// The finer label of each image.
    pub labels: Vec<u32>,
}

/// Measures the labels that the generator gives the images, or those that were given to the images of a run. `None` for
/// images that have none: those of methods without such labels, and with given ones all but the training images.
/// `checkpoint` is where `trained` was read from.
///
/// # Errors
/// When images or classes are not the network's, or the true labels are not one an image.
pub fn auxiliary(
    trained: &Trained,
    checkpoint: &Path,
    set: &Arc<ImageSet>,
    truth: Option<&Truth>,
    batch: usize,
) -> Result<Option<Auxiliary>> {
    let hierarchy = || trained.config.section::<MaxlSettings>("maxl")?.hierarchy.of(set.classes.len());
    let labels = if trained.method().sorts_within_classes() {
        trained.soft_labels(set, batch)?
    } else {
        let file = Checkpoint::read(checkpoint)?;
        match labels_of(&file).filter(|_| file.meta.fingerprint == set.fingerprint()) {
            Some(given) => SoftLabels::hard(given, hierarchy()?.iter().sum())?,
            None => return Ok(None),
        }
    };
    let agreement = truth.map(|truth| Agreement::new(truth, &set.labels, &labels.chosen)).transpose()?;
    Ok(Some(Auxiliary::new(&labels, &set.class_counts(), &hierarchy()?, agreement)))
}

/// Entropy of shares, in nats.
fn entropy(shares: impl Iterator<Item = f64>) -> f64 {
    shares.filter(|&p| p > 0.0).map(|p| -p * p.ln()).sum::<f64>().max(0.0)
}

impl Auxiliary {
    fn new(labels: &SoftLabels, classes: &[usize], hierarchy: &[usize], agreement: Option<Agreement>) -> Self {
        let images = classes.iter().sum::<usize>() as f64;
        let most = hierarchy.iter().zip(classes).map(|(&n, &of)| (n as f64).ln() * of as f64).sum::<f64>() / images;
        let total = entropy(labels.mean.iter().copied());
        let of_classes = entropy(classes.iter().map(|&n| n as f64 / images));
        let mut used = vec![false; labels.mean.len()];
        labels.chosen.iter().for_each(|&label| used[label as usize] = true);
        Self {
            entropy: total,
            image_entropy: labels.image_entropy,
            usage: if most > 0.0 { (total - of_classes) / most } else { 0.0 },
            used: used.iter().filter(|&&used| used).count(),
            labels: labels.mean.len(),
            agreement,
        }
    }
}

impl Agreement {
    fn new(truth: &Truth, classes: &[u32], found: &[u32]) -> Result<Self> {
        if truth.labels.len() != found.len() {
            return Err(Error::Data(format!(
                "{}: {} finer labels of {} images",
                truth.source,
                truth.labels.len(),
                found.len()
            )));
        }
        let all = Contingency::new(&truth.labels, found)?;
        let alone = Contingency::new(&truth.labels, classes)?;
        Ok(Self {
            source: truth.source.clone(),
            labels: all.classes.len(),
            nmi: all.nmi(),
            ami: all.ami(),
            hungarian: all.hungarian_accuracy()?,
            class: [alone.nmi(), alone.ami(), alone.hungarian_accuracy()?],
            within: WithinClasses::new(classes, &truth.labels, found)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_and_entropy_by_hand() {
        // Two classes of two images; class 0 uses its labels evenly, class 1 one of its three.
        let labels = SoftLabels { chosen: vec![0, 1, 2, 2], mean: vec![0.25, 0.25, 0.5, 0.0, 0.0], image_entropy: 0.3 };
        let found = Auxiliary::new(&labels, &[2, 2], &[2, 3], None);
        let (two, three) = (2f64.ln(), 3f64.ln());
        assert!((found.entropy - 1.5 * two).abs() < 1e-15, "{found:?}");
        assert!((found.usage - 0.5 * two / (0.5 * (two + three))).abs() < 1e-15, "{found:?}");
        // Classes of three images and one: both use all that they have.
        let all = SoftLabels { chosen: vec![0; 4], mean: vec![0.25, 0.25, 0.25, 0.125, 0.125], image_entropy: 0.3 };
        assert!((Auxiliary::new(&all, &[3, 1], &[3, 2], None).usage - 1.0).abs() < 1e-15);
        assert_eq!((found.used, found.labels, found.image_entropy), (3, 5, 0.3));
        let hard = SoftLabels::hard(vec![0, 1, 2, 2], 5).unwrap();
        assert_eq!((&hard.mean, hard.image_entropy), (&labels.mean, 0.0));
        assert!(SoftLabels::hard(vec![5], 5).is_err());
        let single = Auxiliary::new(&SoftLabels::hard(vec![0, 1], 2).unwrap(), &[1, 1], &[1, 1], None);
        assert_eq!(single.usage, 0.0);
    }
}
