//! Which part of an image is taken, and what each of its pixels is made of: `Resize`, `CenterCrop`, `RandomCrop` and
//! `RandomResizedCrop` of torchvision, on float tensors. Host side and float64 twin of `crop_taps` and `resized_crop`.
//!
//! Resizing is bilinear and antialiased, as `torch.nn.functional.interpolate(mode="bilinear", antialias=True,
//! align_corners=False)`: a triangle of half-width `max(1, in/out)` source pixels, cut at the image's (or the crop's)
//! edge, its weights divided by their sum; rows and columns apart. All positions are ratios of integers, so which
//! pixels count is found in integers, the same on every adapter.

use crate::base::philox::{self, Stream, below, unit};
use crate::base::{Error, Result};

/// Tries of a random-resized crop before its centre is taken.
pub const TRIES: u32 = 10;
/// The longest side after the first resize, so that positions stay below 2³¹.
pub const LONGEST: usize = 16_384;

/// Which part of the (resized) image becomes the crop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// The centre, as `CenterCrop`: half a pixel goes to the even side.
    Centre,
    /// A random place of the image with `padding` black pixels around it, as `RandomCrop(out, padding)`.
    Padded {
        /// Pixels on each side.
        padding: usize,
    },
    /// A random part of a random area and aspect ratio, resized, as `RandomResizedCrop(out, scale, ratio)`.
    RandomResized {
        /// Bounds of the part's area, as fractions of the image's.
        scale: [f32; 2],
        /// Bounds of width / height, drawn log-uniformly.
        ratio: [f32; 2],
    },
}

/// From stored image to crop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    /// H and W of the stored images.
    pub size: [usize; 2],
    /// The shorter side is first resized to this; 0 leaves the image as it is.
    pub resize: usize,
    /// OH and OW.
    pub out: [usize; 2],
    /// Which part.
    pub place: Place,
    /// Seed of the random place and flip.
    pub seed: u64,
    /// Whether an image is mirrored with probability 1/2.
    pub flip: bool,
}

/// A part of an image: its upper left corner (which may lie outside for padded crops), its size, and whether it is
/// mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Row and column of the first pixel.
    pub first: [i64; 2],
    /// Height and width.
    pub size: [usize; 2],
    /// Flipped left to right.
    pub mirrored: bool,
}

/// Where a centre crop of `out` begins in `size`: `round((size − out) / 2)`, halves to the even side, as torchvision.
pub fn centre(size: usize, out: usize) -> i64 {
    let free = size as i64 - out as i64;
    let half = free.div_euclid(2);
    half + (free & half & 1)
}

/// `[H, W]` with the shorter side resized to `side`, the other in proportion, rounded down; 0 changes nothing.
pub fn resized(size: [usize; 2], side: usize) -> [usize; 2] {
    let [h, w] = size;
    match side {
        0 => size,
        _ if h <= w => [side, side * w / h],
        _ => [side * h / w, side],
    }
}

/// The part that is taken when ten tries fail: the largest centred one within the bounds of the ratio.
pub fn fallback([height, width]: [usize; 2], ratio: [f32; 2]) -> Part {
    let seen = width as f64 / height as f64;
    let [low, high] = ratio.map(f64::from);
    // A very flat image and a ratio near its own could round past the image.
    let whole = |v: f64, most: usize| (v.round_ties_even() as usize).clamp(1, most);
    let size = if seen < low {
        [whole(width as f64 / low, height), width]
    } else if seen > high {
        [height, whole(height as f64 * high, width)]
    } else {
        [height, width]
    };
    Part { first: [(height - size[0]) / 2, (width - size[1]) / 2].map(|v| v as i64), size, mirrored: false }
}

/// Height and width of a try's part, before they are rounded.
pub(crate) fn random_sides([height, width]: [usize; 2], scale: [f32; 2], ratio: [f32; 2], words: [u32; 4]) -> [f64; 2] {
    let between = |[low, high]: [f64; 2], word: u32| low + (high - low) * f64::from(unit(word));
    let area = (height * width) as f64 * between(scale.map(f64::from), words[0]);
    let aspect = between(ratio.map(|r| f64::from(r).ln()), words[1]).exp();
    [(area / aspect).sqrt(), (area * aspect).sqrt()]
}

