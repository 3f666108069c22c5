//! `[augment]`: what is done to images on their way into the network.

use serde::{Deserialize, Serialize};

use super::section::{Fault, Section, need};

/// Random crops of a training image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CropKind {
    /// Of the image with zeros around it, as torchvision's `RandomCrop`.
    Padded,
    /// A part of random area and aspect ratio, resized, as torchvision's `RandomResizedCrop`.
    RandomResized,
}

/// `[augment]`: the size of the network's input, and what is done to a training image each time it is drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Augment {
    /// The shorter side is first resized to this, in training and evaluation, 0 to 8192; 0 leaves the images' size.
    pub resize: usize,
    /// Side of the square that the network sees, 0 to 8192; 0 takes the (resized) image's own size.
    pub crop_size: usize,
    /// `padded | random_resized`.
    pub crop: CropKind,
    /// Padded: zeros added on each side before a random crop, in pixels, 0 to 1024.
    pub crop_padding: usize,
    /// Random-resized: bounds of the part's area, as fractions of the image's, above 0 to 1.
    pub scale: [f64; 2],
    /// Random-resized: bounds of the part's width / height.
    pub ratio: [f64; 2],
    /// Flip left to right with probability 1/2.
    pub flip: bool,
    /// Colour jitter: brightness times 1 − b to 1 + b, b from 0 to 10.
    pub brightness: f64,
    /// Colour jitter: contrast, likewise.
    pub contrast: f64,
    /// Colour jitter: saturation, likewise.
    pub saturation: f64,
    /// Colour jitter: hue turned by up to this part of the circle, 0 to 0.5.
    pub hue: f64,
    /// Probability of an image without colour, 0 to 1.
    pub greyscale: f64,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            resize: 0,
            crop_size: 0,
            crop: CropKind::Padded,
            crop_padding: 4,
            scale: [0.08, 1.0],
            ratio: [0.75, 1.333_333_333_333_333_3],
            flip: true,
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            hue: 0.0,
            greyscale: 0.0,
        }
    }
}

impl Section for Augment {
    fn check(&self) -> Result<(), Fault> {
        let side = "at most 8192 pixels, or 0 for the images' own size";
        need(self.resize <= 8192, "resize", self.resize, side)?;
        need(self.crop_size <= 8192, "crop_size", self.crop_size, side)?;
        if self.resize > 0 {
            let allowed = format!("at most `augment.resize`, which is {}", self.resize);
            need(self.crop_size <= self.resize, "crop_size", self.crop_size, allowed)?;
        }
        need(self.crop_padding <= 1024, "crop_padding", self.crop_padding, "at most 1024 pixels")?;
        let [low, high] = self.scale;
        let scale = low > 0.0 && low <= high && high <= 1.0;
        need(scale, "scale", format!("{:?}", self.scale), "two numbers above 0 and at most 1, in ascending order")?;
        let [low, high] = self.ratio;
        let ratio = (0.01..=100.0).contains(&low) && (low..=100.0).contains(&high);
        need(ratio, "ratio", format!("{:?}", self.ratio), "two numbers from 0.01 to 100, in ascending order")?;
        for (key, strength) in
            [("brightness", self.brightness), ("contrast", self.contrast), ("saturation", self.saturation)]
        {
            need((0.0..=10.0).contains(&strength), key, strength, "from 0 to 10")?;
        }
        need((0.0..=0.5).contains(&self.hue), "hue", self.hue, "from 0 to 0.5 (half of the circle)")?;
        need((0.0..=1.0).contains(&self.greyscale), "greyscale", self.greyscale, "a probability from 0 to 1")
    }
}
