//! `resized_crop(bytes, draws, settings)`: dataset bytes to normalised floats, through a crop and up to two resizes.

use super::Example;
use crate::base::{Array, Result, Shape};
use crate::gpu::Recording;
use crate::graph::ir::no_derivative;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::crop_taps;
use crate::kernels::resized_crop::{self, Settings};

#[derive(Debug)]
struct ResizedCrop {
    settings: Settings,
}

impl Graph {
    /// Images of the draws: shorter side resized, cropped, the crop resized, flipped and normalised. Shapes: `bytes`
    /// packed words (NHWC), `draws (B, 4)` unsigned (position in the bytes, sample, epoch, unused) → `(B, OH, OW, C)`.
    ///
    /// # Errors
    /// A configuration error when the crop does not fit the images; otherwise when shapes do not fit.
    pub fn resized_crop(&mut self, bytes: NodeId, draws: NodeId, settings: Settings) -> Result<NodeId> {
        settings.output(self.shape(draws))?;
        self.apply(ResizedCrop { settings }, &[bytes, draws])
    }
}

impl Operation for ResizedCrop {
    fn name(&self) -> &'static str {
        "resized_crop"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        self.settings.output(inputs[1])
    }

    fn scratch(&self, _: &[&Shape], output: &Shape) -> Vec<Shape> {
        vec![crop_taps::scratch(output.sizes()[0], &self.settings.crop)]
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        let (bytes, draws, taps) = (io.inputs[0], io.inputs[1], io.scratch[0]);
        crop_taps::record(recording, draws, &self.settings.crop, taps)?;
        resized_crop::record(recording, bytes, draws, taps, &self.settings, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        resized_crop::reference(inputs[0], inputs[1], &self.settings)
    }

    fn vjp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, _: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Err(no_derivative("resized_crop", "bytes"))
    }

    fn jvp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        if t.iter().any(Option::is_some) {
            return Err(no_derivative("resized_crop", "bytes"));
        }
        Ok(None)
    }
}

/// For the checks of device against interpreter.
pub fn examples() -> Vec<Example> {
    let all = resized_crop::some_settings().into_iter().map(|settings| {
        let [bytes, draws] = resized_crop::some_data(&settings, 5, 4);
        let name = format!("resized_crop {:?} x {}", settings.crop, settings.channels);
        Example::new(name, vec![bytes, draws], move |g, x| g.resized_crop(x[0], x[1], settings))
            .integer_input(0)
            .integer_input(1)
    });
    all.collect()
}
