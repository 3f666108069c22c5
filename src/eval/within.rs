//! How found labels agree with finer true ones inside each class. Over all images the class alone already tells much of a
//! finer label; within a class it tells nothing.

use std::collections::BTreeMap;

use super::Contingency;
use crate::base::{Error, Result};

/// Means over the classes that have at least two true labels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WithinClasses {
    /// Number of such classes.
    pub classes: usize,
    /// Mean normalised mutual information (arithmetic mean).
    pub nmi: f64,
    /// Mean adjusted mutual information (arithmetic mean).
    pub ami: f64,
    /// Mean share of the images that are right under the best one-to-one assignment of found to true labels.
    pub hungarian: f64,
}

impl WithinClasses {
    /// From class, true finer label and found label of each image; `None` when no class has two true labels.
    ///
    /// # Errors
    /// When the lists differ in length, or a class has too many labels for the best match.
    pub fn new(classes: &[u32], truth: &[u32], found: &[u32]) -> Result<Option<Self>> {
        if classes.len() != truth.len() || classes.len() != found.len() {
            return Err(Error::Data(format!(
                "within classes each image has one of each: {} classes, {} true and {} found labels",
                classes.len(),
                truth.len(),
                found.len()
            )));
        }
        let mut of: BTreeMap<u32, (Vec<u32>, Vec<u32>)> = BTreeMap::new();
        for ((&class, &truth), &found) in classes.iter().zip(truth).zip(found) {
            let (truths, founds) = of.entry(class).or_default();
            truths.push(truth);
            founds.push(found);
        }
        let mut mean = Self { classes: 0, nmi: 0.0, ami: 0.0, hungarian: 0.0 };
        for (truth, found) in of.values() {
            let table = Contingency::new(truth, found)?;
            // The only label of a class is found by anything.
            if table.classes.len() > 1 {
                mean.classes += 1;
                mean.nmi += table.nmi();
                mean.ami += table.ami();
                mean.hungarian += table.hungarian_accuracy()?;
            }
        }
        let n = mean.classes as f64;
        Ok((mean.classes > 0).then(|| Self {
            nmi: mean.nmi / n,
            ami: mean.ami / n,
            hungarian: mean.hungarian / n,
            ..mean
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_itself_tells_nothing_within_it() {
        // Two classes of four images, each of two finer kinds; class 2 has one kind.
        let classes = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2];
        let truth = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4];
        let all = |found: &[u32]| Contingency::new(&truth, found).unwrap().nmi();
        let within = |found: &[u32]| WithinClasses::new(&classes, &truth, found).unwrap().unwrap();
        assert!(all(&classes) > 0.79);
        let alone = within(&classes);
        assert_eq!((alone.classes, alone.nmi, alone.ami, alone.hungarian), (2, 0.0, 0.0, 0.5));
        assert_eq!(within(&[5, 5, 3, 3, 7, 7, 8, 8, 9, 4]).nmi, 1.0);
        // Class 0 as the truth, class 1 crossed: three of its kinds' four halves stand against each other.
        let half = within(&[0, 0, 1, 1, 2, 3, 2, 3, 4, 4]);
        assert!((half.nmi - 0.5).abs() < 1e-15 && (half.hungarian - 0.75).abs() < 1e-15, "{half:?}");
        // scikit-learn: AMI of [0, 0, 1, 1] and [0, 1, 0, 1] is -0.5.
        assert!((half.ami - 0.25).abs() < 1e-14, "{half:?}");
    }

    #[test]
    fn by_hand() {
        // One class of six: kinds of 4 and 2, found 3 and 3, with 3 + 1 and 0 + 2 together.
        let (truth, found) = ([0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1]);
        let mean = WithinClasses::new(&[3; 6], &truth, &found).unwrap().unwrap();
        let h = |parts: &[f64]| -parts.iter().map(|p| p * p.ln()).sum::<f64>();
        let (of_truth, of_found) = (h(&[2.0 / 3.0, 1.0 / 3.0]), h(&[0.5, 0.5]));
        let shared = of_truth + of_found - h(&[0.5, 1.0 / 6.0, 1.0 / 3.0]);
        assert!((mean.nmi - 2.0 * shared / (of_truth + of_found)).abs() < 1e-14, "{mean:?}");
        assert!((mean.hungarian - 5.0 / 6.0).abs() < 1e-15, "{mean:?}");
    }

    #[test]
    fn classes_of_one_kind_say_nothing() {
        assert_eq!(WithinClasses::new(&[0, 0, 1], &[0, 0, 1], &[4, 5, 6]).unwrap(), None);
        assert!(WithinClasses::new(&[0], &[0, 1], &[0]).is_err());
    }
}
