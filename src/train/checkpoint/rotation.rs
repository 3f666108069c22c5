//! The checkpoints of a run directory: the last, the best, and the last few by their step.

use std::fs;
use std::path::{Path, PathBuf};

use super::Checkpoint;
use super::atomic::{link_atomically, remove_partial};
use crate::base::{Error, Result};

/// File name of the last checkpoint.
pub const LAST: &str = "last.safetensors";
/// File name of the checkpoint with the best evaluation.
pub const BEST: &str = "best.safetensors";

/// File name of the checkpoint after `step` steps.
pub fn step_file(step: u64) -> String {
    format!("step-{step}.safetensors")
}

/// Writes checkpoints into one directory and removes those past their time.
#[derive(Clone, Debug)]
pub struct Rotation {
    folder: PathBuf,
    keep: usize,
}

impl Rotation {
    /// Keeps `keep` files `step-N.safetensors` beside the last and the best one. Removes temporary files that a killed
    /// run left behind.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder cannot be listed.
    pub fn new(folder: &Path, keep: usize) -> Result<Self> {
        remove_partial(folder)?;
        Ok(Self { folder: folder.into(), keep })
    }

    /// Path of the last checkpoint.
    pub fn last(&self) -> PathBuf {
        self.folder.join(LAST)
    }

    /// Path of the best checkpoint.
    pub fn best(&self) -> PathBuf {
        self.folder.join(BEST)
    }

    /// Writes the checkpoint as the last one, and as the best one if it is. Its bytes are written once: the names are
    /// links to one file where the file system has them. Then removes the oldest files by step. Returns the path of
    /// the last checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`] when writing fails; the files that were there still are.
    pub fn save(&self, checkpoint: &Checkpoint, is_best: bool) -> Result<PathBuf> {
        let last = self.last();
        if self.keep == 0 {
            checkpoint.write(&last)?;
        } else {
            let path = self.folder.join(step_file(checkpoint.meta.step));
            checkpoint.write(&path)?;
            link_atomically(&path, &last)?;
        }
        if is_best {
            link_atomically(&last, &self.best())?;
        }
        self.prune(checkpoint.meta.step)?;
        Ok(last)
    }

    /// Files by step, oldest first.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder cannot be listed.
    pub fn steps(&self) -> Result<Vec<u64>> {
        let entries = fs::read_dir(&self.folder).map_err(|e| Error::io("cannot list", &self.folder, e))?;
        let step = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let step = name.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok()?;
            // Only names that are written here: not `step-007`.
            (name == step_file(step)).then_some(step)
        };
        let mut steps: Vec<u64> = entries.flatten().filter_map(step).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Later files belong to a run that went further and was set back; they are left until it comes to them.
    fn prune(&self, now: u64) -> Result<()> {
        let mut steps = self.steps()?;
        steps.retain(|&step| step <= now);
        for step in steps.iter().take(steps.len().saturating_sub(self.keep)) {
            let path = self.folder.join(step_file(*step));
            fs::remove_file(&path).map_err(|e| Error::io("cannot remove", &path, e))?;
        }
        Ok(())
    }
}
