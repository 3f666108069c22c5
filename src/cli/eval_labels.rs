//! `relabel eval` of auxiliary labels: how they are used, and how they agree with finer true ones.

use std::sync::Arc;

use serde_json::{Value, json};

use super::eval::EvalArgs;
use super::output;
use crate::assess::{self, Agreement, Auxiliary, Truth};
use crate::base::{Error, Result};
use crate::data::{Finer, ImageSet};
use crate::methods::maxl::MaxlSettings;
use crate::session::Trained;
use crate::train::config::Config;
use crate::train::datasets::Datasets;

const OPTION: &str = "--finer";

/// Where the images come from, which says what a label file numbers.
pub(super) enum Place<'a> {
    /// The run's training images, or those that it held out.
    Training { data: &'a Datasets, config: &'a Config, held_out: bool },
    /// Others, numbered from 0.
    Other,
}

/// Finer true labels of the images: those of `--finer`, else those that the run was given, else the finest that came with
/// the data.
pub(super) fn truth(args: &EvalArgs, trained: &Trained, set: &ImageSet, place: &Place<'_>) -> Result<Option<Truth>> {
    let read = |source: &str| match place {
        Place::Training { data, config, held_out } => data.finer(config, source, OPTION, *held_out),
        Place::Other => set.finer_labels(source, OPTION),
    };
    if let Some(source) = &args.finer {
        let labels = read(source)?;
        set.check_finer(&labels, &format!("{OPTION} {source}"))?;
        return Ok(Some(Truth { source: described(source, set), labels }));
    }
    let given = trained.config.section::<MaxlSettings>("maxl")?.labels;
    let source = if given.is_empty() { crate::data::OWN } else { &given };
    let there = if Finer::is_name(source) {
        set.finer(source, OPTION).is_ok()
    } else {
        matches!(place, Place::Training { .. })
    };
    if !there {
        return Ok(None);
    }
    let labels = read(source)?;
    // Nobody asked for these; a set of which each class shows one finer label has nothing to say.
    Ok(set.check_finer(&labels, source).is_ok().then(|| Truth { source: described(source, set), labels }))
}

fn described(source: &str, set: &ImageSet) -> String {
    match set.finer(source, OPTION) {
        Ok(finer) if Finer::is_name(source) && finer.name == crate::data::OWN => "the data's own classes".into(),
        Ok(finer) if Finer::is_name(source) => format!("the data's {} labels", finer.name),
        _ => source.to_owned(),
    }
}

/// The labels of the images, measured; `None` where there are none to measure.
pub(super) fn measure(
    args: &EvalArgs,
    trained: &Trained,
    set: &Arc<ImageSet>,
    place: &Place<'_>,
    batch: usize,
) -> Result<Option<Auxiliary>> {
    let truth = truth(args, trained, set, place)?;
    let found = assess::auxiliary(trained, &args.checkpoint, set, truth.as_ref(), batch)?;
    if found.is_none() && args.finer.is_some() {
        let name = trained.method().name();
        return Err(Error::Config(format!(
            "{OPTION} compares auxiliary labels: `{name}` has none of these images (`maxl` gives any image one; with labels \
             that do not change, the training images alone have them: --split train)"
        )));
    }
    Ok(found)
}

/// The metrics of a set's labels, under the names that training has for them.
pub(super) fn metrics(found: &Auxiliary) -> Vec<(String, f64)> {
    let named = [
        ("label_usage", found.usage),
        ("label_entropy", found.entropy),
        ("image_label_entropy", found.image_entropy),
        ("labels_used", found.used as f64),
    ];
    named.map(|(name, value)| (name.to_owned(), value)).into()
}

pub(super) fn to_json(found: &Agreement) -> Value {
    let [nmi, ami, hungarian] = found.class;
    json!({
        "finer": found.source, "finer_labels": found.labels,
        "nmi": found.nmi, "ami": found.ami, "hungarian_accuracy": found.hungarian,
        "class_nmi": nmi, "class_ami": ami, "class_hungarian_accuracy": hungarian,
        "within_classes": found.within.map(|w| json!({
            "classes": w.classes, "nmi": w.nmi, "ami": w.ami, "hungarian_accuracy": w.hungarian,
        })),
    })
}

pub(super) fn to_text(found: &Agreement) -> String {
    let mut table = output::table();
    let title = format!("against {} ({})", found.source, found.labels);
    table.set_header([title.as_str(), "NMI %", "AMI %", "Hungarian %"]);
    let mut row = |name: String, values: [f64; 3]| {
        table.add_row(std::iter::once(name).chain(values.map(|v| format!("{:.2}", 100.0 * v))));
    };
    if let Some(within) = &found.within {
        let classes = if within.classes == 1 { "class" } else { "classes" };
        let name = format!("within a class, mean of {} {classes}", within.classes);
        row(name, [within.nmi, within.ami, within.hungarian]);
    }
    row("over all images".into(), [found.nmi, found.ami, found.hungarian]);
    row("the classes alone".into(), found.class);
    format!("{table}\n")
}
