//! Floor 5: networks. One file each, one line in [`backbone`].

pub mod alexnet;
pub mod cifar_resnet;
pub mod convnet;
pub mod preact_resnet;
pub mod resnet;
pub mod vgg;

use resnet::{Block, ResNet, Stem};
use serde::{Deserialize, Serialize};

use crate::base::{Error, Result, nearest};
use crate::graph::NodeId;
use crate::nn::{Builder, Initialiser};

/// A network without its heads.
pub trait Backbone: std::fmt::Debug + Send + Sync {
    /// Appends the network. Shapes: `x (R, H, W, C)` → features `(R, D)`.
    ///
    /// # Errors
    /// When the images are too small or the shapes do not fit.
    fn features(&self, b: &mut Builder, x: NodeId) -> Result<NodeId>;

    /// How weight and bias of a self-labelling head on these features start: as the network's own linear layers do.
    fn head_start(&self) -> [Initialiser; 2] {
        [Initialiser::KaimingUniform; 2]
    }
}

/// The `[model]` section of a config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSettings {
    /// A network's name; see [`NAMES`].
    pub name: String,
    /// `cifar_resnet` only: layers, 6n + 2 for three stages (in general 2·stages·n + 2); 0 = 32.
    pub depth: usize,
    /// Channels of each stage (`cifar_resnet`, `resnetN` and their like), of each convolution (`convnet`), or of five
    /// convolutions and the linear layers (`alexnet`), of five blocks (`vgg16`), each 1 to 65536; empty = the network's own.
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
    "cifar_resnet18",
    "resnetv2_50",
    "alexnet",
    "alexnet_small",
    "vgg16",
];

