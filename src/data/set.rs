//! A set of labelled images in host memory, and what can be said about it.

use rayon::prelude::*;

use super::finer::Finer;
use crate::base::{Error, Result};

/// Labelled images of one size: bytes, row-major, `[count, H, W, C]`.
///
/// A loader of this module gives a set in which every label is below `classes.len()` and `pixels` has exactly
/// `count()·H·W·C` bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSet {
    /// What the set is called in messages: the last part of its path.
    pub name: String,
    /// H, in pixels.
    pub height: usize,
    /// W, in pixels.
    pub width: usize,
    /// C: 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// All images, one after the other: `[count, H, W, C]`, 0 to 255.
    pub pixels: Vec<u8>,
    /// The class of each image.
    pub labels: Vec<u32>,
    /// The name of each class; its number stands in where the data has no names.
    pub classes: Vec<String>,
    /// Finer labels that came with the data, the finest first.
    pub finer: Vec<Finer>,
    /// The file of each image, relative to the set's folder; empty for formats that hold many images in a file.
    pub files: Vec<String>,
    /// Images that were left out because they could not be decoded.
    pub skipped: Vec<Skipped>,
    /// Number of files of other types that lay between the images.
    pub ignored: usize,
}

/// The one class of images without labels.
pub const UNLABELLED: &str = "unlabelled";

/// An image that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its path.
    pub file: String,
    /// The decoder's answer.
    pub reason: String,
}

/// Per-channel mean and standard deviation of pixels scaled to [0, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct Normalisation {
    /// One mean for each channel.
    pub mean: Vec<f64>,
    /// One standard deviation for each channel, over all pixels (not the unbiased estimate); 1 for a constant channel.
    pub std: Vec<f64>,
}

impl ImageSet {
    /// Whether the images came without labels: all are of the one class [`UNLABELLED`].
    pub fn is_unlabelled(&self) -> bool {
        self.classes == [UNLABELLED]
    }

    /// Number of images.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// Bytes of one image: H·W·C.
    pub fn image_bytes(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// The bytes of image `index`: `[H, W, C]`.
    ///
    /// # Panics
    /// When `index` is not below [`ImageSet::count`].
    pub fn image(&self, index: usize) -> &[u8] {
        let bytes = self.image_bytes();
        &self.pixels[index * bytes..(index + 1) * bytes]
    }

    /// Number of images of each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for &label in &self.labels {
            counts[label as usize] += 1;
        }
        counts
    }

    /// The images at `indices`, in that order, under the same classes.
    ///
    /// # Panics
    /// When an index is not below [`ImageSet::count`].
    pub fn subset(&self, indices: &[u32]) -> Self {
        let mut pixels = Vec::with_capacity(indices.len() * self.image_bytes());
        for &i in indices {
            pixels.extend_from_slice(self.image(i as usize));
        }
        let files = if self.files.is_empty() {
            Vec::new()
        } else {
            indices.iter().map(|&i| self.files[i as usize].clone()).collect()
        };
        Self {
            name: self.name.clone(),
            height: self.height,
            width: self.width,
            channels: self.channels,
            pixels,
            labels: indices.iter().map(|&i| self.labels[i as usize]).collect(),
            classes: self.classes.clone(),
            finer: self.finer.iter().map(|finer| finer.subset(indices)).collect(),
            files,
            skipped: Vec::new(),
            ignored: 0,
        }
    }

    /// A number that differs when sizes, class names, labels or any pixel differ, so that a resumed run notices other
    /// data. Not meant against forgery. FNV-1a over words of eight bytes: each step is one-to-one in the word, so a
    /// change of one word always shows.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Fnv::default();
        for size in [self.height, self.width, self.channels, self.count(), self.classes.len()] {
            hash.word(size as u64);
        }
        for class in &self.classes {
            hash.word(class.len() as u64);
            hash.bytes(class.as_bytes());
        }
        for &label in &self.labels {
            hash.word(u64::from(label));
        }
        hash.bytes(&self.pixels);
        hash.0
    }

    /// Mean and standard deviation of each channel, from exact integer sums (so the order of work has no part in it).
    pub fn normalisation(&self) -> Normalisation {
        let channels = self.channels;
        let zero = || vec![[0u64; 2]; channels];
        let sums = self
            .pixels
            .par_chunks(channels * (1 << 18))
            .map(|part| {
                let mut sums = zero();
                for pixel in part.chunks_exact(channels) {
                    for (sum, &x) in sums.iter_mut().zip(pixel) {
                        sum[0] += u64::from(x);
                        sum[1] += u64::from(x) * u64::from(x);
                    }
                }
                sums
            })
            .reduce(zero, |a, b| a.iter().zip(&b).map(|(a, b)| [a[0] + b[0], a[1] + b[1]]).collect());
        let n = (self.count() * self.height * self.width).max(1) as f64;
        let mean: Vec<f64> = sums.iter().map(|s| s[0] as f64 / n / 255.0).collect();
        let std = sums
            .iter()
            .map(|s| {
                // n·Σx² − (Σx)² in integers: no cancellation, and exactly zero for a constant channel.
                let spread = n as u128 * u128::from(s[1]) - u128::from(s[0]) * u128::from(s[0]);
                if spread == 0 { 1.0 } else { (spread as f64).sqrt() / n / 255.0 }
            })
            .collect();
        Normalisation { mean, std }
    }

    /// Refuses a set without images, and a class without one unless `allow_empty_classes`.
    pub(super) fn check_content(&self, place: &str, allow_empty_classes: bool) -> Result<()> {
        if self.count() == 0 {
            return Err(Error::Data(format!("{place}: the set has no images")));
        }
        let counts = self.class_counts();
        let empty: Vec<usize> = (0..counts.len()).filter(|&c| counts[c] == 0).collect();
        if empty.is_empty() || allow_empty_classes {
            return Ok(());
        }
        let named: Vec<String> = empty.iter().take(5).map(|&c| format!("{c} ({:?})", self.classes[c])).collect();
        let more = if empty.len() > 5 { format!(" and {} more", empty.len() - 5) } else { String::new() };
        Err(Error::Data(format!(
            "{place}: {} of {} classes have no image: {}{more}; give each class an image, set `data.classes` to the \
             true number, or set `data.allow_empty_classes = true`",
            empty.len(),
            counts.len(),
            named.join(", "),
        )))
    }
}

