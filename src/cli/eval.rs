//! `relabel eval`: accuracy of a checkpoint, or how good its features and clusters are.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Map, Value, json};

use super::eval_labels::{self, Place};
use super::settings::open;
use super::{device_options, eval_features, output};
use crate::base::{Error, Result};
use crate::data::{self, LoadOptions, Split};
use crate::session::Trained;
use crate::train::datasets::Datasets;

/// Measure a checkpoint on labelled images: accuracy, or features and clusters where it makes its own labels.
#[derive(Clone, Debug, Args)]
pub struct EvalArgs {
    /// A checkpoint, such as runs/NAME/best.safetensors.
    pub checkpoint: PathBuf,
    /// Folder or file of the data set; without it, the one that the checkpoint was trained on.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Which images: train, validation or test; without it, test, or (for accuracy, with --data) all images when there
    /// is no test set.
    #[arg(long, value_parser = ["train", "validation", "test"])]
    pub split: Option<String>,
    /// Images at once; without it (or 0), as many as a training step has.
    #[arg(long, value_name = "IMAGES")]
    pub batch: Option<usize>,
    /// Image folders: leave out images that cannot be decoded, and count them.
    #[arg(long)]
    pub skip_bad: bool,
    /// The data may lack images of the last classes (where classes are numbers without names).
    #[arg(long)]
    pub subset: bool,
    /// Measure the features (nearest neighbours, linear probe) of a network that was trained on classes; always so for
    /// one that made its own labels.
    #[arg(long)]
    pub features: bool,
    /// With the features of a network: its initial weights instead of the trained ones, to compare with.
    #[arg(long)]
    pub untrained: bool,
    /// With the features of a network: leave the linear probe out.
    #[arg(long)]
    pub no_probe: bool,
    /// With the features of a network: change a setting of [knn] or [probe], such as knn.k=20 (may be repeated).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Auxiliary labels (`maxl`): the finer true labels that they are compared with: a label file, or own, fine, coarse or
    /// 10; without it, those of maxl.labels, else the finest that came with the data.
    #[arg(long, value_name = "LABELS")]
    pub finer: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(args: &EvalArgs, adapter: Option<&str>, variants: Option<&str>) -> Result<()> {
    let engine = open(&device_options(adapter)?, variants)?;
    let trained = Trained::open(&engine, &args.checkpoint)?;
    if args.features || trained.method().makes_labels() {
        if args.finer.is_some() {
            return Err(Error::Config("--finer is for auxiliary labels (`maxl`), and not for features".into()));
        }
        if args.untrained {
            trained.initialise()?;
        }
        return eval_features::run(args, &trained);
    }
    for (given, option) in
        [(args.untrained, "--untrained"), (args.no_probe, "--no-probe"), (!args.set.is_empty(), "--set")]
    {
        if given {
            return Err(Error::Config(format!(
                "{option} is for the features of a network: `{}` is measured by its accuracy unless --features is given",
                trained.method().name()
            )));
        }
    }
    let split = match (&args.split, &args.data) {
        (Some(split), _) => split.as_str(),
        (None, Some(path)) if !data::has_split(path, Split::Test, &LoadOptions::default())? => "train",
        (None, _) => "test",
    };
    let mut config = trained.config.clone();
    config.data.skip_bad |= args.skip_bad;
    let (set, data) = match (&args.data, split) {
        (None, split) => {
            let data = Datasets::load(&config)?;
            let found = match split {
                "train" => Some(Arc::clone(&data.train)),
                "validation" => data.validation.clone(),
                _ => data.test.clone(),
            };
            let missing =
                || Error::Data(format!("the checkpoint's data have no {split} images; name others with --data"));
            (found.ok_or_else(missing)?, Some(data))
        }
        (Some(_), "validation") => {
            return Err(Error::Config(
                "--split validation is cut from the checkpoint's own data: leave --data out".into(),
            ));
        }
        (Some(path), split) => {
            let split = if split == "train" { Split::Train } else { Split::Test };
            let options = LoadOptions { skip_bad: args.skip_bad, ..trained.config.data.load_options()? };
            (Arc::new(trained.load(path, split, LoadOptions { format: None, ..options }, args.subset)?), None)
        }
    };
    let (images, name, skipped) = (set.count(), set.name.clone(), set.skipped.len());
    let batch = args.batch.filter(|&n| n > 0).unwrap_or(trained.config.train.batch);
    let mut metrics = trained.evaluate(Arc::clone(&set), batch)?;
    let place = match &data {
        Some(data) if split != "test" => Place::Training { data, config: &config, held_out: split == "validation" },
        _ => Place::Other,
    };
    let labels = eval_labels::measure(args, &trained, &set, &place, batch)?;
    metrics.extend(labels.iter().flat_map(eval_labels::metrics));
    let agreement = labels.as_ref().and_then(|labels| labels.agreement.as_ref());
    if args.json {
        let values: Map<String, Value> = metrics.into_iter().map(|(n, v)| (n, json!(v))).collect();
        let mut report = json!({
            "checkpoint": args.checkpoint, "method": trained.method().name(), "step": trained.step,
            "data": name, "split": split, "images": images, "skipped": skipped, "metrics": values,
        });
        if let Some(labels) = &labels {
            report["labels"] = json!(labels.labels);
            report["agreement"] = agreement.map_or(Value::Null, eval_labels::to_json);
        }
        return output::print_json(&report);
    }
    let mut text = format!(
        "{} after {} steps, {images} {} images of {name}{}\n",
        trained.method().name(),
        trained.step,
        split,
        if skipped > 0 { format!(" ({skipped} skipped)") } else { String::new() }
    );
    for (name, value) in metrics {
        text += &match (name.as_str(), &labels) {
            ("labels_used", Some(labels)) => format!("{name:>22}  {:>6} of {}\n", labels.used, labels.labels),
            _ if name.ends_with("accuracy") => format!("{name:>22}  {:6.2} %\n", 100.0 * value),
            _ => format!("{name:>22}  {value:8.4}\n"),
        };
    }
    text += &agreement.map_or_else(String::new, eval_labels::to_text);
    output::print(&text)
}
