//! The residual networks for 224×224 images of He et al. (2016), table 1, under torchvision's names: 7×7 stem with
//! stride 2, 3×3 max-pooling, four stages, projection shortcuts (`downsample.0`, `downsample.1`). For small images the
//! stem is one 3×3 convolution with stride 1, without pooling: the usual form for CIFAR.

use super::Backbone;
use crate::base::{Error, Result};
use crate::graph::NodeId;
use crate::graph::ops::conv2d::Convolution;
use crate::nn::{Builder, Initialiser};

/// Kind of residual block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Two 3×3 convolutions (ResNet-18, -34).
    Basic,
    /// 1×1, 3×3 (with the stride, as torchvision), 1×1 to four times the width (ResNet-50).
    Bottleneck,
}

/// What stands before the stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stem {
    /// 7×7 with stride 2, then 3×3 max-pooling with stride 2.
    Large,
    /// 3×3 with stride 1.
    Small,
}

/// `conv1`, `bn1`, `layer1..4`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResNet {
    stem: Stem,
    block: Block,
    blocks: [usize; 4],
    widths: Vec<usize>,
}

const INITIALISER: Initialiser = Initialiser::KaimingNormalFanOut;

impl ResNet {
    /// `widths` empty means 64, 128, 256, 512.
    ///
    /// # Errors
    /// When there are not four widths.
    pub fn new(stem: Stem, block: Block, blocks: [usize; 4], widths: &[usize]) -> Result<Self> {
        let widths = if widths.is_empty() { vec![64, 128, 256, 512] } else { widths.to_vec() };
        if widths.len() != 4 {
            return Err(Error::Config(format!(
                "model.widths has {} entries; this network has four stages",
                widths.len()
            )));
        }
        Ok(Self { stem, block, blocks, widths })
    }

    fn residual(&self, b: &mut Builder, x: NodeId, width: usize, stride: usize) -> Result<NodeId> {
        let one = |stride| Convolution { stride, padding: 0 };
        let three = |stride| Convolution { stride, padding: 1 };
        let (mut y, output) = match self.block {
            Block::Basic => {
                let y = b.conv2d("conv1", x, width, 3, three(stride), INITIALISER)?;
                let y = b.batch_norm("bn1", y)?;
                let y = b.graph.relu(y)?;
                let y = b.conv2d("conv2", y, width, 3, three(1), INITIALISER)?;
                (b.batch_norm("bn2", y)?, width)
            }
            Block::Bottleneck => {
                let y = b.conv2d("conv1", x, width, 1, one(1), INITIALISER)?;
                let y = b.batch_norm("bn1", y)?;
                let y = b.graph.relu(y)?;
                let y = b.conv2d("conv2", y, width, 3, three(stride), INITIALISER)?;
                let y = b.batch_norm("bn2", y)?;
                let y = b.graph.relu(y)?;
                let y = b.conv2d("conv3", y, 4 * width, 1, one(1), INITIALISER)?;
                (b.batch_norm("bn3", y)?, 4 * width)
            }
        };
        let shortcut = if stride == 1 && b.graph.shape(x).last() == output {
            x
        } else {
            b.within("downsample", |b| {
                let s = b.conv2d("0", x, output, 1, one(stride), INITIALISER)?;
                b.batch_norm("1", s)
            })?
        };
        y = b.graph.add(y, shortcut)?;
        b.graph.relu(y)
    }
}

impl Backbone for ResNet {
    fn features(&self, b: &mut Builder, x: NodeId) -> Result<NodeId> {
        let (kernel, convolution) = match self.stem {
            Stem::Large => (7, Convolution { stride: 2, padding: 3 }),
            Stem::Small => (3, Convolution { stride: 1, padding: 1 }),
        };
        let mut x = b.conv2d("conv1", x, self.widths[0], kernel, convolution, INITIALISER)?;
        x = b.batch_norm("bn1", x)?;
        x = b.graph.relu(x)?;
        if self.stem == Stem::Large {
            x = b.graph.max_pool(x, 3, 2, 1)?;
        }
        for (stage, (&width, &blocks)) in self.widths.iter().zip(&self.blocks).enumerate() {
            for block in 0..blocks {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                x = b.within(&format!("layer{}", stage + 1), |b| {
                    b.within(&block.to_string(), |b| self.residual(b, x, width, stride))
                })?;
            }
        }
        b.graph.global_average_pool(x)
    }
}