/// The part that `RandomResizedCrop.get_params` takes of an image; `words(t)` are the random words of try `t`: area,
/// ratio, row, column.
pub fn random_part(image: [usize; 2], scale: [f32; 2], ratio: [f32; 2], words: impl Fn(u32) -> [u32; 4]) -> Part {
    let [height, width] = image;
    for t in 0..TRIES {
        let word = words(t);
        let [h, w] = random_sides(image, scale, ratio, word).map(|side| side.round_ties_even() as usize);
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            let first = [below(word[2], (height - h + 1) as u32), below(word[3], (width - w + 1) as u32)];
            return Part { first: first.map(i64::from), size: [h, w], mirrored: false };
        }
    }
    fallback(image, ratio)
}

impl Crop {
    /// Refuses what has no pixels or would overflow the device's integers.
    ///
    /// # Errors
    /// [`Error::Config`] with the sizes.
    pub fn check(&self) -> Result<()> {
        let (Self { size, out, .. }, mid) = (self, self.resized());
        if [*size, *out, mid].iter().flatten().any(|n| !(1..=LONGEST).contains(n)) {
            return Err(Error::Config(format!(
                "crops of {out:?} from images of {size:?}, resized to {mid:?}: sides go from 1 to {LONGEST}"
            )));
        }
        let room = match self.place {
            Place::Centre => mid,
            Place::Padded { padding } => mid.map(|n| n + 2 * padding),
            Place::RandomResized { .. } => return Ok(()),
        };
        if out[0] > room[0] || out[1] > room[1] {
            let padded = if room == mid { String::new() } else { format!(", {room:?} with their padding") };
            return Err(Error::Config(format!(
                "a crop of {}x{} does not fit into images of {}x{}{padded} (height x width)",
                out[0], out[1], mid[0], mid[1]
            )));
        }
        Ok(())
    }

    /// H and W after the first resize.
    pub fn resized(&self) -> [usize; 2] {
        resized(self.size, self.resize)
    }

    /// The part of the resized image that a draw takes.
    pub fn part(&self, sample: u32, epoch: u32) -> Part {
        let mid = self.resized();
        let key = philox::key(self.seed, Stream::Augment);
        let words = |block: u32| philox::philox4x32([sample, epoch, block, 0], key);
        let mirrored = self.flip && self.place != Place::Centre && words(0)[2] >> 31 == 1;
        match self.place {
            Place::Centre => {
                Part { first: [centre(mid[0], self.out[0]), centre(mid[1], self.out[1])], size: self.out, mirrored }
            }
            Place::Padded { padding } => {
                let word = words(0);
                let start = |axis: usize| {
                    let places = mid[axis] + 2 * padding - self.out[axis] + 1;
                    i64::from(below(word[axis], places as u32)) - padding as i64
                };
                Part { first: [start(0), start(1)], size: self.out, mirrored }
            }
            Place::RandomResized { scale, ratio } => {
                Part { mirrored, ..random_part(mid, scale, ratio, |t| words(1 + t)) }
            }
        }
    }

    /// The most source pixels that one output pixel can be made of, along either axis.
    pub fn most_taps(&self) -> usize {
        let mid = self.resized();
        let axis = |a: usize| {
            let (n, m, o) = (self.size[a], mid[a], self.out[a]);
            let cropped = match self.place {
                // A triangle of half-width s covers at most ceil(2 s) pixels.
                Place::RandomResized { .. } => (2 * m.max(o)).div_ceil(o),
                _ => 1,
            };
            if n == m { cropped.min(m) } else { ((cropped - 1) * n + 2 * n.max(m)).div_ceil(m).min(n) }
        };
        axis(0).max(axis(1))
    }
}

/// Source pixels and weights of output pixel `o` when `input` pixels become `output`; none has the weight 0 but the
/// last. Twin in float64 of the same function of `crop_taps.wgsl`.
pub fn triangle(input: usize, output: usize, o: usize) -> Vec<(usize, f64)> {
    if input == output {
        return vec![(o, 1.0)];
    }
    let [input, output, o] = [input, output, o].map(|v| v as i64);
    let wide = input.max(output);
    let centre = input * (2 * o + 1);
    let low = (centre - 2 * wide + output).max(0) / (2 * output);
    let high = ((centre + 2 * wide + output) / (2 * output)).min(input);
    let height = |j: i64| (2 * wide - ((2 * j + 1) * output - centre).abs()) as f64;
    let total: f64 = (low..high).map(height).sum();
    (low..high).map(|j| (j as usize, height(j) / total)).collect()
}

