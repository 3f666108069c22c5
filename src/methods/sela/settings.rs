//! The `[sela]` section.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::Result;
use crate::train::config::{Fault, MemorySize, Section, need};
use crate::transport::{Marginals, marginals};

/// How transport becomes hard labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Balance {
    /// The cluster that gets most of an image (SeLa's official code); sizes are only roughly right.
    Argmax,
    /// Every cluster gets the floor or the ceiling of its share, at the lowest cost.
    Exact,
}

/// Which heads an update gives new labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Heads {
    /// All of them (the official ImageNet recipe).
    All,
    /// The next one (the official CIFAR recipe).
    One,
}

/// How the network sees the images that labels are made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Features {
    /// In training mode, augmented, in random order (SeLa's official code).
    Train,
    /// In evaluation mode, as they are (SeLaVi's).
    Evaluate,
    /// As training last saw them: a memory bank that each step writes its features into, as DeepCluster-v2 keeps. An
    /// update then costs no pass over the images (but the first).
    Bank,
}

/// The `[sela]` section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SelaSettings {
    /// T: heads, each with its own clustering, 1 to 100.
    pub heads: usize,
    /// K: clusters of each head, 1 to 65536.
    pub clusters: usize,
    /// λ: the sharpness of the transport, above 0; the scores are `λ·log P`.
    pub lambda: f64,
    /// Number of label updates over the run (the official `nopts`), 1 to 1000000; the first is at step 0.
    pub updates: u64,
    /// The updates' places over the run: 1 spaces them evenly, 2 puts most at the beginning; above 0, at most 8.
    pub update_power: f64,
    /// Which heads an update gives new labels: `all | one`.
    pub update: Heads,
    /// How the images are seen for it: `train | evaluate | bank`.
    pub features: Features,
    /// The assignment is done when no cluster's mass is off by more than this share, above 0 and below 1.
    pub tolerance: f64,
    /// The most Sinkhorn iterations, 1 to 1000000.
    pub iterations: u32,
    /// Hard labels: `argmax` as published, or `exact` sizes.
    pub balance: Balance,
    /// Sizes of the clusters: `uniform`, `gauss`, or a file of K shares.
    pub marginals: String,
    /// `gauss`: standard deviation of a cluster's size, as a share of the mean size, 0 to 10.
    pub gauss_sd: f64,
    /// `gauss`: whether each head has sizes of its own.
    pub gauss_per_head: bool,
    /// Device memory for features and scores: `auto`, or a size with its unit.
    pub memory: MemorySize,
    /// `sela-rot`: the labels to learn: a checkpoint of `sela`, or a file that `relabel label` wrote.
    pub labels: String,
}

impl Default for SelaSettings {
    fn default() -> Self {
        Self {
            heads: 10,
            clusters: 128,
            lambda: 25.0,
            updates: 100,
            update_power: 2.0,
            update: Heads::All,
            features: Features::Train,
            tolerance: 1e-3,
            iterations: 1000,
            balance: Balance::Argmax,
            marginals: "uniform".into(),
            gauss_sd: 0.1,
            gauss_per_head: false,
            memory: MemorySize::Auto,
            labels: String::new(),
        }
    }
}

impl Section for SelaSettings {
    fn check(&self) -> std::result::Result<(), Fault> {
        need((1..=100).contains(&self.heads), "heads", self.heads, "1 to 100")?;
        need((1..=1 << 16).contains(&self.clusters), "clusters", self.clusters, "1 to 65536")?;
        let lambda = self.lambda as f32;
        need(lambda > 0.0 && lambda <= 1e4, "lambda", self.lambda, "above 0, at most 10000")?;
        need((1..=1_000_000).contains(&self.updates), "updates", self.updates, "1 to 1000000")?;
        let power = self.update_power > 0.0 && self.update_power <= 8.0;
        need(power, "update_power", self.update_power, "above 0, at most 8")?;
        let tolerance = self.tolerance > 0.0 && self.tolerance < 1.0;
        need(tolerance, "tolerance", self.tolerance, "above 0 and below 1")?;
        need((1..=1_000_000).contains(&self.iterations), "iterations", self.iterations, "1 to 1000000")?;
        need(!self.marginals.is_empty(), "marginals", "empty", "\"uniform\", \"gauss\" or a file")?;
        need((0.0..=10.0).contains(&self.gauss_sd), "gauss_sd", self.gauss_sd, "0 to 10")
    }
}

impl SelaSettings {
    /// Sizes of the clusters, the file read.
    ///
    /// # Errors
    /// When the file does not hold K shares that sum to one.
    pub fn marginals(&self) -> Result<Marginals> {
        Ok(match self.marginals.as_str() {
            "uniform" => Marginals::Uniform,
            "gauss" => Marginals::Gaussian { deviation: self.gauss_sd, per_head: self.gauss_per_head },
            file => Marginals::Given(marginals::read(Path::new(file), self.clusters)?),
        })
    }
}
