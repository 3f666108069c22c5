//! The residual network for small images of He et al. (2016), section 4.2, as SLA uses it (`cresnet32`): 3×3 stem,
//! stages of basic blocks, shortcut option A (subsample, then zero channels appended), global average pooling.

use super::Backbone;
use crate::base::{Error, Result};
use crate::graph::NodeId;
use crate::graph::ops::conv2d::Convolution;
use crate::nn::{Builder, Initialiser};

/// `conv1`, `bn1`, `layer1..S` of `blocks` basic blocks each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CifarResNet {
    /// Basic blocks a stage.
    pub blocks: usize,
    /// Channels of each stage; the first stage's is the stem's.
    pub widths: Vec<usize>,
}

const INITIALISER: Initialiser = Initialiser::KaimingNormalFanOut;

impl CifarResNet {
    /// A network of `depth` layers; `widths` empty means 16, 32, 64.
    ///
    /// # Errors
    /// When the depth is not `2·stages·n + 2`, or widths fall (option A cannot drop channels).
    pub fn new(depth: usize, widths: &[usize]) -> Result<Self> {
        let widths = if widths.is_empty() { vec![16, 32, 64] } else { widths.to_vec() };
        let per_block = 2 * widths.len();
        if depth < per_block + 2 || !(depth - 2).is_multiple_of(per_block) {
            return Err(Error::Config(format!(
                "model.depth = {depth}: with {} stages a depth is {per_block}n + 2 with n at least 1, such as {}, {} or {}",
                widths.len(),
                per_block + 2,
                2 * per_block + 2,
                5 * per_block + 2
            )));
        }
        if let Some(w) = widths.windows(2).find(|w| w[1] < w[0]) {
            return Err(Error::Config(format!(
                "model.widths: {} after {} falls; shortcut option A only appends channels",
                w[1], w[0]
            )));
        }
        Ok(Self { blocks: (depth - 2) / per_block, widths })
    }
}

impl Backbone for CifarResNet {
    fn features(&self, b: &mut Builder, x: NodeId) -> Result<NodeId> {
        let three = |stride| Convolution { stride, padding: 1 };
        let mut x = b.conv2d("conv1", x, self.widths[0], 3, three(1), INITIALISER)?;
        x = b.batch_norm("bn1", x)?;
        x = b.graph.relu(x)?;
        for (stage, &width) in self.widths.iter().enumerate() {
            for block in 0..self.blocks {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                x = b.within(&format!("layer{}", stage + 1), |b| {
                    b.within(&block.to_string(), |b| {
                        let mut y = b.conv2d("conv1", x, width, 3, three(stride), INITIALISER)?;
                        y = b.batch_norm("bn1", y)?;
                        y = b.graph.relu(y)?;
                        y = b.conv2d("conv2", y, width, 3, three(1), INITIALISER)?;
                        y = b.batch_norm("bn2", y)?;
                        let shortcut = if b.graph.shape(x) == b.graph.shape(y) {
                            x
                        } else {
                            b.graph.shortcut_a(x, stride, width)?
                        };
                        let sum = b.graph.add(y, shortcut)?;
                        b.graph.relu(sum)
                    })
                })?;
            }
        }
        b.graph.global_average_pool(x)
    }
}
