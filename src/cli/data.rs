//! `relabel data inspect`: what training would see at a path, or why it would refuse it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{device_options, known_sections, load_config, output};
use crate::base::Result;
use crate::data::{Format, ImageSet, Labels, LoadOptions, Split, detect, has_split, load, load_both};
use crate::gpu::Engine;
use crate::report::write_sheet;
use crate::train::config::Config;
use crate::train::preview::preview;

/// Look at data sets.
#[derive(Clone, Debug, Subcommand)]
pub enum DataCommand {
    /// Load a data set as training would, and say what it holds.
    Inspect(InspectArgs),
}

/// Load a data set as training would, and say what it holds.
#[derive(Clone, Debug, Args)]
pub struct InspectArgs {
    /// Folder or file of the data set.
    path: PathBuf,
    /// How it is stored: cifar10, cifar100, idx, folder or npz; found out when not given.
    #[arg(long)]
    format: Option<String>,
    /// CIFAR-100: which labels are the classes: fine (100, unless the config says otherwise), coarse (20), 10 or 3.
    #[arg(long, value_parser = Labels::ALL.map(Labels::name))]
    labels: Option<String>,
    /// Image folders: crop and resize each image to a square of this many pixels.
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Image folders: leave out images that cannot be decoded, and list them.
    #[arg(long)]
    skip_bad: bool,
    /// Image folders: all images without labels, whatever their folders are called.
    #[arg(long)]
    unlabelled: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Write a PNG of eight images as the network would see them: in evaluation, and drawn eight times for training.
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    /// A config whose [data] is loaded by, groups of classes included, and whose [augment] and seed the sheet follows; else the
    /// defaults. The options above come first.
    #[arg(long, value_name = "CONFIG")]
    config: Option<PathBuf>,
    /// Change a setting, such as data.groups=[["cat", "dog"], ["ship"]] or augment.hue=0.4 (may be repeated).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Images of a sheet, and how often each is drawn.
const SHOWN: usize = 8;

#[derive(Clone, Debug, Serialize)]
struct Report {
    path: PathBuf,
    format: Format,
    splits: Vec<Part>,
}

#[derive(Clone, Debug, Serialize)]
struct Part {
    split: String,
    images: usize,
    height: usize,
    width: usize,
    channels: usize,
    bytes: u64,
    classes: Vec<Class>,
    /// Whether the images came without labels, under one class.
    unlabelled: bool,
    /// Per channel, of pixels scaled to [0, 1].
    mean: Vec<f64>,
    std: Vec<f64>,
    /// Images left out because they could not be decoded.
    skipped: Vec<Bad>,
    /// Files of other types.
    ignored: usize,
    /// Hexadecimal; a resumed run compares it.
    fingerprint: String,
}

#[derive(Clone, Debug, Serialize)]
struct Class {
    name: String,
    images: usize,
}

#[derive(Clone, Debug, Serialize)]
struct Bad {
    file: String,
    reason: String,
}

impl Part {
    fn new(split: Split, set: &ImageSet) -> Self {
        let (counts, normalisation) = (set.class_counts(), set.normalisation());
        Self {
            split: split.to_string(),
            images: set.count(),
            height: set.height,
            width: set.width,
            channels: set.channels,
            bytes: set.pixels.len() as u64,
            classes: set
                .classes
                .iter()
                .zip(counts)
                .map(|(name, images)| Class { name: name.clone(), images })
                .collect(),
            unlabelled: set.is_unlabelled(),
            mean: normalisation.mean,
            std: normalisation.std,
            skipped: set.skipped.iter().map(|s| Bad { file: s.file.clone(), reason: s.reason.clone() }).collect(),
            ignored: set.ignored,
            fingerprint: format!("{:016x}", set.fingerprint()),
        }
    }

