//! Labels of images: those that the transport gave the training images, or what the network says.

use std::path::Path;
use std::sync::Arc;

use crate::base::{Error, Result};
use crate::data::ImageSet;
use crate::methods::sela::{ASSIGNED, labels_of};
use crate::session::Trained;
use crate::train::checkpoint::Checkpoint;
use crate::train::inference::Chosen;

/// Where labels come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The transport's labels of the training images, kept in the checkpoint.
    Assigned,
    /// The cluster that the network finds most probable.
    Predicted,
}

impl Origin {
    /// As the command line says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::Predicted => "predicted",
        }
    }
}

/// Labels of every head for all images of `set`, each with the network's probability of it. Without a wish the training
/// images get what was assigned to them, other images what the network predicts. `checkpoint` is where `trained` was
/// read from.
///
/// # Errors
/// When assigned labels are asked for and the checkpoint has none for these images.
pub fn labels(
    trained: &Trained,
    checkpoint: &Path,
    set: &Arc<ImageSet>,
    batch: usize,
    wish: Option<Origin>,
) -> Result<(Vec<Vec<Chosen>>, Origin)> {
    let file = Checkpoint::read(checkpoint)?;
    let same = file.meta.fingerprint == set.fingerprint() && file.get(ASSIGNED).is_ok();
    let origin = match wish {
        None if same => Origin::Assigned,
        None => Origin::Predicted,
        Some(Origin::Assigned) if !same => {
            return Err(Error::Data(format!(
                "{} are not the images that {} assigned labels to; use --labels predicted",
                set.name,
                checkpoint.display()
            )));
        }
        Some(origin) => origin,
    };
    let assigned = if origin == Origin::Assigned { Some(labels_of(&file)?) } else { None };
    Ok((trained.sort(set, batch, assigned.as_deref())?, origin))
}