fn unknown(name: &str) -> Error {
    Error::Config(format!(
        "model.name = \"{name}\" is unknown; did you mean \"{}\"? There are: {}",
        nearest(name, NAMES.iter().copied()),
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
    let residual = |stem, block, blocks| -> Result<Box<dyn Backbone>> {
        Ok(Box::new(ResNet::new(stem, block, blocks, &settings.widths)?))
    };
    match settings.name.as_str() {
        "resnet20" => cifar(20),
        "resnet32" => cifar(32),
        "resnet44" => cifar(44),
        "resnet56" => cifar(56),
        "resnet110" => cifar(110),
        "cifar_resnet" => cifar(if settings.depth == 0 { 32 } else { settings.depth }),
        "convnet" => Ok(Box::new(convnet::ConvNet::new(&settings.widths, &settings.strides)?)),
        "resnet18" => residual(Stem::Large, Block::Basic, [2, 2, 2, 2]),
        "resnet34" => residual(Stem::Large, Block::Basic, [3, 4, 6, 3]),
        "resnet50" => residual(Stem::Large, Block::Bottleneck, [3, 4, 6, 3]),
        "cifar_resnet18" => residual(Stem::Small, Block::Basic, [2, 2, 2, 2]),
        "resnetv2_50" => Ok(Box::new(preact_resnet::PreActResNet::new([3, 4, 6, 3], &settings.widths)?)),
        "alexnet" => Ok(Box::new(alexnet::AlexNet::new(alexnet::BIG, &settings.widths)?)),
        "alexnet_small" => Ok(Box::new(alexnet::AlexNet::new(alexnet::SMALL, &settings.widths)?)),
        "vgg16" => Ok(Box::new(vgg::Vgg::new(&settings.widths, Initialiser::XavierUniform)?)),
        other => Err(unknown(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::DType;
    use crate::nn::{Phase, TensorSpec};

    /// Trained values of a network without heads, its features, and PyTorch's names.
    fn built(name: &str, side: usize) -> (usize, usize, Vec<String>) {
        let settings = ModelSettings { name: name.into(), ..ModelSettings::default() };
        let mut b = Builder::new(Phase::Train { update: true });
        let x = b.graph.input("images", &[2, side, side, 3], DType::F32);
        let features = backbone(&settings).expect("a known name").features(&mut b, x).expect("shapes");
        let parts: Vec<_> = b.parameters().iter().flat_map(TensorSpec::torch_parts).collect();
        let count = parts.iter().map(|(_, sizes)| sizes.iter().product::<usize>()).sum();
        (count, b.graph.shape(features).last(), parts.into_iter().map(|(name, _)| name).collect())
    }

    #[test]
    fn sizes_are_the_published_ones() {
        // Trunks: torchvision's counts less the classifier of 1000 classes, and SLA's cresnet32.
        for (name, side, parameters, features) in [
            ("resnet20", 32, 269_722 - 650, 64),
            ("resnet32", 32, 463_504, 64),
            ("resnet110", 32, 1_727_312, 64),
            ("resnet18", 64, 11_689_512 - 513_000, 512),
            ("resnet34", 64, 21_797_672 - 513_000, 512),
            ("resnet50", 64, 25_557_032 - 2_049_000, 2048),
            ("cifar_resnet18", 32, 11_173_962 - 5_130, 512),
            ("resnetv2_50", 64, 23_496_256, 2048),
            // Convolutions with their biases and batch-norm, then 9216 → 4096 → 4096.
            ("alexnet", 224, 3_749_952 + 54_534_144, 4096),
            ("alexnet_small", 224, 2_472_000 + 54_534_144, 4096),
            // The convolutional part of torchvision's `vgg16_bn`.
            ("vgg16", 32, 14_723_136, 512),
        ] {
            let (count, width, _) = built(name, side);
            assert_eq!((count, width), (parameters, features), "{name}");
        }
    }

    #[test]
    fn names_are_torchvisions() {
        let (_, _, names) = built("resnet50", 64);
        for name in
            ["conv1.weight", "bn1.bias", "layer1.0.downsample.0.weight", "layer3.5.conv2.weight", "layer4.2.bn3.weight"]
        {
            assert!(names.iter().any(|n| n == name), "{name}");
        }
        assert!(!names.iter().any(|n| n.starts_with("layer2.1.downsample")));
        let (_, _, names) = built("cifar_resnet18", 32);
        assert!(names.iter().any(|n| n == "layer2.0.downsample.0.weight") && names.len() == 60);
    }

    #[test]
    fn names_are_those_of_the_official_code() {
        let (_, _, names) = built("alexnet", 224);
        for name in
            ["features.0.bias", "features.5.weight", "features.14.weight", "features.15.bias", "classifier.4.bias"]
        {
            assert!(names.iter().any(|n| n == name), "{name}");
        }
        assert_eq!(names.len(), 5 * 4 + 4);
        let (_, _, names) = built("resnetv2_50", 64);
        for name in ["features.0.weight", "features.2.0.shortcut.0.weight", "features.5.2.bn3.bias"] {
            assert!(names.iter().any(|n| n == name), "{name}");
        }
        assert!(!names.iter().any(|n| n.starts_with("features.2.1.shortcut")));
    }

    #[test]
    fn images_too_small_for_alexnet_are_refused() {
        let features = |side: usize| {
            let settings = ModelSettings { name: "alexnet".into(), ..ModelSettings::default() };
            let mut b = Builder::new(Phase::Evaluate);
            let x = b.graph.input("images", &[2, side, side, 3], DType::F32);
            backbone(&settings).expect("a known name").features(&mut b, x).map(|_| ())
        };
        assert!(features(63).is_ok());
        let error = features(62).expect_err("no pixel would be left").to_string();
        assert!(error.contains("63 x 63") && error.contains("62 x 62"), "{error}");
    }

    #[test]
    fn wrong_settings_are_refused() {
        let refused = |settings: ModelSettings, part: &str| {
            let error = backbone(&settings).map(drop).expect_err("refused").to_string();
            assert!(error.contains(part), "{error}");
        };
        let of = |name: &str| ModelSettings { name: name.into(), ..ModelSettings::default() };
        refused(of("resnet33"), "resnet3");
        refused(ModelSettings { depth: 33, ..of("cifar_resnet") }, "6n + 2");
        refused(ModelSettings { depth: 20, ..of("resnet32") }, "cifar_resnet");
        refused(ModelSettings { widths: vec![16, 8, 8], ..of("resnet20") }, "falls");
        refused(ModelSettings { widths: vec![16], strides: vec![1, 2], ..of("convnet") }, "one stride");
        refused(ModelSettings { widths: vec![8; 5], ..of("alexnet") }, "takes six");
        refused(ModelSettings { widths: vec![8, 8, 8, 8, 6, 8], ..of("alexnet_small") }, "multiple of four");
        refused(ModelSettings { widths: vec![8; 3], ..of("resnetv2_50") }, "four stages");
        refused(ModelSettings { strides: vec![2], ..of("resnet18") }, "convnet");
        refused(ModelSettings { widths: vec![8; 4], ..of("vgg16") }, "five blocks");
    }
}