/// The weights of all `size` source pixels in output pixel `o` along one axis: first resize, crop from `first` of
/// `length` pixels, second resize. All zero outside the image.
pub fn weights(size: usize, mid: usize, first: i64, length: usize, out: usize, o: usize) -> Vec<f64> {
    let mut all = vec![0.0; size];
    for (r, outer) in triangle(length, out, o) {
        let r = first + r as i64;
        if (0..mid as i64).contains(&r) {
            for (s, inner) in triangle(size, mid, r as usize) {
                all[s] += outer * inner;
            }
        }
    }
    all
}

/// Crops and resizes one image `[H, W, C]` in float64; every axis by its weights.
pub fn sample(image: &[f64], channels: usize, crop: &Crop, part: Part) -> Vec<f64> {
    let ([h, w], mid, [oh, ow]) = (crop.size, crop.resized(), crop.out);
    let axis = |a: usize| -> Vec<Vec<f64>> {
        (0..crop.out[a]).map(|o| weights(crop.size[a], mid[a], part.first[a], part.size[a], crop.out[a], o)).collect()
    };
    let (down, mut across) = (axis(0), axis(1));
    if part.mirrored {
        across.reverse();
    }
    let mut rows = vec![0.0; h * ow * channels];
    for (i, value) in rows.iter_mut().enumerate() {
        let (y, x, c) = (i / (ow * channels), i / channels % ow, i % channels);
        *value = (0..w).map(|s| across[x][s] * image[(y * w + s) * channels + c]).sum();
    }
    let mut out = vec![0.0; oh * ow * channels];
    for (i, value) in out.iter_mut().enumerate() {
        let (y, rest) = (i / (ow * channels), i % (ow * channels));
        *value = (0..h).map(|s| down[y][s] * rows[s * ow * channels + rest]).sum();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: [f32; 2] = [0.2, 1.0];
    const RATIO: [f32; 2] = [0.75, 4.0 / 3.0];

    fn crop(size: [usize; 2], resize: usize, out: [usize; 2], place: Place) -> Crop {
        Crop { size, resize, out, place, seed: 3, flip: true }
    }

    /// Area and ratio cover their ranges evenly, corners reach every place, half are mirrored, and all depend on sample,
    /// epoch and seed.
    #[test]
    fn random_resized_crops_cover_their_ranges() {
        let crop = crop([256, 256], 0, [224, 224], Place::RandomResized { scale: SCALE, ratio: RATIO });
        let parts: Vec<Part> = (0..20_000).map(|i| crop.part(i, 5)).collect();
        let n = parts.len() as f64;
        let ratios: Vec<f64> = parts.iter().map(|p| (p.size[1] as f64 / p.size[0] as f64).ln()).collect();
        let areas: Vec<f64> = parts.iter().map(|p| (p.size[0] * p.size[1]) as f64 / 65_536.0).collect();
        let (low, high) = (0.75f64.ln(), (4.0f64 / 3.0).ln());
        // A try is refused when a side passes the image, which only large areas do: below 0.7 areas are uniform.
        assert!(areas.iter().all(|a| (0.195..=1.0).contains(a)), "areas leave their range");
        assert!(ratios.iter().all(|r| (low - 0.02..=high + 0.02).contains(r)), "ratios leave their range");
        let small: Vec<f64> = areas.iter().copied().filter(|&a| a < 0.7).collect();
        for tenth in 0..5 {
            let from = 0.2 + 0.1 * f64::from(tenth);
            let share = small.iter().filter(|&&a| (from..from + 0.1).contains(&a)).count() as f64 / small.len() as f64;
            assert!((share - 0.2).abs() < 0.015, "areas from {from}: {share}");
        }
        let narrow = ratios.iter().zip(&areas).filter(|(_, a)| **a < 0.7).map(|(r, _)| (r - low) / (high - low));
        let mean = narrow.clone().sum::<f64>() / narrow.count() as f64;
        assert!((mean - 0.5).abs() < 0.01, "log-ratios of small crops have their mean at {mean}");
        for axis in 0..2 {
            let place = |p: &Part| (p.first[axis] as f64 + 0.5) / (256 - p.size[axis] + 1) as f64;
            let mean = parts.iter().map(place).sum::<f64>() / n;
            assert!((mean - 0.5).abs() < 0.01, "axis {axis}: corners have their mean at {mean}");
            assert!(parts.iter().all(|p| p.first[axis] >= 0 && p.first[axis] as usize + p.size[axis] <= 256));
        }
        let mirrored = parts.iter().filter(|p| p.mirrored).count() as f64 / n;
        assert!((mirrored - 0.5).abs() < 0.015, "{mirrored} mirrored");
        assert_ne!(parts[..100], (0..100).map(|i| crop.part(i, 6)).collect::<Vec<_>>()[..]);
        let other = Crop { seed: 4, ..crop };
        assert_ne!(parts[..100], (0..100).map(|i| other.part(i, 5)).collect::<Vec<_>>()[..]);
    }

    /// An image too flat for any part within the ratio's bounds gives the centred fallback.
    #[test]
    fn flat_images_fall_back_to_the_centre() {
        let place = Place::RandomResized { scale: [1.0, 1.0], ratio: RATIO };
        let part = crop([10, 100], 0, [8, 8], place).part(1, 1);
        assert_eq!((part.first, part.size), ([0, 43], [10, 13]));
        let part = crop([100, 10], 0, [8, 8], place).part(1, 1);
        assert_eq!((part.first, part.size), ([43, 0], [13, 10]));
        assert_eq!(fallback([1, 1], [1.5, 2.0]).size, [1, 1]);
    }

    /// No crop of any size needs more source pixels than announced, and one needs as many.
    #[test]
    fn taps_are_bounded() {
        for (size, resize, out) in [(32, 256, 224), (40, 32, 28), (17, 17, 5), (9, 23, 40), (50, 20, 7), (28, 0, 28)] {
            let all = crop([size, size], resize, [out, out], Place::RandomResized { scale: SCALE, ratio: RATIO });
            let mid = all.resized()[0];
            let mut most = 0;
            for length in 1..=mid {
                for first in [0, (mid - length) / 2, mid - length] {
                    for o in 0..out {
                        let weights = weights(size, mid, first as i64, length, out, o);
                        let start = weights.iter().position(|w| *w > 0.0).expect("a weight");
                        let end = weights.iter().rposition(|w| *w > 0.0).expect("a weight");
                        most = most.max(end - start + 1);
                        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                    }
                }
            }
            assert!(most <= all.most_taps(), "{size} to {mid} to {out}: {most} > {}", all.most_taps());
            assert!(most + 1 >= all.most_taps(), "{size} to {mid} to {out}: {most} << {}", all.most_taps());
        }
    }

    #[test]
    fn sizes_follow_torchvision() {
        assert_eq!(resized([32, 32], 256), [256, 256]);
        assert_eq!(resized([375, 500], 256), [256, 341]);
        assert_eq!(resized([500, 375], 256), [341, 256]);
        assert_eq!([centre(256, 224), centre(9, 6), centre(9, 8), centre(10, 5)], [16, 2, 0, 2]);
    }

    #[test]
    fn misfits_are_refused() {
        let text = crop([32, 32], 0, [224, 224], Place::Centre).check().expect_err("too large").to_string();
        assert!(text.contains("224x224") && text.contains("32x32"), "{text}");
        let padded = Place::Padded { padding: 2 };
        assert!(crop([32, 32], 0, [36, 36], padded).check().is_ok());
        let text = crop([32, 32], 0, [37, 36], padded).check().expect_err("too large").to_string();
        assert!(text.contains("[36, 36] with their padding"), "{text}");
        assert!(crop([1, 8000], 8000, [8, 8], Place::Centre).check().is_err(), "the long side passes the limit");
        let any = Place::RandomResized { scale: SCALE, ratio: RATIO };
        assert!(crop([32, 32], 0, [224, 224], any).check().is_ok());
    }
}
