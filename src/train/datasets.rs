//! The images of a run: training, validation and test sets, and how pixels become numbers.

use std::path::Path;
use std::sync::Arc;

use super::config::Config;
use crate::base::{Error, Result};
use crate::data::{self, Format, ImageSet, LoadOptions, Validation};
use crate::graph::ops::decode_augment::Decode;

/// Everything that a config's `[data]` section names.
#[derive(Clone, Debug)]
pub struct Datasets {
    /// What is trained on.
    pub train: Arc<ImageSet>,
    /// Cut from the training images, when the config asks for it.
    pub validation: Option<Arc<ImageSet>>,
    /// The test images, when there are any.
    pub test: Option<Arc<ImageSet>>,
    /// Subtracted from each channel's value in [0, 1].
    pub mean: Vec<f32>,
    /// Divides each channel.
    pub std: Vec<f32>,
}

impl Datasets {
    /// Loads and splits what the config names. The split depends on the run's seed alone.
    ///
    /// # Errors
    /// When data is missing, corrupt or does not fit the settings; messages name the file and the numbers.
    pub fn load(config: &Config) -> Result<Self> {
        let path = config.data_path();
        let (train, test) = data::load_both(&path, &options(config)?)?;
        let (train, validation) = data::split(train, &validation(config)?, config.seed)?;
        let measured = train.normalisation();
        let pick = |wish: &super::config::Channels, measured: &[f64], what: &str| -> Result<Vec<f32>> {
            let channels = train.channels;
            match wish.values() {
                None => Ok(measured.iter().map(|v| *v as f32).collect()),
                Some([one]) => Ok(vec![*one as f32; channels]),
                Some(values) if values.len() == channels => Ok(values.iter().map(|v| *v as f32).collect()),
                // One-channel images under a three-channel config: the first channel's value.
                Some(values) if channels == 1 && values.windows(2).all(|v| v[0] == v[1]) => Ok(vec![values[0] as f32]),
                Some(values) => Err(Error::Config(format!(
                    "data.{what} has {} values, the images have {channels} channels",
                    values.len()
                ))),
            }
        };
        let mean = pick(&config.data.mean, &measured.mean, "mean")?;
        let std: Vec<f32> = pick(&config.data.std, &measured.std, "std")?.iter().map(|s| s.max(1e-3)).collect();
        Ok(Self { train: Arc::new(train), validation: validation.map(Arc::new), test: test.map(Arc::new), mean, std })
    }

    /// The set that `evaluate.split` names: "validation", "test", or "auto" (validation when there is one, else test).
    ///
    /// # Errors
    /// When the named set does not exist.
    pub fn evaluation(&self, split: &str) -> Result<Option<(&'static str, Arc<ImageSet>)>> {
        let validation = self.validation.clone().map(|s| ("validation", s));
        let test = self.test.clone().map(|s| ("test", s));
        match split {
            "auto" => Ok(validation.or(test)),
            "validation" => validation.map(Some).ok_or_else(|| {
                Error::Config("evaluate.split = \"validation\": there is none; set data.validation".into())
            }),
            _ => test.map(Some).ok_or_else(|| Error::Config("evaluate.split = \"test\": the data has no test set".into())),
        }
    }

    /// How bytes become images: augmented under a seed, or plain.
    pub fn decode(&self, config: &Config, seed: Option<u64>) -> Decode {
        let set = &self.train;
        Decode {
            height: set.height,
            width: set.width,
            channels: set.channels,
            mean: self.mean.clone(),
            std: self.std.clone(),
            augment: seed.map(|seed| crate::graph::ops::decode_augment::Augment {
                seed,
                padding: config.augment.crop_padding,
                flip: config.augment.flip,
            }),
        }
    }
}

/// How the config wants its data loaded.
///
/// # Errors
/// When the format is unknown.
pub fn options(config: &Config) -> Result<LoadOptions> {
    let format: Option<Format> = match config.data.format.as_str() {
        "auto" => None,
        name => Some(name.parse()?),
    };
    let size = config.data.size;
    Ok(LoadOptions {
        format,
        size: (size > 0).then_some((size, size)),
        skip_bad: config.data.skip_bad,
        coarse: config.data.labels == "coarse",
        ..LoadOptions::default()
    })
}

fn validation(config: &Config) -> Result<Validation> {
    config.data.validation.resolve(|file| Validation::IndexFile(Path::new(file).to_path_buf()))
}
