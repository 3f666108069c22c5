//! `relabel label`: the labels that a self-labelling network gives images, as a file and as pictures.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::{device_options, output};
use crate::assess::{self, Origin};
use crate::base::{Error, Result};
use crate::data::{Label, LabelFile, LoadOptions, Split};
use crate::gpu::Engine;
use crate::report::gallery;
use crate::session::Trained;
use crate::train::datasets::Datasets;
use crate::train::inference::Chosen;

/// Label images with the clusters of a network that `sela` or `sela-rot` trained.
#[derive(Clone, Debug, Args)]
pub struct LabelArgs {
    /// A checkpoint, such as runs/NAME/last.safetensors.
    pub checkpoint: PathBuf,
    /// Folder or file of the images; without it, the data set that the checkpoint was trained on.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Which images of a data set that has both: train or test.
    #[arg(long, value_parser = ["train", "test"], default_value = "train")]
    pub split: String,
    /// The CSV file to write: file, index, head, label, confidence.
    #[arg(long, value_name = "FILE", default_value = "labels.csv")]
    pub out: PathBuf,
    /// The head whose labels are written, from 0, or `all`.
    #[arg(long, value_name = "HEAD", default_value = "0")]
    pub head: String,
    /// Where labels come from: auto (assigned for the training images, else predicted), assigned or predicted.
    #[arg(long, value_parser = ["auto", "assigned", "predicted"], default_value = "auto")]
    pub labels: String,
    /// Also write contact sheets of every cluster (PNG) into this folder.
    #[arg(long, value_name = "DIR")]
    pub gallery: Option<PathBuf>,
    /// Replace files that are there.
    #[arg(long)]
    pub force: bool,
    /// Images at once; without it (or 0), as many as a training step has.
    #[arg(long, value_name = "IMAGES")]
    pub batch: Option<usize>,
    /// Image folders: leave out images that cannot be decoded, and count them.
    #[arg(long)]
    pub skip_bad: bool,
}

pub(super) fn run(args: &LabelArgs, adapter: Option<&str>) -> Result<()> {
    for path in [Some(&args.out), args.gallery.as_ref()].into_iter().flatten() {
        if path.exists() && !args.force {
            return Err(Error::Config(format!("{} is there already; --force replaces it", path.display())));
        }
    }
    let engine = Engine::open(&device_options(adapter)?)?;
    let trained = Trained::open(&engine, &args.checkpoint)?;
    let heads = trained.heads();
    let head = match args.head.as_str() {
        "all" => None,
        text => match text.parse::<usize>() {
            Ok(head) if head < heads => Some(head),
            _ => {
                return Err(Error::Config(format!(
                    "--head {text}: {} has heads 0 to {}, or all",
                    args.checkpoint.display(),
                    heads.saturating_sub(1)
                )));
            }
        },
    };
    let set = match &args.data {
        Some(path) => {
            let split = if args.split == "test" { Split::Test } else { Split::Train };
            let options = LoadOptions { skip_bad: args.skip_bad, ..trained.config.data.load_options()? };
            Arc::new(trained.load(path, split, LoadOptions { format: None, ..options }, true)?)
        }
        None => {
            let mut config = trained.config.clone();
            config.data.skip_bad |= args.skip_bad;
            let data = Datasets::load(&config)?;
            match args.split.as_str() {
                "test" => data.test.ok_or_else(|| Error::Data("the checkpoint's data have no test images".into()))?,
                _ => data.train,
            }
        }
    };
    let origin = match args.labels.as_str() {
        "assigned" => Some(Origin::Assigned),
        "predicted" => Some(Origin::Predicted),
        _ => None,
    };
    let batch = args.batch.filter(|&n| n > 0).unwrap_or(trained.config.train.micro_batch());
    let (labels, origin) = assess::labels(&trained, &args.checkpoint, &set, batch, origin)?;
    let chosen: Vec<usize> = head.map_or_else(|| (0..heads).collect(), |head| vec![head]);
    let mut rows = Vec::new();
    for &head in &chosen {
        let label = |(index, chosen): (usize, &Chosen)| Label {
            index: index as u32,
            head: head as u32,
            label: chosen.label,
            confidence: chosen.confidence,
        };
        rows.extend(labels[head].iter().enumerate().map(label));
    }
    LabelFile::new(rows, &set.files).write(&args.out)?;
    let clusters = trained.clusters();
    let shown = &labels[chosen[0]];
    let used = {
        let mut there = vec![false; clusters];
        shown.iter().for_each(|c| there[c.label as usize] = true);
        there.iter().filter(|t| **t).count()
    };
    let mut text = format!(
        "{} images of {}, {} head{}, labels {}: {}\nhead {} uses {used} of {clusters} clusters\n",
        set.count(),
        set.name,
        chosen.len(),
        if chosen.len() == 1 { "" } else { "s" },
        origin.name(),
        args.out.display(),
        chosen[0],
    );
    if let Some(folder) = &args.gallery {
        std::fs::create_dir_all(folder).map_err(|e| Error::io("cannot make", folder, e))?;
        let (found, sure): (Vec<u32>, Vec<f32>) = shown.iter().map(|c| (c.label, c.confidence)).unzip();
        let layout = gallery::Layout::default();
        let pages = gallery::write(folder, &set, &found, &sure, clusters, gallery::Members::Confident, layout)?;
        text += &format!("{} contact sheets: {}\n", pages.len(), folder.display());
    }
    output::print(&text)
}