    fn text(&self) -> String {
        let numbers = |values: &[f64]| values.iter().map(|v| format!("{v:.4}")).collect::<Vec<_>>().join(", ");
        let fewest = self.classes.iter().map(|c| c.images).min().unwrap_or(0);
        let most = self.classes.iter().map(|c| c.images).max().unwrap_or(0);
        let each = if fewest == most { fewest.to_string() } else { format!("{fewest} to {most}") };
        let Self { split, images, height, width, channels, .. } = self;
        let mut text =
            format!("{split}: {images} images of {height}x{width}x{channels}, {}\n", output::bytes(self.bytes));
        text += &if self.unlabelled {
            "  classes      none: the images have no labels\n".to_owned()
        } else {
            format!("  classes      {}, {each} images each\n", self.classes.len())
        };
        text += &format!("  mean         {}\n", numbers(&self.mean));
        text += &format!("  deviation    {}\n", numbers(&self.std));
        text += &format!("  fingerprint  {}\n", self.fingerprint);
        if self.ignored > 0 {
            text += &format!("  other files  {}\n", self.ignored);
        }
        if !self.skipped.is_empty() {
            text += &format!("  left out     {}\n", self.skipped.len());
            for bad in &self.skipped {
                text += &format!("    {}: {}\n", bad.file, bad.reason);
            }
        }
        text
    }

    /// Names and counts of the classes, as many as a screen takes.
    fn class_text(&self) -> String {
        const MOST: usize = 20;
        let mut table = output::table();
        for (label, class) in self.classes.iter().enumerate().take(MOST) {
            table.add_row([label.to_string(), class.name.clone(), class.images.to_string()]);
        }
        let mut text = format!("{table}\n");
        if self.classes.len() > MOST {
            text += &format!("  and {} more classes (--json lists all)\n", self.classes.len() - MOST);
        }
        text
    }
}

pub(super) fn run(command: &DataCommand, adapter: Option<&str>) -> Result<()> {
    let DataCommand::Inspect(args) = command;
    let config = match &args.config {
        Some(path) => load_config(path, &args.set)?,
        None => Config::parse("", "defaults", &args.set, &known_sections())?,
    };
    let own = config.data.load_options()?;
    let format = args.format.as_deref().map(str::parse).transpose()?;
    let labels = Labels::ALL.into_iter().find(|labels| args.labels.as_deref() == Some(labels.name()));
    let options = LoadOptions {
        format: format.or(own.format),
        size: args.size.map(|side| (side, side)).or(own.size),
        skip_bad: args.skip_bad || own.skip_bad,
        labels: labels.unwrap_or(own.labels),
        unlabelled: args.unlabelled || own.unlabelled,
        ..own
    };
    let (report, set) = inspect(&args.path, &options)?;
    if let Some(path) = &args.sheet {
        let engine = Engine::open(&device_options(adapter)?)?;
        let preview = preview(&engine, &config, &Arc::new(set), SHOWN, SHOWN)?;
        write_sheet(path, &preview.pixels, preview.size, preview.columns)?;
    }
    if args.json {
        return output::print_json(&report);
    }
    let mut text = format!("{} ({})\n", report.path.display(), report.format);
    for part in &report.splits {
        text += &part.text();
    }
    if let Some(part) = report.splits.first().filter(|p| !p.unlabelled) {
        text += &format!("classes of the {} images\n{}", part.split, part.class_text());
    }
    if let Some(path) = &args.sheet {
        text += &format!(
            "{}: a row an image: as evaluation sees it, then as training does in {SHOWN} epochs\n",
            path.display()
        );
    }
    output::print(&text)
}

/// The report, and the images of the first split that is there.
fn inspect(path: &Path, options: &LoadOptions) -> Result<(Report, ImageSet)> {
    let format = options.format.map_or_else(|| detect(path), Ok)?;
    let (splits, first) = if has_split(path, Split::Train, options)? {
        let (train, test) = load_both(path, options)?;
        let test = test.iter().map(|set| Part::new(Split::Test, set));
        (std::iter::once(Part::new(Split::Train, &train)).chain(test).collect(), train)
    } else {
        let test = load(path, Split::Test, options)?;
        (vec![Part::new(Split::Test, &test)], test)
    };
    Ok((Report { path: path.into(), format, splits }, first))
}
