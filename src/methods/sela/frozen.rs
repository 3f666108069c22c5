//! Labels that `sela-rot` takes as they are: out of a checkpoint, or out of a file that `relabel label` wrote.

use std::path::Path;

use super::SelaSettings;
use super::labels::labels_of;
use crate::base::{Error, Result};
use crate::data::LabelFile;
use crate::train::checkpoint::Checkpoint;
use crate::train::config::Config;
use crate::train::datasets::Datasets;

/// Labels of every head for the training images.
///
/// # Errors
/// When the file does not fit the images, the heads or the clusters; the numbers are named.
pub fn read(settings: &SelaSettings, config: &Config, data: &Datasets) -> Result<Vec<Vec<u32>>> {
    let path = Path::new(&settings.labels);
    let set = &data.train;
    let mut other = false;
    let labels = if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors")) {
        let checkpoint = Checkpoint::read(path)?;
        other = checkpoint.meta.fingerprint != set.fingerprint();
        labels_of(&checkpoint).map_err(|e| Error::Checkpoint(format!("sela.labels: {}: {e}", path.display())))?
    } else {
        // A file numbers all training images, those held out for validation included.
        let (whole, parts) = data.undivided(config)?;
        let table = LabelFile::read(path)?.table(&whole)?;
        let chosen = |labels: &[u32]| parts.train.iter().map(|&place| labels[place as usize]).collect();
        table.labels.chunks(whole.count()).map(chosen).collect()
    };
    let count = labels.first().map_or(0, Vec::len);
    if count != set.count() {
        return Err(Error::Data(format!(
            "sela.labels: {} labels {count} images, {} has {} training images",
            path.display(),
            set.name,
            set.count()
        )));
    }
    if other {
        return Err(Error::Data(format!(
            "sela.labels: {} labels {count} other images than the training images of {}; take the data, data.validation \
             and seed that it was trained with",
            path.display(),
            set.name
        )));
    }
    if labels.len() != settings.heads {
        return Err(Error::Config(format!(
            "sela.labels: {} has labels of {} heads; set sela.heads to that (now {})",
            path.display(),
            labels.len(),
            settings.heads
        )));
    }
    let largest = labels.iter().flatten().max().copied().unwrap_or(0) as usize;
    if largest >= settings.clusters {
        return Err(Error::Config(format!(
            "sela.labels: {} has label {largest}; set sela.clusters to at least {} (now {})",
            path.display(),
            largest + 1,
            settings.clusters
        )));
    }
    Ok(labels)
}
