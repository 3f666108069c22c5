//! The `[maxl]` section.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Value;

use crate::base::{Error, Result};
use crate::train::config::{Fault, Section, need};
use crate::train::meta::{Hessian, MetaSettings};

/// [`MaxlSettings::features`] that are an autoencoder's.
pub const AUTOENCODER: &str = "autoencoder";

/// ψ: auxiliary labels of each class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hierarchy {
    /// The same number for every class.
    Same(usize),
    /// One number for each class, in the order of the classes.
    Each(Vec<usize>),
}

impl Hierarchy {
    /// ψ for `classes` classes.
    ///
    /// # Errors
    /// When it lists another number of classes; both numbers are named.
    pub fn of(&self, classes: usize) -> Result<Vec<usize>> {
        match self {
            Self::Same(labels) => Ok(vec![*labels; classes]),
            Self::Each(labels) if labels.len() == classes => Ok(labels.clone()),
            Self::Each(labels) => Err(Error::Config(format!(
                "maxl.hierarchy has {} numbers ({self}), and the images have {classes} classes; give one for each class, \
                 or a single one",
                labels.len()
            ))),
        }
    }

    fn numbers(&self) -> &[usize] {
        match self {
            Self::Same(labels) => std::slice::from_ref(labels),
            Self::Each(labels) => labels,
        }
    }
}

impl fmt::Display for Hierarchy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same(labels) => write!(f, "{labels}"),
            Self::Each(labels) => write!(f, "{labels:?}"),
        }
    }
}

impl Serialize for Hierarchy {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Same(labels) => labels.serialize(serializer),
            Self::Each(labels) => labels.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Hierarchy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let number = |value: &Value| value.as_integer().and_then(|n| usize::try_from(n).ok());
        let read = match Value::deserialize(deserializer)? {
            Value::Array(items) => items.iter().map(number).collect::<Option<_>>().map(Self::Each),
            other => number(&other).map(Self::Same),
        };
        read.ok_or_else(|| {
            serde::de::Error::custom("invalid type, expected a whole number, or an array of whole numbers, one a class")
        })
    }
}

/// When the two networks learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// A training pass over all images, then a meta pass over all (the official code).
    Epochs,
    /// A training step, then a meta step (the paper).
    Steps,
}

/// Which images the meta steps see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetaData {
    /// The training images, in an order of their own (the official code).
    Train,
    /// The images that `data.validation` holds out (the paper, a tenth).
    Validation,
}

/// Which passes move the running statistics of batch normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Running {
    /// Training steps alone.
    Train,
    /// Training steps, and in meta steps the passes at the networks' own weights (the official code).
    Both,
}

/// What stands between the trunk and its labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// A linear layer.
    Linear,
    /// A linear layer as wide as the features, ReLU, a linear layer (the official code).
    Hidden,
}

/// The `[maxl]` section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaxlSettings {
    /// ψ: auxiliary labels of each class: one number for all, or one a class; each 1 to 65536.
    pub hierarchy: Hierarchy,
    /// γ of the focal losses, 0 to 100; 0 is cross-entropy.
    pub gamma: f64,
    /// λ: weight of the negative entropy of the batch-mean label, from 0.
    pub entropy_weight: f64,
    /// How the meta-gradient is found: `exact | finite-difference | none`.
    pub hessian: Hessian,
    /// Compute activations again in a meta step and do not keep them.
    pub recompute: bool,
    /// α: rate of the look-ahead step before the schedule, above 0.
    pub lookahead_lr: f64,
    /// Whether α follows the schedule one pass over the images too early, as in the official code.
    pub lookahead_early: bool,
    /// The generator's learning rate before the schedule, above 0.
    pub generator_lr: f64,
    /// The generator's momentum, from 0 to below 1.
    pub generator_momentum: f64,
    /// The generator's weight decay, from 0.
    pub generator_weight_decay: f64,
    /// When the two networks learn: `epochs | steps`.
    pub order: Order,
    /// Which images the meta steps see: `train | validation`.
    pub data: MetaData,
    /// Which passes move running statistics: `train | both`.
    pub running: Running,
    /// What stands on the trunks: `linear | hidden`.
    pub head: Head,
    /// Report the cosine similarity of the two losses' gradients, which costs one more backward pass a meta step.
    pub gradient_cosine: bool,
    /// `maxl-human`: labels finer than the classes: a label file, or `own | fine | coarse | 10` for some that came with the data.
    pub labels: String,
    /// `maxl-kmeans`: what is clustered: `autoencoder`, or a checkpoint (`.safetensors`) for the features of its trunk.
    pub features: String,
    /// `maxl-kmeans`: latent values of the autoencoder, 1 to 4096.
    pub latent: usize,
    /// `maxl-kmeans`: passes of the autoencoder over the images, 1 to 100000.
    pub autoencoder_epochs: u64,
}

