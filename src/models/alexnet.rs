//! AlexNet as SeLa has it (Asano et al., 2020, appendix; facts of the official code): Krizhevsky's layers with
//! batch-norm after every convolution, without local response normalisation, groups or the Sobel filter, and dropout
//! before each hidden linear layer. Names are those of the official `nn.Sequential`s.

use super::Backbone;
use crate::base::{Error, Result};
use crate::graph::NodeId;
use crate::graph::ops::conv2d::Convolution;
use crate::nn::{Builder, Initialiser};

/// `features.0` to `features.14` (five convolutions), `classifier.1` and `classifier.4`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlexNet {
    /// Channels of the five convolutions.
    pub convolutions: [usize; 5],
    /// Width of both hidden linear layers, and of the features.
    pub hidden: usize,
}

/// Channels of `alexnet`.
pub const BIG: [usize; 5] = [96, 256, 384, 384, 256];
/// Channels of `alexnet_small`.
pub const SMALL: [usize; 5] = [64, 192, 384, 256, 256];
/// Smallest side at which a pixel is left after the third pooling.
const SMALLEST: usize = 63;
const DROPOUT: f32 = 0.5;

/// Place in `features`, side, stride and padding of each convolution, and whether pooling follows.
const LAYERS: [(usize, usize, Convolution, bool); 5] = [
    (0, 11, Convolution { stride: 4, padding: 2 }, true),
    (4, 5, Convolution { stride: 1, padding: 2 }, true),
    (8, 3, Convolution { stride: 1, padding: 1 }, false),
    (11, 3, Convolution { stride: 1, padding: 1 }, false),
    (14, 3, Convolution { stride: 1, padding: 1 }, true),
];

impl AlexNet {
    /// `widths` empty means `convolutions` and 4096 features; else five channel counts and the width of the linear
    /// layers.
    ///
    /// # Errors
    /// When there are not six widths, or the fifth is not a multiple of four.
    pub fn new(convolutions: [usize; 5], widths: &[usize]) -> Result<Self> {
        match *widths {
            [] => Ok(Self { convolutions, hidden: 4096 }),
            [a, b, c, d, e, hidden] if e.is_multiple_of(4) => Ok(Self { convolutions: [a, b, c, d, e], hidden }),
            [_, _, _, _, e, _] => Err(Error::Config(format!(
                "model.widths: {e} channels before the linear layers of AlexNet; a multiple of four is needed"
            ))),
            _ => Err(Error::Config(format!(
                "model.widths has {} entries; AlexNet takes six: five convolutions, then the linear layers",
                widths.len()
            ))),
        }
    }
}

impl Backbone for AlexNet {
    fn features(&self, b: &mut Builder, x: NodeId) -> Result<NodeId> {
        if let &[_, h, w, _] = b.graph.shape(x).sizes()
            && h.min(w) < SMALLEST
        {
            return Err(Error::Config(format!(
                "AlexNet takes images of at least {SMALLEST} x {SMALLEST} pixels (224 x 224 as published), not {h} x {w}; \
                 enlarge them, or choose a network for small images such as model.name = \"cifar_resnet18\""
            )));
        }
        let mut x = x;
        for (&width, (place, kernel, convolution, pooled)) in self.convolutions.iter().zip(LAYERS) {
            let name = |i: usize| format!("features.{}", place + i);
            let start = Initialiser::KaimingNormalFanOut;
            x = b.conv2d_biased(&name(0), x, width, kernel, convolution, start)?;
            x = b.batch_norm(&name(1), x)?;
            x = b.graph.relu(x)?;
            if pooled {
                x = b.graph.max_pool(x, 3, 2, 0)?;
            }
        }
        let start = self.head_start();
        // A mask on the image tensor is a mask on the flattened one.
        x = b.dropout(x, DROPOUT)?;
        x = b.flattened_linear("classifier.1", x, self.hidden, start)?;
        x = b.graph.relu(x)?;
        x = b.dropout(x, DROPOUT)?;
        x = b.linear_from("classifier.4", x, self.hidden, start)?;
        b.graph.relu(x)
    }

    fn head_start(&self) -> [Initialiser; 2] {
        [Initialiser::NormalHundredth, Initialiser::Zeros]
    }
}