/// FNV-1a, 64 bits.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        // The product only carries upwards; the fold lets a high byte reach the low ones (and is one-to-one).
        self.0 ^= self.0 >> 32;
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        for &byte in rest {
            self.word(u64::from(byte));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A set with distinct pixels.
    pub fn small(count: usize, channels: usize, classes: u32) -> ImageSet {
        ImageSet {
            name: "small".into(),
            height: 2,
            width: 3,
            channels,
            pixels: (0..count * 6 * channels).map(|i| (i * 7 % 251) as u8).collect(),
            labels: (0..count as u32).map(|i| i % classes).collect(),
            classes: (0..classes).map(|c| c.to_string()).collect(),
            finer: Vec::new(),
            files: Vec::new(),
            skipped: Vec::new(),
            ignored: 0,
        }
    }

    #[test]
    fn fingerprint_sees_every_part() {
        let set = small(5, 3, 2);
        let mut seen = vec![set.fingerprint()];
        let changes: [fn(&mut ImageSet); 6] = [
            |s| s.pixels[0] ^= 128,
            |s| *s.pixels.last_mut().unwrap() ^= 1,
            |s| s.labels[4] = 1,
            |s| s.classes[1] = "one".into(),
            |s| (s.height, s.width) = (3, 2),
            |s| s.pixels.swap(3, 4),
        ];
        for change in changes {
            let mut other = set.clone();
            change(&mut other);
            seen.push(other.fingerprint());
        }
        assert_eq!(seen[0], set.clone().fingerprint());
        let all: std::collections::BTreeSet<u64> = seen.iter().copied().collect();
        assert_eq!(all.len(), seen.len());
    }

    #[test]
    fn normalisation_by_hand() {
        let mut set = small(2, 3, 2);
        for (i, x) in set.pixels.iter_mut().enumerate() {
            *x = [if i < 18 { 0 } else { 255 }, 51, (i / 3) as u8][i % 3];
        }
        let n = set.normalisation();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(n.mean[0], 0.5) && near(n.std[0], 0.5), "{n:?}");
        assert!(near(n.mean[1], 0.2) && n.std[1] == 1.0, "{n:?}");
        // 0 to 11: mean 5.5, variance (12² − 1) / 12.
        assert!(near(n.mean[2], 5.5 / 255.0) && near(n.std[2], (143.0f64 / 12.0).sqrt() / 255.0), "{n:?}");
    }

    #[test]
    fn subset_keeps_order_and_files() {
        let mut set = small(5, 1, 5);
        set.files = (0..5).map(|i| format!("{i}.png")).collect();
        let part = set.subset(&[4, 1]);
        assert_eq!((part.labels.as_slice(), part.count()), ([4, 1].as_slice(), 2));
        assert_eq!(part.files, ["4.png", "1.png"]);
        assert_eq!((part.image(0), part.image(1)), (set.image(4), set.image(1)));
    }
}
