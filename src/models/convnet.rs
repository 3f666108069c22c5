//! A small plain network for small data: 3×3 convolutions with batch-norm and ReLU, global average pooling.

use super::Backbone;
use crate::base::{Error, Result};
use crate::graph::NodeId;
use crate::graph::ops::conv2d::Convolution;
use crate::nn::{Builder, Initialiser};

/// `conv1`, `bn1`, `conv2`, `bn2`, …
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvNet {
    /// Channels of each convolution.
    pub widths: Vec<usize>,
    /// Stride of each convolution.
    pub strides: Vec<usize>,
}

impl ConvNet {
    /// `widths` empty means 16, 32, 64, 64; `strides` empty means 2, 1, 2, 1, …
    ///
    /// # Errors
    /// When the two lists differ in length.
    pub fn new(widths: &[usize], strides: &[usize]) -> Result<Self> {
        let widths = if widths.is_empty() { vec![16, 32, 64, 64] } else { widths.to_vec() };
        let strides =
            if strides.is_empty() { (0..widths.len()).map(|i| 2 - i % 2).collect() } else { strides.to_vec() };
        if widths.len() != strides.len() {
            return Err(Error::Config(format!(
                "model.widths has {} entries and model.strides {}: one stride a convolution",
                widths.len(),
                strides.len()
            )));
        }
        Ok(Self { widths, strides })
    }
}

impl Backbone for ConvNet {
    fn features(&self, b: &mut Builder, x: NodeId) -> Result<NodeId> {
        let mut x = x;
        for (i, (&width, &stride)) in self.widths.iter().zip(&self.strides).enumerate() {
            let convolution = Convolution { stride, padding: 1 };
            x = b.conv2d(&format!("conv{}", i + 1), x, width, 3, convolution, Initialiser::KaimingNormalFanOut)?;
            x = b.batch_norm(&format!("bn{}", i + 1), x)?;
            x = b.graph.relu(x)?;
        }
        b.graph.global_average_pool(x)
    }
}
