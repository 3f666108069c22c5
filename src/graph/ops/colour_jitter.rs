//! `colour_jitter(images, draws, settings)`: colour jitter, random greyscale and normalisation of images in [0, 1].

use super::Example;
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::ir::no_derivative;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::colour_jitter::{self, Settings};
use crate::kernels::grey_sums;

#[derive(Debug)]
struct ColourJitter {
    settings: Settings,
}

impl Graph {
    /// Brightness, contrast, saturation and hue in random order, random greyscale, normalisation. Shapes: `images
    /// (B, H, W, C)` in [0, 1], C 1 or 3, `draws (B, 4)` unsigned (unused, sample, epoch, unused) → `(B, H, W, C)`.
    ///
    /// # Errors
    /// When shapes do not fit.
    pub fn colour_jitter(&mut self, images: NodeId, draws: NodeId, settings: Settings) -> Result<NodeId> {
        self.apply(ColourJitter { settings }, &[images, draws])
    }
}

impl Operation for ColourJitter {
    fn name(&self) -> &'static str {
        "colour_jitter"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        match (inputs[0].sizes(), inputs[1].sizes()) {
            (&[batch, _, _, 1 | 3], &[draws, 4]) if batch == draws => Ok(inputs[0].clone()),
            _ => Err(Error::Shape(format!(
                "colour_jitter takes (B, H, W, 1 or 3) and draws (B, 4), not {} and {}",
                inputs[0], inputs[1]
            ))),
        }
    }

    fn scratch(&self, inputs: &[&Shape], _: &Shape) -> Vec<Shape> {
        vec![grey_sums::scratch(inputs[0])]
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        let (images, draws, sums) = (io.inputs[0], io.inputs[1], io.scratch[0]);
        if self.settings.jitter.contrast > 0.0 {
            grey_sums::record(recording, images, draws, &self.settings.jitter, sums)?;
        }
        colour_jitter::record(recording, images, draws, sums, &self.settings, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        colour_jitter::reference(inputs[0], inputs[1], &self.settings)
    }

    fn vjp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, _: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Err(no_derivative("colour_jitter", "images"))
    }

    fn jvp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        if t.iter().any(Option::is_some) {
            return Err(no_derivative("colour_jitter", "images"));
        }
        Ok(None)
    }
}

/// For the checks of device against interpreter.
pub fn examples() -> Vec<Example> {
    let sizes = [[5, 7, 9, 3], [3, 6, 5, 1]];
    let all = sizes.into_iter().flat_map(|s| colour_jitter::some_settings().into_iter().map(move |t| (s, t)));
    all.map(|(sizes, settings)| {
        let [images, draws] = grey_sums::some_images(sizes);
        let name = format!("colour_jitter {sizes:?} {:?}", settings.jitter);
        Example::new(name, vec![images, draws], move |g, x| g.colour_jitter(x[0], x[1], settings))
            .constant_input(0)
            .integer_input(1)
    })
    .collect()
}
