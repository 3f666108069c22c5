//! Floor 8: from a config or a checkpoint to something that runs. The command line, the benches and the examples start
//! here.

pub mod synthetic;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::{Error, Result};
use crate::data::{self, ImageSet, Images, LoadOptions, Split};
use crate::eval::knn;
use crate::gpu::Engine;
use crate::kernels::choose;
use crate::methods;
use crate::methods::maxl::MaxlSettings;
use crate::methods::sela::SelaSettings;
use crate::models::{self, Backbone};
use crate::nn::{Builder, Phase, TorchTensor};
use crate::train::checkpoint::{Checkpoint, LABELS, TensorData};
use crate::train::config::{Config, KnownSection, Resident};
use crate::train::datasets::Datasets;
use crate::train::extract::{self, Trunk};
use crate::train::feed::Feed;
use crate::train::images::Decode;
use crate::train::inference::{Chosen, Evaluator, Predicted, Predictor, Sorter};
use crate::train::snapshot::{keys, weights};
use crate::train::soft_labels::SoftLabels;
use crate::train::views::ViewSettings;
use crate::train::{Measure, Method, Network, Trainer, probe};
use crate::transport::RowStore;

/// The sections that methods and evaluations add to a config.
pub fn known_sections() -> Vec<KnownSection> {
    vec![
        KnownSection::of::<ViewSettings>("sla"),
        KnownSection::of::<SelaSettings>("sela"),
        KnownSection::of::<MaxlSettings>("maxl"),
        KnownSection::of::<knn::Settings>("knn"),
        KnownSection::of::<probe::Settings>("probe"),
    ]
}

/// A config from TOML text and the overrides of `--set`; `source` stands for the text in messages.
///
/// # Errors
/// When a setting is unknown, of the wrong type or out of range.
pub fn config(text: &str, source: &str, overrides: &[String]) -> Result<Config> {
    Config::parse(text, source, overrides, &known_sections())
}

/// Refuses a config whose method or network does not exist or has settings that do not fit it.
///
/// # Errors
/// Naming the setting, and what is allowed.
pub fn check(config: &Config) -> Result<()> {
    methods::method(config)?;
    models::backbone(&config.model).map(drop)
}

/// A trainer for a config: data loaded, network planned and initialised.
///
/// # Errors
/// When settings, data and device do not fit together.
pub fn trainer(engine: &Arc<Engine>, config: Config) -> Result<Trainer> {
    let data = Datasets::load(&config)?;
    trainer_on(engine, config, data)
}

/// A trainer for a config on images that are in memory already; `config.data` is not read.
///
/// # Errors
/// When settings, data and device do not fit together.
pub fn trainer_on(engine: &Arc<Engine>, config: Config, data: Datasets) -> Result<Trainer> {
    let method: Arc<dyn Method> = Arc::from(methods::method(&config)?);
    let backbone = models::backbone(&config.model)?;
    Trainer::new(Arc::clone(engine), config, method, &*backbone, data)
}

/// A trained network from a checkpoint.
pub struct Trained {
    engine: Arc<Engine>,
    /// The settings of the run that wrote it.
    pub config: Config,
    /// Names of the classes, in the order of the labels.
    pub classes: Vec<String>,
    /// Height, width and channels of the images it was trained on, as stored: before `[augment]` resized and cropped.
    pub image: [usize; 3],
    /// Steps trained.
    pub step: u64,
    decode: Decode,
    method: Arc<dyn Method>,
    backbone: Box<dyn Backbone>,
    network: Network,
    /// Heads, and clusters of each.
    clusters: (usize, usize),
}

