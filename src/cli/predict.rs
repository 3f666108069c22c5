//! `relabel predict`: classes of images.

use std::path::PathBuf;

use clap::Args;

/// Classify images: class, probability, and the probability that each transformed view gives it.
#[derive(Clone, Debug, Args)]
pub struct PredictArgs {
    /// A checkpoint, such as runs/NAME/best.safetensors.
    pub checkpoint: PathBuf,
    /// Image files (PNG, JPEG, WebP) or folders of them.
    #[arg(required = true)]
    pub images: Vec<PathBuf>,
    /// How many classes to print for each image, most probable first.
    #[arg(long, default_value_t = 1, value_name = "CLASSES")]
    pub top: usize,
    /// Leave out images that cannot be decoded, and count them.
    #[arg(long)]
    pub skip_bad: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
