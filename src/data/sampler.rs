//! Which images a step uses: a function of the seed and the step's number, so a resumed run needs no replay.

use super::set::ImageSet;
use crate::base::philox::{Sequence, Stream};
use crate::base::{Error, Result};

/// How images are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SamplerKind {
    /// Each epoch is a shuffled pass over all images. Batches run across its end, so every batch is full.
    #[default]
    Epochs,
    /// Each step draws a batch without repetition, independently of all other steps: what the official code of SLA
    /// does (`random.sample` in each iteration).
    Independent,
}

/// One image of a batch, and what keys its random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Draw {
    /// Index into the training set.
    pub index: u32,
    /// The pass over the data; for [`SamplerKind::Independent`] the step, modulo 2³². With the seed and `index` it
    /// keys the augmentation, so that an image is augmented anew each time it is drawn.
    pub epoch: u32,
}

/// Draws batches.
#[derive(Clone, Debug)]
pub struct Sampler {
    kind: SamplerKind,
    seed: u64,
    stream: Stream,
    batch: usize,
    /// Epochs: the order of epoch `cached`. Independent: 0, 1, 2, ... between two calls.
    order: Vec<u32>,
    cached: Option<u64>,
}

impl Sampler {
    /// A sampler of batches of `batch` out of `count` images.
    ///
    /// # Errors
    /// [`Error::Config`] for a batch of 0, and for one larger than the set.
    pub fn new(kind: SamplerKind, seed: u64, count: usize, batch: usize) -> Result<Self> {
        if batch == 0 {
            return Err(Error::Config("a batch size of 0; it must be at least 1".into()));
        }
        if batch > count {
            return Err(Error::Config(format!(
                "a batch of {batch} images is larger than the training set of {count}; set a batch size of at most {count}",
            )));
        }
        if u32::try_from(count).is_err() {
            return Err(Error::Data(format!("{count} images; at most {} can be numbered", u32::MAX)));
        }
        Ok(Self { kind, seed, stream: Stream::Shuffle, batch, order: (0..count as u32).collect(), cached: None })
    }

    /// The same, in another order: that of another stream of random numbers.
    #[must_use]
    pub fn on(self, stream: Stream) -> Self {
        Self { stream, cached: None, ..self }
    }

    /// Number of images drawn from.
    pub fn count(&self) -> usize {
        self.order.len()
    }

    /// Images in a batch.
    pub fn batch_size(&self) -> usize {
        self.batch
    }

    /// The images of batch `step` (from 0). The same for the same seed, kind, count, batch size and step, whatever was
    /// asked before.
    pub fn batch(&mut self, step: u64) -> Vec<Draw> {
        match self.kind {
            SamplerKind::Epochs => self.epochs(step),
            SamplerKind::Independent => self.independent(step),
        }
    }

    /// Position `p = step·B + i` of the endless order is place `p mod N` of epoch `p / N`: the batch size has no part
    /// in the order.
    fn epochs(&mut self, step: u64) -> Vec<Draw> {
        let count = self.order.len() as u64;
        let first = step * self.batch as u64;
        (first..first + self.batch as u64)
            .map(|position| {
                let epoch = position / count;
                if self.cached != Some(epoch) {
                    self.order.iter_mut().zip(0..).for_each(|(place, i)| *place = i);
                    Sequence::new(self.seed, self.stream, epoch).shuffle(&mut self.order);
                    self.cached = Some(epoch);
                }
                Draw { index: self.order[(position % count) as usize], epoch: epoch as u32 }
            })
            .collect()
    }

    /// The first `B` steps of a Fisher–Yates shuffle, undone afterwards: work grows with B and not with N.
    fn independent(&mut self, step: u64) -> Vec<Draw> {
        let mut sequence = Sequence::new(self.seed, self.stream, step);
        let count = self.order.len();
        let mut swaps = Vec::with_capacity(self.batch);
        let draws = (0..self.batch)
            .map(|i| {
                let j = i + sequence.below((count - i) as u32) as usize;
                self.order.swap(i, j);
                swaps.push((i, j));
                Draw { index: self.order[i], epoch: step as u32 }
            })
            .collect();
        for (i, j) in swaps.into_iter().rev() {
            self.order.swap(i, j);
        }
        draws
    }
}

/// The pixels of the drawn images, `[B, H, W, C]`.
///
/// # Panics
/// When an index is not below `set.count()`.
pub fn gather_pixels(set: &ImageSet, draws: &[Draw]) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(draws.len() * set.image_bytes());
    for draw in draws {
        pixels.extend_from_slice(set.image(draw.index as usize));
    }
    pixels
}

