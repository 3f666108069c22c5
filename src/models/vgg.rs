//! VGG-16 with batch-norm (Simonyan and Zisserman, 2015, configuration D) in the form for CIFAR that MAXL uses: every
//! convolution with a bias, pooling after each of five blocks, no hidden linear layer in the trunk. Names are those of
//! torchvision's `vgg16_bn`.

use super::Backbone;
use crate::base::{Error, Result};
use crate::graph::NodeId;
use crate::graph::ops::conv2d::Convolution;
use crate::nn::{Builder, Initialiser};

/// `features.0` (convolution), `features.1` (batch-norm) to `features.41`.
#[derive(Clone, Debug, PartialEq)]
pub struct Vgg {
    /// Channels of the five blocks.
    pub widths: [usize; 5],
    /// How the convolutions' weights start: MAXL's multi-task network takes Xavier's uniform form, its label generator
    /// the normal one.
    pub start: Initialiser,
}

/// Convolutions of each block.
const BLOCKS: [usize; 5] = [2, 2, 3, 3, 3];
/// Smallest side at which a pixel is left after the fifth pooling.
const SMALLEST: usize = 32;

impl Vgg {
    /// `widths` empty means 64, 128, 256, 512, 512.
    ///
    /// # Errors
    /// When there are not five widths.
    pub fn new(widths: &[usize], start: Initialiser) -> Result<Self> {
        let widths = match *widths {
            [] => [64, 128, 256, 512, 512],
            [a, b, c, d, e] => [a, b, c, d, e],
            _ => {
                return Err(Error::Config(format!(
                    "model.widths has {} entries; VGG-16 has five blocks",
                    widths.len()
                )));
            }
        };
        Ok(Self { widths, start })
    }
}

impl Backbone for Vgg {
    fn features(&self, b: &mut Builder, x: NodeId) -> Result<NodeId> {
        if let &[_, h, w, _] = b.graph.shape(x).sizes()
            && h.min(w) < SMALLEST
        {
            return Err(Error::Config(format!(
                "VGG-16 takes images of at least {SMALLEST} x {SMALLEST} pixels, not {h} x {w}; enlarge them, or choose \
                 model.name = \"convnet\""
            )));
        }
        let three = Convolution { stride: 1, padding: 1 };
        let (mut x, mut place) = (x, 0);
        for (width, convolutions) in self.widths.into_iter().zip(BLOCKS) {
            for _ in 0..convolutions {
                x = b.conv2d_biased(&format!("features.{place}"), x, width, 3, three, self.start)?;
                x = b.batch_norm(&format!("features.{}", place + 1), x)?;
                x = b.graph.relu(x)?;
                place += 3;
            }
            x = b.graph.max_pool(x, 2, 2, 0)?;
            place += 1;
        }
        // One pixel is left of 32 x 32, as published; of larger images their mean.
        b.graph.global_average_pool(x)
    }

    fn head_start(&self) -> [Initialiser; 2] {
        [self.start, Initialiser::Zeros]
    }
}
