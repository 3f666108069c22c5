//! The layers that are timed: the products of a report of `relabel bench kernels`, at the sizes that it names.

use std::path::Path;

use crate::convolution::Convolution;
use crate::product::Product;

/// What a row of such a report stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// The rows of one shape of convolutions.
    Convolution(Convolution),
    /// One product of matrices.
    Product(Product),
}

/// The layers of a report whose rows' names or shapes hold `only`, in its order.
///
/// # Errors
/// When the file cannot be read or is not a report.
pub fn read(report: &Path, only: &str) -> Result<Vec<Layer>, String> {
    let rows = crate::compare::rows(report)?;
    let rows = rows.iter().filter_map(|row| Some((row["name"].as_str()?, row["shape"].as_str()?)));
    let mut layers: Vec<Layer> = Vec::new();
    for (name, shape) in rows.filter(|(name, shape)| name.contains(only) || shape.contains(only)) {
        if let Some(product) = Product::parse(name, shape) {
            layers.push(Layer::Product(product));
        }
        let Some(mut convolution) = name.starts_with("conv2d").then(|| Convolution::parse(shape)).flatten() else {
            continue;
        };
        let same = |layer: &&mut Layer| matches!(layer, Layer::Convolution(other) if other.text == convolution.text);
        // A network's first layer has no gradient by its input.
        let by_input = name == "conv2d_input_grad";
        match layers.iter_mut().find(same) {
            Some(Layer::Convolution(known)) => known.input_gradient |= by_input,
            _ => {
                convolution.input_gradient = by_input;
                layers.push(Layer::Convolution(convolution));
            }
        }
    }
    Ok(layers)
}
