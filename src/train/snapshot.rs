//! A trainer's state as a checkpoint, and back.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::checkpoint::{Best, Checkpoint, Meta, NamedTensor, OPTIMIZER, TensorData};
use super::loss_scale::Reading;
use super::network::{slot_from_torch, slot_to_torch};
use super::trainer::{SLOTS, Trainer};
use crate::base::{Error, Result};
use crate::gpu::readback;
use crate::nn::TorchTensor;

/// Keys of [`Meta::extra`] that training writes.
pub mod keys {
    /// `H,W,C` of the training images.
    pub const IMAGE: &str = "image";
    /// Mean of each channel.
    pub const MEAN: &str = "mean";
    /// Standard deviation of each channel.
    pub const STD: &str = "std";
    /// Bits of the running sums of the metrics since the last report, and the number of steps they cover.
    pub const SUMS: &str = "sums";
    /// All label updates so far, as JSON.
    pub const UPDATES: &str = "label_updates";
    /// Bits of the loss scale, of the steps since it changed and of the steps left out (half precision).
    pub const LOSS_SCALE: &str = "loss_scale";
    /// Seconds spent so far.
    pub const SECONDS: &str = "seconds";
}

fn join<T: std::fmt::Display>(values: impl IntoIterator<Item = T>) -> String {
    values.into_iter().map(|v| v.to_string()).collect::<Vec<_>>().join(",")
}

/// Weights and running statistics of a checkpoint by PyTorch's names.
///
/// # Errors
/// When one is no float32 tensor; `path` is named.
pub fn weights(checkpoint: &Checkpoint, path: &Path) -> Result<HashMap<String, TorchTensor>> {
    let tracked = |t: &&NamedTensor| !t.name.ends_with("num_batches_tracked");
    checkpoint.weights().filter(tracked).map(|t| Ok((t.name.clone(), torch(t, &t.name, path)?))).collect()
}

fn torch(tensor: &NamedTensor, name: &str, path: &Path) -> Result<TorchTensor> {
    let TensorData::F32(values) = &tensor.data else {
        return Err(Error::Checkpoint(format!("{}: `{}` is no float32 tensor", path.display(), tensor.name)));
    };
    Ok(TorchTensor { name: name.to_owned(), sizes: tensor.shape.clone(), values: values.clone() })
}

