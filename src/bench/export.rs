//! What a peer needs to repeat the timed steps and to be checked first: weights, batches, settings, and our own losses.

use std::sync::Arc;

use super::Options;
use super::cases::{Case, named};
use crate::base::philox::Stream;
use crate::base::{Error, Result};
use crate::data::{Draw, ImageSet, Sampler, gather_pixels};
use crate::gpu::Engine;
use crate::graph::Precision;
use crate::train::checkpoint::{Checkpoint, LABELS, NamedTensor, OPTIMIZER, TensorData};

/// Steps whose losses are told.
const STEPS: usize = 3;
/// The labels of a method that sorts images into clusters, `(heads, images)`.
const ASSIGNED: &str = "labels.assigned";
/// The second network's weights, where there is one.
const GENERATOR: &str = "labels.generator.";

/// Hands `write` one file a step whose name holds `name`: the checkpoint before the first step (PyTorch's names; the
/// settings are in its header), without the optimizer's zeros, and beside the weights
///
/// - `batch.images (S, B, H, W, C)`, bytes, `batch.labels (S, B)`, `batch.assigned (S, heads, B)` for `sela`;
/// - `meta.images`, `meta.labels` for `maxl`: meta step `i` comes between the training steps `i` and `i + 1`;
/// - `losses (S)`, the mean over the batch in each step; `moved (2)`, by how much the weights of the network, and of the
///   label generator, differ at the end: the root of the sum of squares.
///
/// Images are not augmented.
///
/// # Errors
/// When the adapter has no room, or fails, no step is called `name`, or `write` fails.
pub fn export(
    engine: &Arc<Engine>,
    options: &Options,
    name: &str,
    write: &mut dyn FnMut(&str, &Checkpoint) -> Result<()>,
) -> Result<()> {
    // A peer has half precision of its own.
    for case in named(&Options { full: true, ..*options }, name)?.iter().filter(|case| case.precision == Precision::F32)
    {
        write(&format!("{}-{}", case.network, case.method), &exported(engine, case)?)?;
    }
    Ok(())
}

fn exported(engine: &Arc<Engine>, case: &Case) -> Result<Checkpoint> {
    let mut trainer = case.trainer(engine, false)?;
    let mut checkpoint = trainer.checkpoint()?;
    let set = Arc::clone(&trainer.datasets().train);
    let draws: Vec<Vec<Draw>> = (0..STEPS as u64).map(|step| trainer.draws(step)).collect();
    let mut tensors = batches("batch", &set, &draws);
    if case.method == "sela" {
        tensors.push(assigned(&checkpoint, &draws)?);
    }
    if case.method == "maxl" {
        let train = &trainer.config().train;
        let sampler = Sampler::new(train.sampler, trainer.config().seed, set.count(), train.batch)?;
        let mut sampler = sampler.on(Stream::MetaShuffle);
        let draws: Vec<Vec<Draw>> = (0..STEPS as u64).map(|step| sampler.batch(step)).collect();
        tensors.extend(batches("meta", &set, &draws));
    }
    let losses = (0..STEPS).map(|_| trainer.loss_of_next()).collect::<Result<Vec<f32>>>()?;
    let after = trainer.checkpoint()?;
    let own = |name: &str| !name.starts_with(LABELS) && !name.starts_with(OPTIMIZER);
    let moved = [distance(&checkpoint, &after, &own), distance(&checkpoint, &after, &|n| n.starts_with(GENERATOR))];
    tensors.push(NamedTensor::f32("losses", &[STEPS], losses));
    tensors.push(NamedTensor::f32("moved", &[2], moved.to_vec()));
    checkpoint.tensors.retain(|t| !t.name.contains(OPTIMIZER));
    checkpoint.tensors.extend(tensors);
    Ok(checkpoint)
}

fn batches(name: &str, set: &ImageSet, draws: &[Vec<Draw>]) -> Vec<NamedTensor> {
    let (steps, batch) = (draws.len(), draws[0].len());
    let pixels = draws.iter().flat_map(|draws| gather_pixels(set, draws)).collect();
    let labels = draws.iter().flatten().map(|draw| i64::from(set.labels[draw.index as usize])).collect();
    vec![
        NamedTensor {
            name: format!("{name}.images"),
            shape: vec![steps, batch, set.height, set.width, set.channels],
            data: TensorData::U8(pixels),
        },
        NamedTensor { name: format!("{name}.labels"), shape: vec![steps, batch], data: TensorData::I64(labels) },
    ]
}

fn assigned(checkpoint: &Checkpoint, draws: &[Vec<Draw>]) -> Result<NamedTensor> {
    let table = checkpoint.get(ASSIGNED)?;
    let (TensorData::I32(values), &[heads, images]) = (&table.data, &table.shape[..]) else {
        return Err(Error::Checkpoint(format!("`{ASSIGNED}` is not (heads, images) of I32")));
    };
    let of = |head: usize, draw: &Draw| i64::from(values[head * images + draw.index as usize]);
    let rows = draws.iter().flat_map(|draws| (0..heads).flat_map(move |head| draws.iter().map(move |d| of(head, d))));
    let shape = vec![draws.len(), heads, draws[0].len()];
    Ok(NamedTensor { name: "batch.assigned".into(), shape, data: TensorData::I64(rows.collect()) })
}

/// The root of the summed squares of the differences of those tensors, running statistics left out.
fn distance(before: &Checkpoint, after: &Checkpoint, belongs: &dyn Fn(&str) -> bool) -> f32 {
    let mut sum = 0.0;
    for tensor in before.tensors.iter().filter(|t| belongs(&t.name) && !t.name.contains(".running_")) {
        if let (TensorData::F32(a), Ok(TensorData::F32(b))) = (&tensor.data, after.get(&tensor.name).map(|t| &t.data)) {
            sum += a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>();
        }
    }
    sum.sqrt() as f32
}
