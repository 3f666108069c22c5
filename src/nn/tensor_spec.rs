//! A trained or running tensor: its layout on the device, and its names, sizes and layout in PyTorch. The two meet here
//! and nowhere else.

use super::Initialiser;
use crate::base::{Error, Result, Shape, pad4};

/// What a tensor is, with the sizes that both layouts follow from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Device `[kh, kw, pad4(in), out]`; PyTorch OIHW.
    Convolution {
        /// Height and width of the kernel.
        kernel: [usize; 2],
        /// Input channels.
        input: usize,
        /// Output channels.
        output: usize,
    },
    /// Device `[pad4(in), out]`; PyTorch `[out, in]`.
    Linear {
        /// Input features.
        input: usize,
        /// Output features.
        output: usize,
    },
    /// A linear layer on a flattened image: device `[height·width·channels, out]` (channels innermost); PyTorch
    /// `[out, channels·height·width]` (channels outermost).
    FlattenedLinear {
        /// Height, width and channels of the image; the channels a multiple of four.
        image: [usize; 3],
        /// Output features.
        output: usize,
    },
    /// `[n]` in both.
    Vector {
        /// Length.
        length: usize,
    },
    /// Device `[2, C]`, two PyTorch vectors: row 0 and row 1 under the names given (batch-norm's bias and weight,
    /// running mean and variance).
    Rows {
        /// C.
        channels: usize,
        /// PyTorch's name of each row after the layer's own.
        names: [&'static str; 2],
    },
    /// Linear layers of one size on the same features, which one product computes: device `[pad4(in), heads · pad4(out)]`, a head's
    /// columns together; PyTorch a tensor `[out, in]` of each head, its number after the layer's name.
    Heads {
        /// Linear layers.
        heads: usize,
        /// Input features.
        input: usize,
        /// Output features of each.
        output: usize,
    },
    /// Their biases: device `[heads · pad4(out)]`; PyTorch `[out]` of each head.
    HeadBiases {
        /// Linear layers.
        heads: usize,
        /// Output features of each.
        output: usize,
    },
}

/// One named tensor of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    /// Name of the graph's leaf. For all but [`Layout::Rows`] and heads it is PyTorch's name as well.
    pub name: String,
    /// Layout.
    pub layout: Layout,
    /// How it starts (each row, for [`Layout::Rows`]).
    pub start: [Initialiser; 2],
    /// PyTorch's fans for the initialiser.
    pub fans: [usize; 2],
}

/// A tensor as PyTorch has it.
#[derive(Clone, Debug, PartialEq)]
pub struct TorchTensor {
    /// PyTorch's name.
    pub name: String,
    /// PyTorch's sizes.
    pub sizes: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

impl TensorSpec {
    /// The device's shape.
    pub fn shape(&self) -> Shape {
        match self.layout {
            Layout::Convolution { kernel: [h, w], input, output } => Shape::new(&[h, w, pad4(input), output]),
            Layout::Linear { input, output } => Shape::new(&[pad4(input), output]),
            Layout::FlattenedLinear { image, output } => Shape::new(&[image.iter().product(), output]),
            Layout::Vector { length } => Shape::new(&[length]),
            Layout::Rows { channels, .. } => Shape::new(&[2, channels]),
            Layout::Heads { heads, input, output } => Shape::new(&[pad4(input), heads * pad4(output)]),
            Layout::HeadBiases { heads, output } => Shape::new(&[heads * pad4(output)]),
        }
    }

