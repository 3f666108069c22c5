//! Floor 5: networks. One file each, one line in [`backbone`].

pub mod cifar_resnet;
pub mod convnet;
pub mod resnet;

use serde::{Deserialize, Serialize};

use crate::base::{Error, Result};
use crate::graph::NodeId;
use crate::nn::Builder;

/// A network without its heads.
pub trait Backbone: std::fmt::Debug + Send + Sync {
    /// Appends the network. Shapes: `x (R, H, W, C)` → features `(R, D)`.
    ///
    /// # Errors
    /// When the images are too small or the shapes do not fit.
    fn features(&self, b: &mut Builder, x: NodeId) -> Result<NodeId>;
}

/// The `[model]` section of a config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSettings {
    /// A network's name; see [`NAMES`].
    pub name: String,
    /// `cifar_resnet` only: layers, 6n + 2 for three stages (in general 2·stages·n + 2); 0 = 32.
    pub depth: usize,
    /// Channels of each stage (`cifar_resnet`, `resnetN`) or of each convolution (`convnet`), each 1 to 65536; empty =
    /// the network's own.
    pub widths: Vec<usize>,
    /// `convnet` only: stride of each convolution, each 1 to 16; empty = 2, 1, 2, 1 …
    pub strides: Vec<usize>,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self { name: "resnet32".into(), depth: 0, widths: Vec::new(), strides: Vec::new() }
    }
}

/// Every network's name.
pub const NAMES: &[&str] = &[
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "cifar_resnet",
    "convnet",
    "resnet18",
    "resnet34",
    "resnet50",
];

fn unknown(name: &str) -> Error {
    let near = NAMES.iter().max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)));
    Error::Config(format!(
        "model.name = \"{name}\" is unknown; did you mean \"{}\"? There are: {}",
        near.unwrap_or(&"resnet32"),
        NAMES.join(", ")
    ))
}

/// The network that the settings name.
///
/// # Errors
/// When the name is unknown or a size is out of range: what was given and what is allowed.
pub fn backbone(settings: &ModelSettings) -> Result<Box<dyn Backbone>> {
    if !NAMES.contains(&settings.name.as_str()) {
        return Err(unknown(&settings.name));
    }
    if settings.depth != 0 && settings.name != "cifar_resnet" {
        return Err(Error::Config(format!(
            "model.depth = {} has no meaning for `{}`; choose model.name = \"cifar_resnet\"",
            settings.depth, settings.name
        )));
    }
    if !settings.strides.is_empty() && settings.name != "convnet" {
        return Err(Error::Config(format!("model.strides has no meaning for `{}`, only for `convnet`", settings.name)));
    }
    let cifar =
        |depth| -> Result<Box<dyn Backbone>> { Ok(Box::new(cifar_resnet::CifarResNet::new(depth, &settings.widths)?)) };
    match settings.name.as_str() {
        "resnet20" => cifar(20),
        "resnet32" => cifar(32),
        "resnet44" => cifar(44),
        "resnet56" => cifar(56),
        "resnet110" => cifar(110),
        "cifar_resnet" => cifar(if settings.depth == 0 { 32 } else { settings.depth }),
        "convnet" => Ok(Box::new(convnet::ConvNet::new(&settings.widths, &settings.strides)?)),
        "resnet18" => Ok(Box::new(resnet::ResNet::new(resnet::Block::Basic, [2, 2, 2, 2], &settings.widths)?)),
        "resnet34" => Ok(Box::new(resnet::ResNet::new(resnet::Block::Basic, [3, 4, 6, 3], &settings.widths)?)),
        "resnet50" => Ok(Box::new(resnet::ResNet::new(resnet::Block::Bottleneck, [3, 4, 6, 3], &settings.widths)?)),
        other => Err(unknown(other)),
    }
}