impl Trainer {
    /// Everything that a resumed run needs to go on exactly.
    ///
    /// # Errors
    /// When the device has failed.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let mut tensors: Vec<NamedTensor> = Vec::new();
        let named = |t: TorchTensor| NamedTensor::f32(t.name, &t.sizes, t.values);
        tensors.extend(self.network.to_torch(&self.engine)?.into_iter().map(named));
        let passes = (self.step * self.config.train.accumulate as u64) as i64;
        let tracked: Vec<String> = tensors
            .iter()
            .filter_map(|t| t.name.strip_suffix("running_mean").map(|layer| format!("{layer}num_batches_tracked")))
            .collect();
        for name in tracked {
            tensors.push(NamedTensor { name, shape: Vec::new(), data: TensorData::I64(vec![passes]) });
        }
        for (slot, store) in self.optimizer.slots() {
            let prefix = format!("{OPTIMIZER}{slot}.");
            let values = slot_to_torch(&self.engine, self.network.parameter_specs(), store, &prefix)?;
            tensors.extend(values.into_iter().map(named));
        }
        if let Some(labeller) = &self.labeller {
            tensors.extend(labeller.tensors()?);
        }
        let sums: Vec<f32> = readback::read(&self.engine, &self.metrics)?;
        let set = &self.data.train;
        let mut extra = BTreeMap::from([
            (keys::IMAGE.to_owned(), join([set.height, set.width, set.channels])),
            (keys::MEAN.to_owned(), join(&self.data.mean)),
            (keys::STD.to_owned(), join(&self.data.std)),
            (keys::SECONDS.to_owned(), self.seconds.to_string()),
            (keys::SUMS.to_owned(), join(sums.iter().map(|v| u64::from(v.to_bits())).chain([self.since_report]))),
        ]);
        if let Some(labeller) = &self.labeller {
            extra.insert(keys::UPDATES.to_owned(), labeller.history()?);
        }
        if let Some(loss_scale) = self.optimizer.loss_scale() {
            let Reading { scale, row, left_out } = loss_scale.read(&self.engine)?;
            extra.insert(keys::LOSS_SCALE.to_owned(), join([scale, row, left_out].map(f32::to_bits)));
        }
        let best = self.best.map(|(step, value)| Best { metric: self.selects_by().to_owned(), value, step });
        Ok(Checkpoint {
            tensors,
            meta: Meta {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                config: self.config.to_toml()?,
                step: self.step,
                seed: self.config.seed,
                adapter: self.engine.describe(),
                best,
                fingerprint: self.fingerprint,
                classes: set.classes.clone(),
                extra,
            },
        })
    }

    /// Goes on from a checkpoint: the following steps are those of a run that was never stopped.
    ///
    /// # Errors
    /// When the data differ from those the checkpoint was trained on, or its tensors do not fit this network; `path`
    /// is named.
    pub fn restore(&mut self, checkpoint: &Checkpoint, path: &Path) -> Result<()> {
        let meta = &checkpoint.meta;
        let bad = |text: String| Error::Checkpoint(format!("{}: {text}", path.display()));
        let classes = &self.data.train.classes;
        if meta.classes.len() != classes.len() {
            return Err(bad(format!("trained on {} classes, the data have {}", meta.classes.len(), classes.len())));
        }
        if meta.fingerprint != self.fingerprint {
            return Err(bad(format!(
                "the training images of `{}` are not the ones it was trained on; an exact resumption needs the same \
                 data, split and seed",
                self.data.train.name
            )));
        }
        if meta.step > self.steps {
            return Err(bad(format!("it has done {} steps, this run has only {}", meta.step, self.steps)));
        }
        let named = |e: Error| match e {
            Error::Checkpoint(text) => bad(text),
            other => other,
        };
        self.network.from_torch(&self.engine, weights(checkpoint, path)?).map_err(named)?;
        for (slot, store) in self.optimizer.slots() {
            let prefix = format!("{OPTIMIZER}{slot}.");
            let mut tensors = HashMap::new();
            for tensor in checkpoint.tensors.iter().filter(|t| t.name.starts_with(&prefix)) {
                tensors.insert(tensor.name.clone(), torch(tensor, &tensor.name, path)?);
            }
            let specs = self.network.parameter_specs();
            slot_from_torch(&self.engine, specs, store, &prefix, &mut tensors).map_err(named)?;
        }
        if let Some(labeller) = &mut self.labeller {
            labeller.restore(checkpoint).map_err(named)?;
        }
        let sums: Option<Vec<u64>> =
            meta.extra.get(keys::SUMS).and_then(|text| text.split(',').map(|v| v.parse().ok()).collect());
        match sums {
            Some(sums) if sums.len() == SLOTS + 1 => {
                let bits: Vec<u32> = sums[..SLOTS].iter().map(|&v| v as u32).collect();
                self.engine.write_words(&self.metrics, &bits);
                self.since_report = sums[SLOTS];
            }
            _ => return Err(bad("no usable `sums` in its header: not a checkpoint that training wrote".into())),
        }
        // A run that began in single precision has none: it starts at the first scale.
        if let (Some(loss_scale), Some(text)) = (self.optimizer.loss_scale(), meta.extra.get(keys::LOSS_SCALE)) {
            let bits: Option<Vec<u32>> = text.split(',').map(|v| v.parse().ok()).collect();
            let Some(&[scale, row, left_out]) = bits.as_deref() else {
                return Err(bad(format!("`loss_scale` in its header is `{text}`: not one that training wrote")));
            };
            let [scale, row, left_out] = [scale, row, left_out].map(f32::from_bits);
            loss_scale.set(&self.engine, Reading { scale, row, left_out });
        }
        self.seconds = meta.extra.get(keys::SECONDS).and_then(|v| v.parse().ok()).unwrap_or(0.0);
        self.step = meta.step;
        self.best = meta.best.as_ref().map(|b| (b.step, b.value));
        Ok(())
    }
}
