//! The networks of the training steps from burn's own layers, under the names of relabel's checkpoints.

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::prelude::*;
use burn::tensor::activation::relu;

use crate::exported::Exported;
use crate::weights::Loader;

/// A convolution without bias, then batch normalisation.
#[derive(Module, Debug)]
struct Normalised {
    convolution: Conv2d,
    norm: BatchNorm,
}

impl Normalised {
    /// Of the weights `convolution` and `norm`; the window is centred.
    fn new(from: &mut Loader, convolution: &str, norm: &str, stride: usize) -> Result<Self, String> {
        let weight = from.take::<4>(&format!("{convolution}.weight"))?;
        let [output, input, height, width] = weight.dims();
        let mut layer = Conv2dConfig::new([input, output], [height, width])
            .with_stride([stride; 2])
            .with_padding(PaddingConfig2d::Explicit(height / 2, width / 2, height / 2, width / 2))
            .with_bias(false)
            .init(from.device());
        layer.weight = weight;
        let mut normalise = BatchNormConfig::new(output).init(from.device());
        normalise.gamma = from.take(&format!("{norm}.weight"))?;
        normalise.beta = from.take(&format!("{norm}.bias"))?;
        Ok(Self { convolution: layer, norm: normalise })
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward(self.convolution.forward(x))
    }
}

/// Two convolutions and a shortcut.
#[derive(Module, Debug)]
struct Block {
    first: Normalised,
    second: Normalised,
    /// Whether input and output have the same sizes.
    same: bool,
    /// A 1×1 convolution where they differ; else option A of He et al. (2016).
    projection: Option<Normalised>,
}

impl Block {
    fn new(from: &mut Loader, name: &str, stride: usize, projects: bool) -> Result<Self, String> {
        let at = |layer: &str| format!("{name}.{layer}");
        let first = Normalised::new(from, &at("conv1"), &at("bn1"), stride)?;
        let second = Normalised::new(from, &at("conv2"), &at("bn2"), 1)?;
        let same = stride == 1;
        let mut projection = || Normalised::new(from, &at("downsample.0"), &at("downsample.1"), stride);
        let projection = if same || !projects { None } else { Some(projection()?) };
        Ok(Self { first, second, same, projection })
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.second.forward(relu(self.first.forward(x.clone())));
        let x = match &self.projection {
            Some(projection) => projection.forward(x),
            None if self.same => x,
            None => padded(x, y.dims()[1]),
        };
        relu(y + x)
    }
}

/// Every second pixel, zero channels appended up to `width`.
fn padded(x: Tensor<4>, width: usize) -> Tensor<4> {
    let x = x.slice(s![.., .., ..;2, ..;2]);
    let [rows, channels, height, columns] = x.dims();
    let zeros = Tensor::zeros([rows, width - channels, height, columns], &x.device());
    Tensor::cat(vec![x, zeros], 1)
}

/// A network and the linear layers on its features.
#[derive(Module, Debug)]
pub struct Network {
    /// Plain layers, each with ReLU; of a ResNet the stem.
    layers: Vec<Normalised>,
    /// None but in a ResNet.
    blocks: Vec<Block>,
    heads: Vec<Linear>,
}

impl Network {
    /// The network of a step with heads of these names, at the weights of `from`.
    ///
    /// # Errors
    /// When there is no such network here, or the weights are not its own.
    pub fn new(step: &Exported, heads: &[String], from: &mut Loader) -> Result<Self, String> {
        let (mut layers, mut blocks) = (Vec::new(), Vec::new());
        let mut resnet = |from: &mut Loader, stages, count, projection| {
            for (stage, block) in (1..=stages).flat_map(|stage| (0..count).map(move |block| (stage, block))) {
                let stride = if stage > 1 && block == 0 { 2 } else { 1 };
                blocks.push(Block::new(from, &format!("layer{stage}.{block}"), stride, projection)?);
            }
            Normalised::new(from, "conv1", "bn1", 1).map(|stem| vec![stem])
        };
        match step.setting("model", "name")?.as_str().unwrap_or_default() {
            "convnet" => {
                let strides = step.setting("model", "strides")?.as_array().map(Vec::as_slice).unwrap_or_default();
                for (i, stride) in strides.iter().filter_map(toml::Value::as_integer).enumerate() {
                    let [convolution, norm] = ["conv", "bn"].map(|layer| format!("{layer}{}", i + 1));
                    layers.push(Normalised::new(from, &convolution, &norm, stride as usize)?);
                }
            }
            "resnet32" => layers = resnet(from, 3, 5, false)?,
            "cifar_resnet18" => layers = resnet(from, 4, 2, true)?,
            name => return Err(format!("no network {name} here")),
        }
        let heads = heads.iter().map(|name| {
            // burn keeps a linear layer's weight the other way round.
            let weight = from.take_transposed(&format!("{name}.weight"))?;
            let [input, output] = weight.dims();
            let mut head = LinearConfig::new(input, output).init(from.device());
            head.weight = weight;
            head.bias = Some(from.take(&format!("{name}.bias"))?);
            Ok(head)
        });
        let heads = heads.collect::<Result<Vec<Linear>, String>>()?;
        Ok(Self { layers, blocks, heads })
    }

    /// Of each head `(rows, outputs)`, of images `(rows, channels, height, width)`.
    pub fn logits(&self, images: Tensor<4>) -> Vec<Tensor<2>> {
        let x = self.layers.iter().fold(images, |x, layer| relu(layer.forward(x)));
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        let [rows, channels, height, width] = x.dims();
        let features: Tensor<2> = x.reshape([rows, channels, height * width]).mean_dim(2).reshape([rows, channels]);
        self.heads.iter().map(|head| head.forward(features.clone())).collect()
    }

    /// Weight of the first convolution, the last whose gradient is known.
    pub fn first_weight(&self) -> Tensor<4> {
        self.layers[0].convolution.weight.val()
    }
}