impl Default for MaxlSettings {
    fn default() -> Self {
        Self {
            hierarchy: Hierarchy::Same(5),
            gamma: 2.0,
            entropy_weight: 0.2,
            hessian: Hessian::Exact,
            recompute: false,
            lookahead_lr: 0.01,
            lookahead_early: false,
            generator_lr: 1e-3,
            generator_momentum: 0.0,
            generator_weight_decay: 5e-4,
            order: Order::Epochs,
            data: MetaData::Train,
            running: Running::Train,
            head: Head::Hidden,
            gradient_cosine: false,
            labels: String::new(),
            features: AUTOENCODER.into(),
            latent: 64,
            autoencoder_epochs: 10,
        }
    }
}

impl Section for MaxlSettings {
    fn check(&self) -> std::result::Result<(), Fault> {
        let numbers = self.hierarchy.numbers();
        let counts = !numbers.is_empty() && numbers.iter().all(|n| (1..=1 << 16).contains(n));
        let allowed = "a number from 1 to 65536, or an array of such numbers, one a class";
        need(counts, "hierarchy", &self.hierarchy, allowed)?;
        need((0.0..=100.0).contains(&self.gamma), "gamma", self.gamma, "from 0 to 100")?;
        // As the device has them, in 32 bits.
        let above = |x: f64| x as f32 > 0.0 && (x as f32).is_finite();
        let not_below = |x: f64| x >= 0.0 && (x as f32).is_finite();
        let least = "a number of at least 0 that 32 bits can hold";
        need(not_below(self.entropy_weight), "entropy_weight", self.entropy_weight, least)?;
        if self.hessian == Hessian::None {
            need(not_below(self.lookahead_lr), "lookahead_lr", self.lookahead_lr, least)?;
        } else {
            let allowed = "a number above 0 that 32 bits can hold (at 0 no label would matter; hessian = \"none\" learns \
                           by entropy alone)";
            need(above(self.lookahead_lr), "lookahead_lr", self.lookahead_lr, allowed)?;
        }
        let allowed = "a number above 0 that 32 bits can hold";
        need(above(self.generator_lr), "generator_lr", self.generator_lr, allowed)?;
        let momentum = (0.0..1.0).contains(&self.generator_momentum);
        need(momentum, "generator_momentum", self.generator_momentum, "from 0 to below 1")?;
        let decay = self.generator_weight_decay;
        need(not_below(decay), "generator_weight_decay", decay, least)?;
        let file = Path::new(&self.features).extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors"));
        let allowed = "\"autoencoder\", or a checkpoint (a file that ends in .safetensors)";
        need(file || self.features == AUTOENCODER, "features", format!("{:?}", self.features), allowed)?;
        need((1..=4096).contains(&self.latent), "latent", self.latent, "from 1 to 4096")?;
        let epochs = self.autoencoder_epochs;
        need((1..=100_000).contains(&epochs), "autoencoder_epochs", epochs, "from 1 to 100000")
    }
}

impl MaxlSettings {
    /// What a meta step for `classes` classes needs to know.
    ///
    /// # Errors
    /// When the hierarchy is of another number of classes.
    pub fn meta(&self, classes: usize) -> Result<MetaSettings> {
        Ok(MetaSettings {
            hierarchy: self.hierarchy.of(classes)?,
            gamma: self.gamma as f32,
            entropy_weight: self.entropy_weight as f32,
            hessian: self.hessian,
            recompute: self.recompute,
            running: self.running == Running::Both,
            cosine: self.gradient_cosine,
        })
    }
}
