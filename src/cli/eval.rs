//! `relabel eval`: accuracy of a checkpoint.

use std::path::PathBuf;

use clap::Args;

/// Measure a checkpoint on a data set.
#[derive(Clone, Debug, Args)]
pub struct EvalArgs {
    /// A checkpoint, such as runs/NAME/best.safetensors.
    pub checkpoint: PathBuf,
    /// Folder or file of the data set; without it, the one that the checkpoint was trained on.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Which images: train, validation or test.
    #[arg(long, default_value = "test", value_parser = ["train", "validation", "test"])]
    pub split: String,
    /// Images at once; without it, as the checkpoint's config says.
    #[arg(long, value_name = "IMAGES")]
    pub batch: Option<usize>,
    /// Image folders: leave out images that cannot be decoded, and count them.
    #[arg(long)]
    pub skip_bad: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
