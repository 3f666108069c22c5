//! `relabel eval` of a network's features and clusters: nearest neighbours, linear probe, clusters against classes.

use std::sync::Arc;

use serde_json::{Value, json};

use super::eval::EvalArgs;
use super::output;
use crate::assess::{self, HeadReport, Judgement, Options};
use crate::base::{Error, Result};
use crate::data::{ImageSet, LoadOptions, Split};
use crate::session::{self, Trained};
use crate::train::datasets::Datasets;

pub(super) fn run(args: &EvalArgs, trained: &Trained) -> Result<()> {
    let source = format!("the config inside {}", args.checkpoint.display());
    let foreign = |set: &&String| !set.starts_with("knn.") && !set.starts_with("probe.");
    if let Some(set) = args.set.iter().find(foreign) {
        return Err(Error::Config(format!("--set {set}: an evaluation has the settings of [knn] and [probe] alone")));
    }
    let mut config = session::config(&trained.config.to_toml()?, &source, &args.set)?;
    config.data.skip_bad |= args.skip_bad;
    let split = args.split.as_deref().unwrap_or("test");
    let (train, test) = match &args.data {
        None => {
            let data = Datasets::load(&config)?;
            assess::classes_of(&data.train)?;
            let found = match split {
                "train" => Some(Arc::clone(&data.train)),
                "validation" => data.validation.clone(),
                _ => data.test.clone(),
            };
            let missing = || {
                Error::Data(format!("the checkpoint's data have no {split} images; name others with --split or --data"))
            };
            (Arc::clone(&data.train), found.ok_or_else(missing)?)
        }
        Some(path) => {
            // Classes are needed, also where the network was trained without.
            let options = || -> Result<LoadOptions> {
                let own = config.data.load_options()?;
                Ok(LoadOptions { format: None, skip_bad: args.skip_bad, unlabelled: false, ..own })
            };
            let load = |split| -> Result<Arc<ImageSet>> { Ok(Arc::new(trained.load(path, split, options()?, false)?)) };
            let train = load(Split::Train)?;
            let test = if split == "train" { Arc::clone(&train) } else { load(Split::Test)? };
            (train, test)
        }
    };
    let probe = if args.no_probe { None } else { Some(config.section("probe")?) };
    let options = Options {
        batch: args.batch.filter(|&n| n > 0).unwrap_or(config.train.micro_batch()),
        knn: config.section("knn")?,
        probe,
        seed: config.seed,
    };
    let mut judged = assess::judge(trained, &args.checkpoint, &train, &test, &options)?;
    if args.untrained {
        // These are the trained network's.
        judged.assigned.clear();
    }
    if args.json {
        return output::print_json(&to_json(args, trained, split, &train, &test, &judged));
    }
    output::print(&to_text(args, trained, split, &train, &test, &judged, &options))
}

fn to_text(
    args: &EvalArgs,
    trained: &Trained,
    split: &str,
    train: &ImageSet,
    test: &ImageSet,
    judged: &Judgement,
    options: &Options,
) -> String {
    let state = if args.untrained { "untrained".into() } else { format!("after {} steps", trained.step) };
    let mut text = format!(
        "{} {state}, {} {split} images of {}, features of {} training images\n",
        trained.method().name(),
        test.count(),
        test.name,
        train.count()
    );
    text += &format!(
        "{:>22}  {:6.2} %  (k = {}, temperature {})\n",
        "nearest neighbours",
        100.0 * judged.knn,
        options.knn.k,
        options.knn.temperature
    );
    if let Some(probe) = &judged.probe {
        text += &format!(
            "{:>22}  {:6.2} %  (on its training images {:.2} %)\n",
            "linear probe",
            100.0 * probe.test_accuracy,
            100.0 * probe.train_accuracy
        );
    }
    for (title, heads) in [("predicted clusters", &judged.test), ("assigned labels", &judged.assigned)] {
        if heads.is_empty() {
            continue;
        }
        let mut table = output::table();
        let metrics = ["NMI %", "AMI %", "ARI %", "purity %", "Hungarian %", "smallest", "largest", "empty"];
        table.set_header([&[title][..], &metrics].concat());
        for head in heads {
            let value = |v: f64| format!("{:.2}", 100.0 * v);
            table.add_row([
                format!("head {}", head.head),
                value(head.nmi),
                value(head.ami),
                value(head.ari),
                value(head.purity),
                value(head.hungarian),
                head.sizes.min.to_string(),
                head.sizes.max.to_string(),
                head.sizes.empty.to_string(),
            ]);
        }
        text += &format!("{table}\n");
    }
    text
}

fn to_json(
    args: &EvalArgs,
    trained: &Trained,
    split: &str,
    train: &ImageSet,
    test: &ImageSet,
    judged: &Judgement,
) -> Value {
    let heads = |heads: &[HeadReport]| -> Vec<Value> {
        let one = |h: &HeadReport| {
            json!({
                "head": h.head, "nmi": h.nmi, "ami": h.ami, "ari": h.ari, "purity": h.purity,
                "hungarian_accuracy": h.hungarian, "smallest": h.sizes.min, "largest": h.sizes.max,
                "empty": h.sizes.empty,
            })
        };
        heads.iter().map(one).collect()
    };
    json!({
        "checkpoint": args.checkpoint, "method": trained.method().name(),
        "step": if args.untrained { 0 } else { trained.step },
        "data": test.name, "split": split, "images": test.count(), "train_images": train.count(),
        "knn_accuracy": judged.knn,
        "probe_accuracy": judged.probe.as_ref().map(|p| p.test_accuracy),
        "probe_train_accuracy": judged.probe.as_ref().map(|p| p.train_accuracy),
        "clusters": heads(&judged.test), "assigned": heads(&judged.assigned),
    })
}
