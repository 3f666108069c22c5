//! Labels that `sela-rot` takes as they are: out of a checkpoint, or out of a file that `relabel label` wrote.

use std::path::Path;

use super::SelaSettings;
use super::labels::labels_of;
use crate::base::{Error, Result};
use crate::data::{ImageSet, LabelFile};
use crate::train::checkpoint::Checkpoint;

/// Labels of every head for the images of `set`.
///
/// # Errors
/// When the file does not fit the images, the heads or the clusters; the numbers are named.
pub fn read(settings: &SelaSettings, set: &ImageSet) -> Result<Vec<Vec<u32>>> {
    let path = Path::new(&settings.labels);
    let labels = if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors")) {
        labels_of(&Checkpoint::read(path)?)
            .map_err(|e| Error::Checkpoint(format!("sela.labels: {}: {e}", path.display())))?
    } else {
        let table = LabelFile::read(path)?.table(set)?;
        table.labels.chunks(set.count()).map(<[u32]>::to_vec).collect()
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