impl Trained {
    /// Reads a checkpoint and rebuilds its network on the device.
    ///
    /// # Errors
    /// When the file is damaged, or its tensors do not fit the network that its own config names.
    pub fn open(engine: &Arc<Engine>, path: &Path) -> Result<Self> {
        let checkpoint = Checkpoint::read(path)?;
        let meta = &checkpoint.meta;
        let config = self::config(&meta.config, &format!("the config inside {}", path.display()), &[])?;
        let numbers = |key: &str| -> Result<Vec<f32>> {
            let text = meta.extra.get(key).ok_or_else(|| missing(path, key))?;
            text.split(',').map(|v| v.parse().map_err(|_| missing(path, key))).collect()
        };
        let sizes = meta.extra.get(keys::IMAGE).map_or("", String::as_str).split(',').map(str::parse);
        let sizes: Vec<usize> = sizes.collect::<std::result::Result<_, _>>().map_err(|_| missing(path, keys::IMAGE))?;
        let image = <[usize; 3]>::try_from(sizes).map_err(|_| missing(path, keys::IMAGE))?;
        let side_ok = image[..2].iter().all(|&v| (1..=8192).contains(&v)) && (1..=3).contains(&image[2]);
        let (mean, std) = (numbers(keys::MEAN)?, numbers(keys::STD)?);
        if !side_ok || mean.len() != image[2] || std.len() != image[2] || meta.classes.is_empty() {
            return Err(missing(path, keys::IMAGE));
        }
        let method: Arc<dyn Method> = Arc::from(methods::method(&config)?);
        let backbone = models::backbone(&config.model)?;
        let decode = Decode::new(image, &mean, &std, &config.augment, None)?;
        // A pass over one image asks for every tensor of the network.
        let mut b = Builder::new(Phase::Evaluate);
        let [height, width, channels] = decode.output();
        let images = b.graph.input("images", &[1, height, width, channels], crate::base::DType::F32);
        let labels = b.graph.input("labels", &[1], crate::base::DType::U32);
        let draws = b.graph.input("draws", &[1, 4], crate::base::DType::U32);
        let batch = crate::train::Batch { images, labels, classes: meta.classes.len(), draws, samples: 1 };
        method.evaluate(&mut b, &*backbone, batch)?;
        let heads = method.clusters(&mut b, &*backbone, batch)?;
        let clusters = (heads.len(), heads.first().map_or(0, |&logits| b.graph.shape(logits).last()));
        let network = Network::new(engine, &b)?;
        let mut tensors = weights(&checkpoint, path)?;
        for tensor in checkpoint.tensors.iter() {
            // A second network, which the labeller learned.
            let name = tensor.name.strip_prefix(LABELS).filter(|name| method.is_labellers(name));
            if let (Some(name), TensorData::F32(values)) = (name, &tensor.data) {
                let (sizes, values) = (tensor.shape.clone(), values.clone());
                tensors.insert(name.to_owned(), TorchTensor { name: name.to_owned(), sizes, values });
            }
        }
        network.from_torch(engine, tensors).map_err(|e| match e {
            Error::Checkpoint(text) => Error::Checkpoint(format!("{}: {text}", path.display())),
            other => other,
        })?;
        Ok(Self {
            engine: Arc::clone(engine),
            classes: meta.classes.clone(),
            step: meta.step,
            config,
            image,
            decode,
            method,
            backbone,
            network,
            clusters,
        })
    }

    /// The method's name.
    pub fn method(&self) -> &dyn Method {
        &*self.method
    }

    /// The device it is on.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Heads that sort images into clusters; 0 where the method makes no labels.
    pub fn heads(&self) -> usize {
        self.clusters.0
    }

    /// Clusters of each head.
    pub fn clusters(&self) -> usize {
        self.clusters.1
    }

    /// Puts the initial weights of the run's seed in place of the trained ones.
    ///
    /// # Errors
    /// When a write fails its shape check.
    pub fn initialise(&self) -> Result<()> {
        self.network.initialise(&self.engine, self.config.seed)
    }

    /// The network's tensors.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Metrics over a labelled image set.
    ///
    /// # Errors
    /// When the set's images or classes are not what the network was trained on.
    pub fn evaluate(&self, set: impl Into<Arc<ImageSet>>, batch: usize) -> Result<Vec<(String, f64)>> {
        let set = set.into();
        if set.classes.len() != self.classes.len() {
            return Err(Error::Data(format!(
                "{}: {} classes, and the checkpoint was trained on {}; if these images only lack the last classes, say \
                 so with --subset",
                set.name,
                set.classes.len(),
                self.classes.len()
            )));
        }
        if set.classes != self.classes {
            let differs = set.classes.iter().zip(&self.classes).position(|(a, b)| a != b).unwrap_or(0);
            return Err(Error::Data(format!(
                "{}: class {differs} is `{}`, in the checkpoint it is `{}`",
                set.name, set.classes[differs], self.classes[differs]
            )));
        }
        self.check_image([set.height, set.width, set.channels], &set.name)?;
        let rows = batch.clamp(1, set.count().max(1));
        let feed = Feed::new(&self.engine, set, rows, Resident::Auto)?;
        let variants = choose::preferred(&self.engine);
        let mut evaluator =
            Evaluator::new(&self.engine, feed, self.decode, &*self.method, &*self.backbone, &self.network, &variants)?;
        evaluator.run(&self.engine)
    }

    /// Loads the named split of a labelled data set at the size and channels of the training images. With `subset` it
    /// may lack images of some classes; else it must show as many classes as the network has. `data.groups` are made of the
    /// set's classes, unless these are the network's already.
    ///
    /// # Errors
    /// When data is missing or corrupt, or its images or classes do not fit.
    pub fn load(&self, path: &Path, split: Split, options: LoadOptions, subset: bool) -> Result<ImageSet> {
        let [height, width, channels] = self.image;
        let mut options = LoadOptions { allow_empty_classes: true, size: None, classes: None, ..options };
        let groups = std::mem::take(&mut options.groups);
        let format = options.format.map_or_else(|| data::detect(path), Ok)?;
        if format == data::Format::Folder {
            (options.size, options.channels) = (Some((height, width)), Some(channels));
        } else if subset {
            options.classes = Some(if groups.is_empty() { self.classes.len() } else { groups.classes() });
        }
        let name = if format == data::Format::Cifar100 { options.labels.name() } else { data::OWN };
        if format != data::Format::Cifar100 {
            options.labels = data::Labels::Fine;
        }
        let set = data::load(path, split, &options)?;
        if set.classes == self.classes { Ok(set) } else { groups.apply(set, name) }
    }