    /// PyTorch's names and sizes, in the order of [`TensorSpec::to_torch`].
    pub fn torch_parts(&self) -> Vec<(String, Vec<usize>)> {
        let numbered = |heads: usize, sizes: &[usize]| {
            let (layer, part) = self.name.rsplit_once('.').unwrap_or((&self.name, ""));
            (0..heads).map(|head| (format!("{layer}{head}.{part}"), sizes.to_vec())).collect()
        };
        match &self.layout {
            Layout::Convolution { kernel: [h, w], input, output } => {
                vec![(self.name.clone(), vec![*output, *input, *h, *w])]
            }
            Layout::Linear { input, output } => vec![(self.name.clone(), vec![*output, *input])],
            Layout::FlattenedLinear { image, output } => {
                vec![(self.name.clone(), vec![*output, image.iter().product()])]
            }
            Layout::Vector { length } => vec![(self.name.clone(), vec![*length])],
            Layout::Rows { channels, names } => {
                let layer = self.name.rsplit_once('.').map_or("", |(layer, _)| layer);
                names.iter().map(|n| (format!("{layer}.{n}"), vec![*channels])).collect()
            }
            Layout::Heads { heads, input, output } => numbered(*heads, &[*output, *input]),
            Layout::HeadBiases { heads, output } => numbered(*heads, &[*output]),
        }
    }

    /// From the device's logical values to PyTorch's.
    pub fn to_torch(&self, device: &[f32]) -> Vec<TorchTensor> {
        assert_eq!(device.len(), self.shape().elements(), "values of {}", self.name);
        let make = |(i, (name, sizes)): (usize, (String, Vec<usize>))| {
            let mut values = vec![0.0; sizes.iter().product()];
            self.pairs(i, |torch, at| values[torch] = device[at]);
            TorchTensor { name, sizes, values }
        };
        self.torch_parts().into_iter().enumerate().map(make).collect()
    }

    /// From PyTorch's tensors, found by name, to the device's logical values (pads zero).
    ///
    /// # Errors
    /// When `find` fails or a tensor has other sizes: both are named.
    pub fn from_torch(&self, mut find: impl FnMut(&str) -> Result<TorchTensor>) -> Result<Vec<f32>> {
        let mut device = vec![0.0; self.shape().elements()];
        for (i, (name, sizes)) in self.torch_parts().into_iter().enumerate() {
            let found = find(&name)?;
            if found.sizes != sizes || found.values.len() != sizes.iter().product::<usize>() {
                return Err(Error::Checkpoint(format!(
                    "`{name}` has sizes {:?} in the file and {sizes:?} in the network: another architecture or class count",
                    found.sizes
                )));
            }
            self.pairs(i, |torch, at| device[at] = found.values[torch]);
        }
        Ok(device)
    }

    /// Initial logical values.
    pub fn initialise(&self, seed: u64) -> Result<Vec<f32>> {
        let mut row = 0;
        self.from_torch(|name| {
            let parts = self.torch_parts();
            let sizes = parts.into_iter().find(|(n, _)| n == name).map(|(_, s)| s).unwrap_or_default();
            let count = sizes.iter().product();
            let values = self.start[row.min(1)].draw(seed, name, count, self.fans[0], self.fans[1]);
            row += 1;
            Ok(TorchTensor { name: name.to_owned(), sizes, values })
        })
    }

