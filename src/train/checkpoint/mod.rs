//! Checkpoints: one safetensors file with PyTorch's tensor names, written whole or not at all.

mod atomic;
mod meta;
mod rotation;
mod tensor_file;

pub use atomic::write_atomically;
pub use meta::{Best, Meta};
pub use rotation::{BEST, LAST, Rotation, step_file};
pub use tensor_file::{NamedTensor, TensorData, TensorFile};

use std::path::Path;

use crate::base::{Error, Result};

/// Prefix of the optimizer's tensors; what follows is `SLOT.PARAMETER`, such as
/// `optimizer.momentum_buffer.layer1.0.conv1.weight`. The other tensors are weights and running statistics under the
/// names that PyTorch's `load_state_dict` takes.
pub const OPTIMIZER: &str = "optimizer.";

/// Prefix of the tensors of a method that makes its own labels.
pub const LABELS: &str = "labels.";

/// The state of a run after some step.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Weights and running statistics in PyTorch's layouts, and the optimizer's slots.
    pub tensors: Vec<NamedTensor>,
    /// Where it comes from.
    pub meta: Meta,
}

impl Checkpoint {
    /// Writes the file: to a temporary one in the same folder, which is synced and then renamed.
    ///
    /// # Errors
    /// [`Error::Io`] when the system fails (a full disk, for one), [`Error::Checkpoint`] for two tensors of one name or
    /// a shape that does not fit its values. A file that was there before then still is.
    pub fn write(&self, path: &Path) -> Result<()> {
        tensor_file::write(path, &self.tensors, &self.meta.to_strings())
    }

    /// Reads a file that [`Checkpoint::write`] made.
    ///
    /// # Errors
    /// [`Error::Checkpoint`], naming the file and what is wrong, for a file that is truncated, damaged, hostile, or no
    /// checkpoint of relabel; [`Error::Io`] when the system fails to read.
    pub fn read(path: &Path) -> Result<Self> {
        let file = TensorFile::read(path)?;
        let meta = Meta::from_strings(&file.metadata)
            .map_err(|problem| Error::Checkpoint(format!("{}: {problem}", path.display())))?;
        Ok(Self { tensors: file.tensors, meta })
    }

    /// The tensor of that name.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when there is none.
    pub fn get(&self, name: &str) -> Result<&NamedTensor> {
        tensor_file::find(&self.tensors, name)
    }

    /// The weights and running statistics: all tensors but the optimizer's and the labels.
    pub fn weights(&self) -> impl Iterator<Item = &NamedTensor> {
        self.tensors.iter().filter(|t| !t.name.starts_with(OPTIMIZER) && !t.name.starts_with(LABELS))
    }
}
