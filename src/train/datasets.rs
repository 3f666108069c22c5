//! The images of a run: training, validation and test sets, and how pixels become numbers.

use std::sync::Arc;

use super::config::{ChannelValues, Config, EvaluateSplit};
use super::images::Decode;
use crate::base::{Error, Result};
use crate::data::{self, Finer, Groups, ImageSet, LabelFile, LoadOptions, Partition, Split};

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
        if config.data.path.is_empty() {
            return Err(Error::Config("data.path is empty: name the folder or file of the images".into()));
        }
        let (train, test) = labelled(config)?;
        let (train, validation) = data::split(train, &config.data.validation, config.seed)?;
        let measured = train.normalisation();
        let pick = |wish: &ChannelValues, measured: &[f64], key: &str| -> Result<Vec<f32>> {
            let values = wish.for_channels(train.channels, key)?;
            Ok(values.as_deref().unwrap_or(measured).iter().map(|v| *v as f32).collect())
        };
        let mean = pick(&config.data.mean, &measured.mean, "data.mean")?;
        // A channel that hardly varies would be blown up.
        let spread: Vec<f64> = measured.std.iter().map(|s| s.max(1e-3)).collect();
        let std = pick(&config.data.std, &spread, "data.std")?;
        Ok(Self { train: Arc::new(train), validation: validation.map(Arc::new), test: test.map(Arc::new), mean, std })
    }

    /// All training images as they were before validation was cut from them, without their pixels and classes, and where
    /// the training and validation images stand among them. `config` is the one that they were loaded with.
    ///
    /// # Errors
    /// As [`data::partition`].
    pub fn undivided(&self, config: &Config) -> Result<(ImageSet, Partition)> {
        let held = self.validation.as_deref();
        let count = self.train.count() + held.map_or(0, ImageSet::count);
        let parts = data::partition(&config.data.validation, count, config.seed)?;
        let mut whole = self.train.subset(&[]);
        whole.labels = vec![0; count];
        whole.skipped.clone_from(&self.train.skipped);
        if !self.train.files.is_empty() {
            whole.files = vec![String::new(); count];
            let held = held.map_or(&[][..], |set| &set.files);
            let places = parts.train.iter().chain(&parts.validation);
            for (&place, file) in places.zip(self.train.files.iter().chain(held)) {
                whole.files[place as usize].clone_from(file);
            }
        }
        Ok((whole, parts))
    }

    /// Finer labels of the training images, or of those held out for validation: a name of labels that came with the data, or
    /// a label file of all of both. `setting` stands for the setting in messages.
    ///
    /// # Errors
    /// As [`ImageSet::finer_labels`].
    pub fn finer(&self, config: &Config, source: &str, setting: &str, held_out: bool) -> Result<Vec<u32>> {
        let set = if held_out { self.validation.as_ref().unwrap_or(&self.train) } else { &self.train };
        if Finer::is_name(source) {
            return set.finer_labels(source, setting);
        }
        // A file numbers all training images, those held out for validation included.
        let (whole, parts) = self.undivided(config)?;
        let all = whole.finer_labels(source, setting)?;
        let places = if held_out { parts.validation } else { parts.train };
        Ok(places.into_iter().map(|place| all[place as usize]).collect())
    }

    /// The set that `evaluate.split` names: "validation", "test", or "auto": validation when there is one, else test
    /// unless `cautious`, since what chooses a checkpoint by test labels is not unsupervised.
    ///
    /// # Errors
    /// When the named set does not exist.
    pub fn evaluation(&self, split: EvaluateSplit, cautious: bool) -> Result<Option<(&'static str, Arc<ImageSet>)>> {
        let validation = self.validation.clone().map(|s| ("validation", s));
        let test = self.test.clone().map(|s| ("test", s));
        match split {
            EvaluateSplit::Auto if cautious => Ok(validation),
            EvaluateSplit::Auto => Ok(validation.or(test)),
            EvaluateSplit::Validation => validation.map(Some).ok_or_else(|| {
                Error::Config("evaluate.split = \"validation\": there is none; set data.validation".into())
            }),
            EvaluateSplit::Test => test
                .map(Some)
                .ok_or_else(|| Error::Config("evaluate.split = \"test\": the data has no test set".into())),
        }
    }

    /// How bytes become images: augmented under the run's seed, or as for evaluation.
    ///
    /// # Errors
    /// [`Error::Config`] when `[augment]` does not fit the images.
    pub fn decode(&self, config: &Config, augmented: bool) -> Result<Decode> {
        let image = [self.train.height, self.train.width, self.train.channels];
        Decode::new(image, &self.mean, &self.std, &config.augment, augmented.then_some(config.seed))
    }
}

/// Training and test images under their own labels, or training images under those of a file: then there is no test set,
/// because its labels are of other classes.
fn labelled(config: &Config) -> Result<(ImageSet, Option<ImageSet>)> {
    let (data, options) = (&config.data, config.data.load_options()?);
    let Some(path) = data.labels_file() else { return data::load_both(data.path(), &options) };
    let labels = LabelFile::read(path)?;
    let groups = options.groups.clone();
    let own = LoadOptions { classes: None, groups: Groups::default(), allow_empty_classes: true, ..options };
    let set = data::load(data.path(), Split::Train, &own)?;
    Ok((groups.apply(labels.apply(set, data.labels_head as u32, options.classes)?, data::OWN)?, None))
}