    /// Calls back with (index in PyTorch's order, index in the device's logical order) for each value of a part.
    fn pairs(&self, part: usize, mut each: impl FnMut(usize, usize)) {
        match self.layout {
            Layout::Convolution { kernel: [kh, kw], input, output } => {
                let padded = pad4(input);
                for o in 0..output {
                    for i in 0..input {
                        for y in 0..kh {
                            for x in 0..kw {
                                each(((o * input + i) * kh + y) * kw + x, ((y * kw + x) * padded + i) * output + o);
                            }
                        }
                    }
                }
            }
            Layout::Linear { input, output } => {
                for o in 0..output {
                    for i in 0..input {
                        each(o * input + i, i * output + o);
                    }
                }
            }
            Layout::FlattenedLinear { image: [height, width, channels], output } => {
                let pixels = height * width;
                for o in 0..output {
                    for c in 0..channels {
                        for p in 0..pixels {
                            each((o * channels + c) * pixels + p, (p * channels + c) * output + o);
                        }
                    }
                }
            }
            Layout::Heads { heads, input, output } => {
                for o in 0..output {
                    for i in 0..input {
                        each(o * input + i, (i * heads + part) * pad4(output) + o);
                    }
                }
            }
            Layout::Vector { length } => (0..length).for_each(|i| each(i, i)),
            Layout::Rows { channels, .. } => (0..channels).for_each(|i| each(i, part * channels + i)),
            Layout::HeadBiases { output, .. } => (0..output).for_each(|i| each(i, part * pad4(output) + i)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(layout: Layout) -> TensorSpec {
        TensorSpec { name: "layer.weight".into(), layout, start: [Initialiser::KaimingUniform; 2], fans: [3, 3] }
    }

    #[test]
    fn torch_layouts_survive_the_round_trip() {
        for layout in [
            Layout::Convolution { kernel: [3, 2], input: 3, output: 5 },
            Layout::Linear { input: 6, output: 7 },
            Layout::FlattenedLinear { image: [2, 3, 4], output: 5 },
            Layout::Vector { length: 5 },
            Layout::Rows { channels: 6, names: ["bias", "weight"] },
            Layout::Heads { heads: 3, input: 6, output: 7 },
            Layout::HeadBiases { heads: 3, output: 7 },
        ] {
            let spec = spec(layout);
            let device = spec.initialise(1).expect("sizes fit");
            let torch = spec.to_torch(&device);
            assert_eq!(torch.len(), spec.torch_parts().len());
            let back =
                spec.from_torch(|n| Ok(torch.iter().find(|t| t.name == n).expect("named").clone())).expect("sizes");
            assert_eq!(device, back);
        }
    }

    #[test]
    fn convolution_places_are_right() {
        let spec = spec(Layout::Convolution { kernel: [1, 2], input: 1, output: 2 });
        // OIHW [[ [ [a, b] ] ], [ [ [c, d] ] ]] → [kh=1, kw=2, 4, out=2]
        let found = TorchTensor { name: String::new(), sizes: vec![2, 1, 1, 2], values: vec![1.0, 2.0, 3.0, 4.0] };
        let device = spec.from_torch(|_| Ok(found.clone())).expect("sizes");
        assert_eq!(device, [1.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_flattened_image_changes_its_order() {
        // PyTorch's columns count channels, rows, columns of a 1 × 2 image with 4 channels; the device's rows the reverse.
        let spec = spec(Layout::FlattenedLinear { image: [1, 2, 4], output: 1 });
        let found = TorchTensor {
            name: String::new(),
            sizes: vec![1, 8],
            values: vec![0.0, 1.0, 10.0, 11.0, 20.0, 21.0, 30.0, 31.0],
        };
        let device = spec.from_torch(|_| Ok(found.clone())).expect("sizes");
        assert_eq!(device, [0.0, 10.0, 20.0, 30.0, 1.0, 11.0, 21.0, 31.0]);
        assert_eq!(spec.to_torch(&device)[0].values, found.values);
    }

    #[test]
    fn heads_stand_beside_each_other() {
        let spec = spec(Layout::Heads { heads: 2, input: 1, output: 3 });
        let found = |name: &str| {
            let first = if name == "layer0.weight" { 1.0 } else { 4.0 };
            assert!(name == "layer0.weight" || name == "layer1.weight", "{name}");
            Ok(TorchTensor { name: name.into(), sizes: vec![3, 1], values: vec![first, first + 1.0, first + 2.0] })
        };
        let device = spec.from_torch(found).expect("sizes");
        assert_eq!(device[..8], [1.0, 2.0, 3.0, 0.0, 4.0, 5.0, 6.0, 0.0]);
        assert!(device.len() == 4 * 8 && device[8..].iter().all(|&pad| pad == 0.0), "{device:?}");
    }

    #[test]
    fn other_sizes_are_refused_by_name() {
        let found = TorchTensor { name: String::new(), sizes: vec![4], values: vec![0.0; 4] };
        let error = spec(Layout::Vector { length: 5 }).from_torch(|_| Ok(found.clone())).expect_err("sizes differ");
        assert!(error.to_string().contains("`layer.weight`"), "{error}");
    }
}
