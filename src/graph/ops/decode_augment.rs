//! `decode_augment(bytes, draws, settings)`: dataset bytes to normalised floats, with random crop and flip.

use super::Example;
use crate::base::{Array, Result, Shape};
use crate::gpu::Recording;
use crate::graph::ir::no_derivative;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::decode_augment::{self, Settings};

#[derive(Debug)]
struct DecodeAugment {
    settings: Settings,
}

impl Graph {
    /// Images of the draws, cropped, flipped and normalised. Shapes: `bytes` packed words (NHWC), `draws (B, 4)` unsigned
    /// (position in the bytes, sample, epoch, unused) → `(B, OH, OW, C)`.
    ///
    /// # Errors
    /// A configuration error when a random crop is larger than the padded image; otherwise when shapes do not fit.
    pub fn decode_augment(&mut self, bytes: NodeId, draws: NodeId, settings: Settings) -> Result<NodeId> {
        settings.output(self.shape(draws))?;
        self.apply(DecodeAugment { settings }, &[bytes, draws])
    }
}

impl Operation for DecodeAugment {
    fn name(&self) -> &'static str {
        "decode_augment"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        self.settings.output(inputs[1])
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        decode_augment::record(recording, io.inputs[0], io.inputs[1], &self.settings, io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        decode_augment::reference(inputs[0], inputs[1], &self.settings)
    }

    fn vjp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, _: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Err(no_derivative("decode_augment", "bytes"))
    }

    fn jvp(&self, _: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        if t.iter().any(Option::is_some) {
            return Err(no_derivative("decode_augment", "bytes"));
        }
        Ok(None)
    }
}

/// For the checks of device against interpreter.
pub fn examples() -> Vec<Example> {
    let all = decode_augment::some_settings().into_iter().map(|settings| {
        let [bytes, draws] = decode_augment::some_data(&settings, 7, 5);
        let size = settings.crop;
        Example::new(format!("decode_augment {size:?} x {}", settings.channels), vec![bytes, draws], move |g, x| {
            g.decode_augment(x[0], x[1], settings)
        })
        .integer_input(0)
        .integer_input(1)
    });
    all.collect()
}
