//! Images of random patches and noise: what benches and the profiler run on without data on disk.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::trainer_on;
use crate::base::philox::{Sequence, Stream};
use crate::base::{Error, Result};
use crate::data::ImageSet;
use crate::gpu::Engine;
use crate::train::Trainer;
use crate::train::config::Config;
use crate::train::datasets::Datasets;

/// Sizes of made-up images: `HxWxC`, and `:N` classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noise {
    /// Height, width, channels.
    pub image: [usize; 3],
    /// N.
    pub classes: usize,
}

impl Default for Noise {
    /// CIFAR-10's.
    fn default() -> Self {
        Self { image: [32, 32, 3], classes: 10 }
    }
}

impl fmt::Display for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [height, width, channels] = self.image;
        write!(f, "{height}x{width}x{channels}:{}", self.classes)
    }
}

impl FromStr for Noise {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |what: String| {
            Error::Config(format!(
                "images of `{text}`: {what}; expected HEIGHTxWIDTHxCHANNELS:CLASSES, such as 32x32x3:10 (10 classes where \
                 none are given)"
            ))
        };
        let (image, classes) = text.split_once(':').unwrap_or((text, "10"));
        let sizes: Vec<&str> = image.split('x').collect();
        let [height, width, channels] = sizes[..] else {
            return Err(wrong(format!("`{image}` is not three sizes")));
        };
        let number = |name: &str, text: &str, most: usize| {
            let number = text.parse().ok().filter(|number| (1..=most).contains(number));
            number.ok_or_else(|| wrong(format!("the {name} must be a number from 1 to {most}, not `{text}`")))
        };
        let image = [
            number("height", height, MOST_SIDE)?,
            number("width", width, MOST_SIDE)?,
            number("channels", channels, 3)?,
        ];
        if image[2] == 2 {
            return Err(wrong("the channels must be 1 or 3, not 2".into()));
        }
        Ok(Self { image, classes: number("classes", classes, MOST_CLASSES)? })
    }
}

impl Noise {
    /// `count` images of random patches with noise: of noise alone all images look alike to a network, and batch-norm
    /// divides by next to nothing.
    pub fn images(&self, count: usize) -> Datasets {
        let [height, width, channels] = self.image;
        let mut random = Sequence::new(0, Stream::Test, 0);
        let mut pixels = Vec::with_capacity(count * height * width * channels);
        for _ in 0..count {
            let patches: Vec<u32> = (0..PATCHES * PATCHES * channels).map(|_| random.below(192)).collect();
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                let patch = y * PATCHES / height * PATCHES + x * PATCHES / width;
                pixels.extend((0..channels).map(|c| (patches[patch * channels + c] + random.below(64)) as u8));
            }
        }
        let set = ImageSet {
            name: "noise".into(),
            height,
            width,
            channels,
            pixels,
            labels: (0..count).map(|i| (i % self.classes) as u32).collect(),
            classes: (0..self.classes).map(|i| i.to_string()).collect(),
            finer: Vec::new(),
            files: Vec::new(),
            skipped: Vec::new(),
            ignored: 0,
        };
        let half = vec![0.5; channels];
        Datasets { train: Arc::new(set), validation: None, test: None, mean: half.clone(), std: half }
    }

    /// A trainer for a config on noise in place of its data: 512 images, fewer of large ones, but a batch at least.
    ///
    /// # Errors
    /// When the settings do not fit together or the device has no room.
    pub fn trainer(&self, engine: &Arc<Engine>, config: Config) -> Result<Trainer> {
        let count = (1 << 21) / self.image.iter().product::<usize>();
        let count = count.min(512).max(config.train.batch);
        trainer_on(engine, config, self.images(count))
    }
}

/// `[model]` of the demo network, that of `assets/configs/sla_demo.toml`.
pub const DEMO: &str = "name = \"convnet\"\nwidths = [16, 32, 64, 128]\nstrides = [2, 2, 2, 2]";
/// Its widths.
pub const DEMO_WIDTHS: [usize; 4] = [16, 32, 64, 128];
/// Its strides.
pub const DEMO_STRIDES: [usize; 4] = [2; 4];
/// Height, width and channels of the images that it sees.
pub const DEMO_IMAGE: [usize; 3] = [28, 28, 1];
/// The largest height and width.
const MOST_SIDE: usize = 8192;
/// The most classes.
const MOST_CLASSES: usize = 1 << 20;
/// Patches of an image, each way.
const PATCHES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        let noise = |text: &str| text.parse::<Noise>().map(|n| n.to_string());
        assert_eq!(noise("28x30x1:7").ok().as_deref(), Some("28x30x1:7"));
        assert_eq!(noise("32x32x3").ok().as_deref(), Some("32x32x3:10"));
        for (wrong, part) in [
            ("", "`` is not three sizes"),
            ("32x32", "`32x32` is not three sizes"),
            ("32x32x2:10", "the channels must be 1 or 3, not 2"),
            ("32x32x4", "the channels must be a number from 1 to 3, not `4`"),
            ("0x3x3", "the height must be a number from 1 to 8192, not `0`"),
            ("40000x40000x3:5", "the height must be a number from 1 to 8192, not `40000`"),
            ("3x9999x1", "the width must be a number from 1 to 8192, not `9999`"),
            ("axbx3", "the height must be a number from 1 to 8192, not `a`"),
            ("32x32x3:", "the classes must be a number from 1 to 1048576, not ``"),
            ("32x32x3:999999999", "the classes must be a number from 1 to 1048576, not `999999999`"),
        ] {
            let error = noise(wrong).expect_err(wrong).to_string();
            assert!(error.contains(part) && error.contains("32x32x3:10"), "{error}");
        }
    }

    #[test]
    fn the_demo_network_is_that_of_the_demo() {
        assert_eq!(DEMO, format!("name = \"convnet\"\nwidths = {DEMO_WIDTHS:?}\nstrides = {DEMO_STRIDES:?}"));
        for text in [
            include_str!("../../assets/configs/baseline_demo.toml"),
            include_str!("../../assets/configs/sla_demo.toml"),
            include_str!("../../assets/configs/sla_sd_demo.toml"),
        ] {
            assert!(text.contains(&format!("[model]\n{DEMO}\n")), "{text}");
        }
    }
}
