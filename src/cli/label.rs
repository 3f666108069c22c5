//! `relabel label`: the labels that a network makes for images, as a file and as pictures.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::settings::open;
use super::{device_options, output};
use crate::assess::{self, Origin};
use crate::base::{Error, Result};
use crate::data::{ImageSet, Label, LabelFile, LoadOptions, Split};
use crate::methods::maxl::MaxlSettings;
use crate::report::gallery;
use crate::session::Trained;
use crate::train::datasets::Datasets;
use crate::train::inference::Chosen;

/// Label images with the clusters of a network that `sela` or `sela-rot` trained, or the finer labels that `maxl` did.
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
    /// Also write contact sheets of every cluster, the surest images first (PNG), into this folder.
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

pub(super) fn run(args: &LabelArgs, adapter: Option<&str>, variants: Option<&str>) -> Result<()> {
    for path in [Some(&args.out), args.gallery.as_ref()].into_iter().flatten() {
        if path.exists() && !args.force {
            return Err(Error::Config(format!("{} is there already; --force replaces it", path.display())));
        }
    }
    // Before the work, not after it.
    let place = args.out.parent().filter(|p| !p.as_os_str().is_empty());
    if let Some(folder) = place.filter(|folder| !folder.is_dir()) {
        return Err(Error::Config(format!("--out {}: there is no folder {}", args.out.display(), folder.display())));
    }
    let engine = open(&device_options(adapter)?, variants)?;
    let trained = Trained::open(&engine, &args.checkpoint)?;
    let heads = trained.heads();
    if heads == 0 {
        return Err(Error::Config(format!(
            "{}: `{}` has no head that labels images (`sela`, `sela-rot` and `maxl` have); `relabel predict` gives their \
             classes",
            args.checkpoint.display(),
            trained.method().name()
        )));
    }
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
    let Images { set, held_out, files } = images(args, &trained)?;
    let origin = match args.labels.as_str() {
        "assigned" => Some(Origin::Assigned),
        "predicted" => Some(Origin::Predicted),
        _ => None,
    };
    let batch = args.batch.filter(|&n| n > 0).unwrap_or(trained.config.train.micro_batch());
    let (labels, origin) = assess::labels(&trained, &args.checkpoint, &set, batch, origin)?;
    let places = held_out.as_ref().map_or_else(|| (0..set.count() as u32).collect(), |held| held.train.clone());
    // What was held out for validation has no assigned labels.
    let held_out = held_out.filter(|_| args.labels != "assigned");
    let predicted = match &held_out {
        Some(held) => assess::labels(&trained, &args.checkpoint, &held.set, batch, Some(Origin::Predicted))?.0,
        None => Vec::new(),
    };
    let chosen: Vec<usize> = head.map_or_else(|| (0..heads).collect(), |head| vec![head]);
    let mut rows = Vec::new();
    for &head in &chosen {
        let label = |(&index, chosen): (&u32, &Chosen)| Label {
            index,
            head: head as u32,
            label: chosen.label,
            confidence: chosen.confidence,
        };
        let first = rows.len();
        rows.extend(places.iter().zip(&labels[head]).map(label));
        if let Some(held) = &held_out {
            rows.extend(held.places.iter().zip(&predicted[head]).map(label));
        }
        rows[first..].sort_by_key(|row| row.index);
    }
    LabelFile::new(rows, &files).write(&args.out)?;
    let clusters = trained.clusters();
    let shown = &labels[chosen[0]];
    let used = {
        let mut there = vec![false; clusters];
        shown.iter().for_each(|c| there[c.label as usize] = true);
        there.iter().filter(|t| **t).count()
    };
    let held = held_out.map_or_else(String::new, |held| format!(" ({} held out: predicted)", held.places.len()));
    let mut text = format!(
        "{} images of {}, {} head{}, labels {}{held}: {}\nhead {} uses {used} of {clusters} clusters\n",
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
        let sections = sections(&trained, clusters)?;
        let pages = gallery::write(folder, &set, &found, &sure, &sections, gallery::Members::Confident, layout)?;
        let sheets = if pages.len() == 1 { "sheet" } else { "sheets" };
        text += &format!("{} contact {sheets}: {}\n", pages.len(), folder.display());
    }
    output::print(&text)
}

/// How the clusters stand on the contact sheets: those of a class below its name, where they belong to classes.
fn sections(trained: &Trained, clusters: usize) -> Result<Vec<gallery::Section>> {
    if !trained.method().sorts_within_classes() {
        return Ok(gallery::Section::plain(clusters));
    }
    let hierarchy = trained.config.section::<MaxlSettings>("maxl")?.hierarchy.of(trained.classes.len())?;
    let section = |(class, clusters): (&String, usize)| gallery::Section { heading: class.clone(), clusters };
    Ok(trained.classes.iter().zip(hierarchy).map(section).collect())
}

/// The images to label.
struct Images {
    set: Arc<ImageSet>,
    /// The other training images of the checkpoint's data, where it held some out for validation.
    held_out: Option<HeldOut>,
    /// The file of each image by its index in the label file.
    files: Vec<String>,
}

struct HeldOut {
    set: Arc<ImageSet>,
    /// Indices of its images among all training images.
    places: Vec<u32>,
    /// Indices of those that were trained on.
    train: Vec<u32>,
}

fn images(args: &LabelArgs, trained: &Trained) -> Result<Images> {
    let plain = |set: Arc<ImageSet>| Images { files: set.files.clone(), set, held_out: None };
    if let Some(path) = &args.data {
        let split = if args.split == "test" { Split::Test } else { Split::Train };
        let options = LoadOptions { skip_bad: args.skip_bad, ..trained.config.data.load_options()? };
        let mut set = trained.load(path, split, LoadOptions { format: None, ..options }, false)?;
        // Classes play no part, but the training images are known by them too.
        if trained.classes.starts_with(&set.classes) {
            set.classes.clone_from(&trained.classes);
        }
        return Ok(plain(Arc::new(set)));
    }
    let mut config = trained.config.clone();
    config.data.skip_bad |= args.skip_bad;
    let data = Datasets::load(&config)?;
    if args.split == "test" {
        return data.test.map(plain).ok_or_else(|| Error::Data("the checkpoint's data have no test images".into()));
    }
    let (whole, parts) = data.undivided(&config)?;
    let held_out = data.validation.map(|set| HeldOut { set, places: parts.validation, train: parts.train });
    Ok(Images { set: data.train, held_out, files: whole.files })
}
