//! From a dataset's bytes to the network's input: which operations do what `[augment]` asks for.

use super::config::{Augment, CropKind};
use crate::base::{Error, Result};
use crate::graph::{Graph, NodeId};
use crate::kernels::colour::Jitter;
use crate::kernels::crop::{Crop, Place};
use crate::kernels::{colour_jitter, decode_augment, resized_crop};

/// How bytes become images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decode {
    crop: Crop,
    channels: usize,
    jitter: Option<Jitter>,
    mean: [f32; 3],
    deviation: [f32; 3],
}

impl Decode {
    /// For stored images `[H, W, C]`: augmented under a seed, or without one as for evaluation: the shorter side
    /// resized, and the centre. Both have the same size.
    ///
    /// # Errors
    /// [`Error::Config`] when the crop does not fit the images; it names the settings and the sizes.
    pub fn new(image: [usize; 3], mean: &[f32], std: &[f32], augment: &Augment, random: Option<u64>) -> Result<Self> {
        let [height, width, channels] = image;
        let spread = |values: &[f32], c: usize| values.get(c).copied().unwrap_or(1.0);
        let place = match augment.crop {
            _ if random.is_none() => Place::Centre,
            CropKind::Padded => Place::Padded { padding: augment.crop_padding },
            CropKind::RandomResized => {
                Place::RandomResized { scale: augment.scale.map(|v| v as f32), ratio: augment.ratio.map(|v| v as f32) }
            }
        };
        let mut crop = Crop {
            size: [height, width],
            resize: augment.resize,
            out: [augment.crop_size; 2],
            place,
            seed: random.unwrap_or(0),
            flip: augment.flip,
        };
        let resized = crop.resized();
        if augment.crop_size == 0 {
            crop.out = resized;
        }
        // Evaluation takes the crop from the image itself, so training must not be asked for more either.
        if crop.out[0] > resized[0] || crop.out[1] > resized[1] {
            let how = if augment.resize == 0 {
                format!("the images are {height}x{width}")
            } else {
                format!(
                    "`augment.resize` = {} makes the images {}x{} (stored as {height}x{width})",
                    augment.resize, resized[0], resized[1]
                )
            };
            return Err(Error::Config(format!(
                "`augment.crop_size` is {} and {how} (height x width): make `augment.resize` at least as large as the \
                 crop",
                augment.crop_size
            )));
        }
        crop.check()?;
        let jitter = random.map(|seed| Jitter {
            brightness: augment.brightness as f32,
            contrast: augment.contrast as f32,
            saturation: augment.saturation as f32,
            hue: augment.hue as f32,
            greyscale: augment.greyscale as f32,
            seed,
        });
        Ok(Self {
            crop,
            channels,
            jitter: jitter.filter(|j| j.changes(channels)),
            mean: [0, 1, 2].map(|c| spread(mean, c)),
            deviation: [0, 1, 2].map(|c| spread(std, c)),
        })
    }

    /// Height, width and channels of the network's input.
    pub fn output(&self) -> [usize; 3] {
        [self.crop.out[0], self.crop.out[1], self.channels]
    }

