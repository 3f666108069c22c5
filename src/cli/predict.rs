//! `relabel predict`: classes of images.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::settings::open;
use super::{device_options, output};
use crate::base::{Error, Result};
use crate::session::Trained;
use crate::train::inference::Predicted;

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

pub(super) fn run(args: &PredictArgs, adapter: Option<&str>, variants: Option<&str>) -> Result<()> {
    let engine = open(&device_options(adapter)?, variants)?;
    let trained = Trained::open(&engine, &args.checkpoint)?;
    if trained.method().makes_labels() {
        return Err(Error::Config(format!(
            "{} sorts images into clusters of its own and knows no classes; use `relabel label`",
            args.checkpoint.display()
        )));
    }
    let (images, predictions) = trained.predict(&args.images, trained.config.train.batch, args.skip_bad)?;
    for skipped in &images.skipped {
        output::tell(&format!("skipped {}: {}", skipped.file, skipped.reason));
    }
    let names = &trained.classes;
    if args.json {
        let rows: Vec<Value> = images.files.iter().zip(&predictions).map(|(file, p)| row(file, p, names)).collect();
        return output::print_json(&rows);
    }
    let mut table = output::table();
    table.set_header(["image", "class", "probability", "each view"]);
    for (file, predicted) in images.files.iter().zip(&predictions) {
        for (rank, class) in ranked(&predicted.probabilities).into_iter().take(args.top.max(1)).enumerate() {
            let views: Vec<String> = predicted.views.iter().map(|v| format!("{:.1}", 100.0 * v[class])).collect();
            table.add_row([
                if rank == 0 { file.display().to_string() } else { String::new() },
                names[class].clone(),
                format!("{:.1} %", 100.0 * predicted.probabilities[class]),
                views.join(" "),
            ]);
        }
    }
    output::print(&format!("{table}\n"))
}

/// Classes, most probable first.
fn ranked(probabilities: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    order
}

fn row(file: &std::path::Path, predicted: &Predicted, names: &[String]) -> Value {
    let class = ranked(&predicted.probabilities)[0];
    let by_name = |values: &[f32]| -> Value { names.iter().cloned().zip(values.iter().map(|v| json!(v))).collect() };
    json!({
        "image": file,
        "class": names[class],
        "probability": predicted.probabilities[class],
        "probabilities": by_name(&predicted.probabilities),
        "views": predicted.views.iter().map(|v| by_name(v)).collect::<Vec<_>>(),
    })
}