    /// Class probabilities of image files, each cropped and resized to the training images' size.
    ///
    /// # Errors
    /// When a file cannot be decoded (named), or the device fails.
    pub fn predict(&self, files: &[PathBuf], batch: usize, skip_bad: bool) -> Result<(Images, Vec<Predicted>)> {
        let [height, width, channels] = self.image;
        let images = data::load_images(files, (height, width), channels, skip_bad)?;
        let count = images.files.len();
        let set = ImageSet {
            name: "images".into(),
            height,
            width,
            channels,
            pixels: images.pixels.clone(),
            labels: vec![0; count],
            classes: self.classes.clone(),
            finer: Vec::new(),
            files: Vec::new(),
            skipped: Vec::new(),
            ignored: 0,
        };
        let feed = Feed::new(&self.engine, Arc::new(set), batch.clamp(1, count.max(1)), Resident::Auto)?;
        let mut predictor = Predictor::new(
            &self.engine,
            feed,
            self.decode,
            &*self.method,
            &*self.backbone,
            &self.network,
            &choose::preferred(&self.engine),
        )?;
        Ok((images, predictor.run(&self.engine)?))
    }

    /// The trunk's features of every image of a set, in evaluation mode, left on the device.
    ///
    /// # Errors
    /// When the images are not of the size that the network was trained on, or memory does not suffice.
    pub fn features(&self, set: &Arc<ImageSet>, batch: usize) -> Result<RowStore> {
        let feed = self.feed(set, batch)?;
        extract::features(self.trunk(&choose::preferred(&self.engine)), feed, self.decode)
    }

    /// The clusters that the network sorts the images of a set into, of every head; with `assigned`, those labels and
    /// the network's probability of each.
    ///
    /// # Errors
    /// When the method has no clusters, or as [`Trained::features`].
    pub fn sort(&self, set: &Arc<ImageSet>, batch: usize, assigned: Option<&[Vec<u32>]>) -> Result<Vec<Vec<Chosen>>> {
        if self.heads() == 0 {
            return Err(Error::Config(format!(
                "`{}` learns the data's own classes and makes no labels; use `relabel predict`",
                self.method.name()
            )));
        }
        self.check_sorted(set)?;
        let feed = self.feed(set, batch)?;
        let variants = choose::preferred(&self.engine);
        Sorter::new(self.trunk(&variants), feed, self.decode, &*self.method, assigned)?.run(&self.engine)
    }

    /// The labels that the network gives the images of a set by its first head, with the mean probability of each label.
    ///
    /// # Errors
    /// When the method gives none, or as [`Trained::features`].
    pub fn soft_labels(&self, set: &Arc<ImageSet>, batch: usize) -> Result<SoftLabels> {
        self.check_sorted(set)?;
        let feed = self.feed(set, batch)?;
        let variants = choose::preferred(&self.engine);
        SoftLabels::of(self.trunk(&variants), feed, self.decode, &*self.method)
    }

    fn check_sorted(&self, set: &ImageSet) -> Result<()> {
        if self.method.sorts_within_classes() && set.classes != self.classes {
            return Err(Error::Data(format!(
                "{}: `{}` labels images within their classes, and these have other classes than its {} ({}, …)",
                set.name,
                self.method.name(),
                self.classes.len(),
                self.classes[0]
            )));
        }
        Ok(())
    }

    fn trunk<'a>(&'a self, variants: &'a HashMap<&'static str, usize>) -> Trunk<'a> {
        Trunk { engine: &self.engine, backbone: &*self.backbone, network: &self.network, variants }
    }

    fn feed(&self, set: &Arc<ImageSet>, batch: usize) -> Result<Feed> {
        self.check_image([set.height, set.width, set.channels], &set.name)?;
        Feed::new(&self.engine, Arc::clone(set), batch.clamp(1, set.count().max(1)), Resident::Auto)
    }

    fn check_image(&self, found: [usize; 3], name: &str) -> Result<()> {
        if found == self.image {
            return Ok(());
        }
        Err(Error::Data(format!(
            "{name}: images are {}x{}x{}, the checkpoint was trained on {}x{}x{} (height, width, channels)",
            found[0], found[1], found[2], self.image[0], self.image[1], self.image[2]
        )))
    }
}

fn missing(path: &Path, key: &str) -> Error {
    Error::Checkpoint(format!(
        "{}: no usable `{key}` in its header: not a checkpoint that training wrote",
        path.display()
    ))
}
