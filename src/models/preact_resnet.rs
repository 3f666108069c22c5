//! The pre-activation ResNet-50 of He et al. (2016, "Identity mappings in deep residual networks") as SeLa's official
//! code has it: nothing between stem and pooling, projection shortcuts without batch-norm on the activated input, and
//! neither batch-norm nor ReLU before the average pooling. Names are the official ones (`features.2.0.conv1`).

use super::Backbone;
use crate::base::{Error, Result};
use crate::graph::NodeId;
use crate::graph::ops::conv2d::Convolution;
use crate::nn::{Builder, Initialiser};

/// `features.0` (stem), `features.2` to `features.5` (stages of bottleneck blocks).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreActResNet {
    blocks: [usize; 4],
    widths: [usize; 4],
}

/// PyTorch's default: the official code has no initialiser of its own.
const INITIALISER: Initialiser = Initialiser::KaimingUniform;

impl PreActResNet {
    /// `widths` empty means 64, 128, 256, 512; a stage puts out four times its width.
    ///
    /// # Errors
    /// When there are not four widths.
    pub fn new(blocks: [usize; 4], widths: &[usize]) -> Result<Self> {
        let widths = match *widths {
            [] => [64, 128, 256, 512],
            [a, b, c, d] => [a, b, c, d],
            _ => {
                return Err(Error::Config(format!(
                    "model.widths has {} entries; this network has four stages",
                    widths.len()
                )));
            }
        };
        Ok(Self { blocks, widths })
    }
}

fn block(b: &mut Builder, x: NodeId, width: usize, stride: usize) -> Result<NodeId> {
    let one = |stride| Convolution { stride, padding: 0 };
    let active = b.batch_norm("bn1", x)?;
    let active = b.graph.relu(active)?;
    let shortcut = if stride == 1 && b.graph.shape(x).last() == 4 * width {
        x
    } else {
        b.conv2d("shortcut.0", active, 4 * width, 1, one(stride), INITIALISER)?
    };
    let y = b.conv2d("conv1", active, width, 1, one(1), INITIALISER)?;
    let y = b.batch_norm("bn2", y)?;
    let y = b.graph.relu(y)?;
    let y = b.conv2d("conv2", y, width, 3, Convolution { stride, padding: 1 }, INITIALISER)?;
    let y = b.batch_norm("bn3", y)?;
    let y = b.graph.relu(y)?;
    let y = b.conv2d("conv3", y, 4 * width, 1, one(1), INITIALISER)?;
    b.graph.add(y, shortcut)
}

impl Backbone for PreActResNet {
    fn features(&self, b: &mut Builder, x: NodeId) -> Result<NodeId> {
        let stem = Convolution { stride: 2, padding: 3 };
        let mut x = b.conv2d("features.0", x, self.widths[0], 7, stem, INITIALISER)?;
        x = b.graph.max_pool(x, 3, 2, 1)?;
        for (stage, (&width, &blocks)) in self.widths.iter().zip(&self.blocks).enumerate() {
            for i in 0..blocks {
                let stride = if stage > 0 && i == 0 { 2 } else { 1 };
                x = b.within(&format!("features.{}.{i}", stage + 2), |b| block(b, x, width, stride))?;
            }
        }
        b.graph.global_average_pool(x)
    }
}