    /// Appends what makes `(B, H, W, C)` of packed bytes and `draws (B, 4)`.
    ///
    /// # Errors
    /// When shapes do not fit.
    pub fn append(&self, graph: &mut Graph, bytes: NodeId, draws: NodeId) -> Result<NodeId> {
        let (mean, deviation) = match self.jitter {
            // Colours are adjusted in [0, 1]; normalisation comes last.
            Some(_) => ([0.0; 3], [1.0; 3]),
            None => (self.mean, self.deviation),
        };
        let (crop, channels) = (self.crop, self.channels);
        let images = match crop.place {
            Place::Centre | Place::Padded { .. } if crop.resized() == crop.size => {
                let (padding, random) = match crop.place {
                    Place::Padded { padding } => (padding, Some(crop.seed)),
                    _ => (0, None),
                };
                let settings = decode_augment::Settings {
                    size: crop.size,
                    channels,
                    crop: crop.out,
                    padding,
                    random,
                    flip: crop.flip,
                    mean,
                    deviation,
                    first: 0,
                };
                graph.decode_augment(bytes, draws, settings)?
            }
            _ => {
                let settings = resized_crop::Settings { crop, channels, mean, deviation, first: 0 };
                graph.resized_crop(bytes, draws, settings)?
            }
        };
        match self.jitter {
            None => Ok(images),
            Some(jitter) => {
                let settings = colour_jitter::Settings { jitter, mean: self.mean, deviation: self.deviation };
                graph.colour_jitter(images, draws, settings)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::base::{Array, DType};
    use crate::graph::interpret::interpret;

    const MEAN: [f32; 3] = [0.5, 0.4, 0.3];
    const STD: [f32; 3] = [0.2, 0.3, 0.4];

    /// The images of four draws in float64, and the operations that made them.
    fn images(augment: &Augment, mean: &[f32], std: &[f32], random: Option<u64>) -> (Array, Vec<&'static str>) {
        let decode = Decode::new([8, 6, 3], mean, std, augment, random).expect("it fits");
        let mut graph = Graph::new();
        let bytes = graph.input("bytes", &[5 * 8 * 6 * 3 / 4], DType::U32);
        let draws = graph.input("draws", &[4, 4], DType::U32);
        let out = decode.append(&mut graph, bytes, draws).expect("it fits");
        let words = Array::integers(&[180], u32::MAX, 3);
        let table = Array::from_fn(&[4, 4], |i| [i as f64 / 4.0, 7.0 + i as f64, 2.0, 0.0][i % 4].floor());
        let made = graph.nodes().iter().filter_map(|n| match &n.source {
            crate::graph::Source::Computed(op) => Some(op.name()),
            _ => None,
        });
        let made = made.collect();
        let values = interpret(&graph, &HashMap::from([(bytes, words), (draws, table)]), &[out]);
        let found = values.expect("all leaves are given")[&out].clone();
        assert_eq!(found.sizes()[1..], decode.output());
        (found, made)
    }

    #[test]
    fn each_setting_takes_the_operations_it_needs() {
        let plain = Augment::default();
        let resized = Augment { crop: CropKind::RandomResized, ..plain.clone() };
        let coloured = Augment { brightness: 0.5, ..plain.clone() };
        let small = Augment { resize: 5, crop_size: 4, ..plain.clone() };
        let names = |augment: &Augment, random| images(augment, &MEAN, &STD, random).1;
        assert_eq!(names(&plain, Some(1)), ["decode_augment"]);
        assert_eq!(names(&resized, Some(1)), ["resized_crop"]);
        assert_eq!(names(&coloured, Some(1)), ["decode_augment", "colour_jitter"]);
        assert_eq!(names(&small, Some(1)), ["resized_crop"]);
        // Evaluation takes the centre, of the resized image, in its own colours.
        assert_eq!(names(&resized, None), ["decode_augment"]);
        assert_eq!(names(&coloured, None), ["decode_augment"]);
        assert_eq!(names(&small, None), ["resized_crop"]);
        assert_eq!(images(&resized, &MEAN, &STD, None).0, images(&plain, &MEAN, &STD, None).0);
    }

    /// Colours change between 0 and 1, and normalisation follows them; the crop is that of the run without colours.
    #[test]
    fn colours_come_before_normalisation() {
        for crop in [CropKind::Padded, CropKind::RandomResized] {
            let plain = Augment { crop, ..Augment::default() };
            let coloured = Augment { brightness: 0.5, ..plain.clone() };
            let (found, _) = images(&coloured, &MEAN, &STD, Some(9));
            let (mut expected, _) = images(&plain, &[0.0; 3], &[1.0; 3], Some(9));
            let jitter = Jitter { brightness: 0.5, contrast: 0.0, saturation: 0.0, hue: 0.0, greyscale: 0.0, seed: 9 };
            let one = expected.data.len() / 4;
            for (i, image) in expected.data.chunks_exact_mut(one).enumerate() {
                jitter.plan(8 + 4 * i as u32, 2).apply(image, 3);
            }
            for (i, (found, value)) in found.data.iter().zip(&expected.data).enumerate() {
                let expected = (value - f64::from(MEAN[i % 3])) / f64::from(STD[i % 3]);
                assert!((found - expected).abs() < 1e-9, "{crop:?} {i}: {found} {expected}");
            }
        }
    }
}