/// The labels of the drawn images, `[B]`.
///
/// # Panics
/// When an index is not below `set.count()`.
pub fn gather_labels(set: &ImageSet, draws: &[Draw]) -> Vec<u32> {
    draws.iter().map(|draw| set.labels[draw.index as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::super::set::tests::small;
    use super::*;

    fn draws(kind: SamplerKind, seed: u64, count: usize, batch: usize, steps: u64) -> Vec<Draw> {
        let mut sampler = Sampler::new(kind, seed, count, batch).unwrap();
        (0..steps).flat_map(|s| sampler.batch(s)).collect()
    }

    #[test]
    fn each_epoch_is_a_permutation_of_its_own() {
        let all = draws(SamplerKind::Epochs, 1, 10, 4, 10);
        let epochs: Vec<Vec<u32>> = all.chunks(10).map(|e| e.iter().map(|d| d.index).collect()).collect();
        for (number, (epoch, drawn)) in epochs.iter().zip(all.chunks(10)).enumerate() {
            let mut sorted = epoch.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
            assert!(drawn.iter().all(|d| d.epoch == number as u32));
        }
        assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2]);
        assert_ne!(all, draws(SamplerKind::Epochs, 2, 10, 4, 10));
    }

    #[test]
    fn another_stream_is_another_order() {
        for kind in [SamplerKind::Epochs, SamplerKind::Independent] {
            let mut sampler = Sampler::new(kind, 4, 30, 30).unwrap();
            let first = sampler.batch(0);
            assert_ne!(sampler.on(Stream::MetaShuffle).batch(0), first, "{kind:?}");
        }
    }

    #[test]
    fn order_does_not_depend_on_the_batch_size() {
        assert_eq!(draws(SamplerKind::Epochs, 5, 12, 3, 20), draws(SamplerKind::Epochs, 5, 12, 10, 6));
    }

    #[test]
    fn a_step_is_the_same_whatever_came_before() {
        for kind in [SamplerKind::Epochs, SamplerKind::Independent] {
            let all = draws(kind, 9, 20, 8, 12);
            let mut sampler = Sampler::new(kind, 9, 20, 8).unwrap();
            for step in [11u64, 0, 7, 2, 7] {
                assert_eq!(sampler.batch(step), all[step as usize * 8..][..8], "{kind:?} {step}");
            }
        }
    }

    #[test]
    fn independent_batches_do_not_repeat_inside_and_cover_evenly() {
        let (count, batch, steps) = (10, 4, 5000);
        let mut counts = vec![0; count];
        let mut first = vec![0; count];
        for (step, drawn) in draws(SamplerKind::Independent, 3, count, batch, steps).chunks(batch).enumerate() {
            let unique: std::collections::HashSet<u32> = drawn.iter().map(|d| d.index).collect();
            assert_eq!(unique.len(), batch);
            assert!(drawn.iter().all(|d| d.epoch == step as u32));
            drawn.iter().for_each(|d| counts[d.index as usize] += 1);
            first[drawn[0].index as usize] += 1;
        }
        // Expected 2000 of each (standard deviation 35), and 500 of each in the first place (21); five deviations.
        assert!(counts.iter().all(|&n| (1825..=2175).contains(&n)), "{counts:?}");
        assert!(first.iter().all(|&n| (394..=606).contains(&n)), "{first:?}");
    }

    #[test]
    fn a_batch_of_everything_and_one_too_many() {
        let mut all: Vec<u32> = draws(SamplerKind::Independent, 0, 7, 7, 1).iter().map(|d| d.index).collect();
        all.sort_unstable();
        assert_eq!(all, (0..7).collect::<Vec<_>>());
        let error = Sampler::new(SamplerKind::Epochs, 0, 100, 128).unwrap_err();
        assert!(matches!(error, Error::Config(_)), "{error:?}");
        assert!(error.to_string().contains("128") && error.to_string().contains("100"), "{error}");
        assert!(Sampler::new(SamplerKind::Epochs, 0, 100, 0).is_err());
    }

    #[test]
    fn gathered_images_are_the_drawn_ones() {
        let set = small(5, 3, 5);
        let draws = [Draw { index: 3, epoch: 0 }, Draw { index: 0, epoch: 1 }];
        assert_eq!(gather_pixels(&set, &draws), [set.image(3), set.image(0)].concat());
        assert_eq!(gather_labels(&set, &draws), [3, 0]);
    }
}
