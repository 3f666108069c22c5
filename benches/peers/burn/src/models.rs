//! The two networks of the training steps, as `relabel` builds them, from burn's own layers.

use burn::module::Initializer;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::prelude::*;
use burn::tensor::activation::relu;

/// What a training step needs of a network.
pub trait Network: Module {
    /// `(rows, classes)` of images `(rows, channels, height, width)`.
    fn logits(&self, images: Tensor<4>) -> Tensor<2>;

    /// Weight of the first convolution, the last whose gradient is known.
    fn first_weight(&self) -> Tensor<4>;
}

/// A 3×3 convolution without bias, then batch normalisation.
#[derive(Module, Debug)]
pub struct Normalised {
    convolution: Conv2d,
    norm: BatchNorm,
}

impl Normalised {
    fn new(input: usize, output: usize, stride: usize, device: &Device) -> Self {
        let convolution = Conv2dConfig::new([input, output], [3, 3])
            .with_stride([stride; 2])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
            .with_bias(false)
            .with_initializer(Initializer::KaimingNormal { gain: 2f64.sqrt(), fan_out_only: true })
            .init(device);
        Self { convolution, norm: BatchNormConfig::new(output).init(device) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward(self.convolution.forward(x))
    }
}

/// Mean over height and width.
fn global_average_pool(x: Tensor<4>) -> Tensor<2> {
    let [rows, channels, height, width] = x.dims();
    x.reshape([rows, channels, height * width]).mean_dim(2).reshape([rows, channels])
}

/// The demo network: 3×3 convolutions with batch-norm and ReLU, global average pooling, a linear head.
#[derive(Module, Debug)]
pub struct ConvNet {
    layers: Vec<Normalised>,
    head: Linear,
}

impl ConvNet {
    /// Widths 16, 32, 64, 128, each of stride 2.
    pub fn new(channels: usize, classes: usize, device: &Device) -> Self {
        let layers = [(channels, 16, 2), (16, 32, 2), (32, 64, 2), (64, 128, 2)];
        Self {
            layers: layers.map(|(input, output, stride)| Normalised::new(input, output, stride, device)).to_vec(),
            head: LinearConfig::new(128, classes).init(device),
        }
    }
}

impl Network for ConvNet {
    fn logits(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.layers.iter().fold(images, |x, layer| relu(layer.forward(x)));
        self.head.forward(global_average_pool(x))
    }

    fn first_weight(&self) -> Tensor<4> {
        self.layers[0].convolution.weight.val()
    }
}

/// Shortcut option A of He et al. (2016): every second pixel, zero channels appended.
pub fn shortcut_a(x: Tensor<4>, width: usize) -> Tensor<4> {
    let x = x.slice(s![.., .., ..;2, ..;2]);
    let [rows, channels, height, columns] = x.dims();
    let zeros = Tensor::zeros([rows, width - channels, height, columns], &x.device());
    Tensor::cat(vec![x, zeros], 1)
}

/// Two convolutions and a shortcut.
#[derive(Module, Debug)]
pub struct Block {
    first: Normalised,
    second: Normalised,
    width: usize,
    widens: bool,
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.second.forward(relu(self.first.forward(x.clone())));
        relu(y + if self.widens { shortcut_a(x, self.width) } else { x })
    }
}

/// ResNet-32 for small images: three stages of five basic blocks, widths 16, 32, 64.
#[derive(Module, Debug)]
pub struct ResNet32 {
    stem: Normalised,
    blocks: Vec<Block>,
    head: Linear,
}

impl ResNet32 {
    /// A network for images of `channels` channels.
    pub fn new(channels: usize, classes: usize, device: &Device) -> Self {
        let mut input = 16;
        let mut blocks = Vec::new();
        for width in [16, 32, 64] {
            for _ in 0..5 {
                let widens = width != input;
                let first = Normalised::new(input, width, if widens { 2 } else { 1 }, device);
                let second = Normalised::new(width, width, 1, device);
                blocks.push(Block { first, second, width, widens });
                input = width;
            }
        }
        Self {
            stem: Normalised::new(channels, 16, 1, device),
            blocks,
            head: LinearConfig::new(64, classes).init(device),
        }
    }
}

impl Network for ResNet32 {
    fn logits(&self, images: Tensor<4>) -> Tensor<2> {
        let x = relu(self.stem.forward(images));
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        self.head.forward(global_average_pool(x))
    }

    fn first_weight(&self) -> Tensor<4> {
        self.stem.convolution.weight.val()
    }
}
