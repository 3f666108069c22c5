//! `relabel compare RUN...`: finished runs beside each other, one table a seed, and the means over seeds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use comfy_table::{CellAlignment, Table, presets};
use serde::Deserialize;

use crate::base::{Error, Result};

/// Puts finished runs beside each other: one table a seed, and with more than one seed the means.
#[derive(clap::Args, Clone, Debug)]
pub struct Arguments {
    /// Folders of finished runs.
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
}

/// What a finished run leaves in `result.json`.
#[derive(Clone, Debug, Deserialize)]
struct Outcome {
    method: String,
    seed: u64,
    /// Wall-clock time of the training.
    seconds: f64,
    /// Name to value; accuracies are fractions of the test images.
    metrics: BTreeMap<String, f64>,
}

/// One line of a table.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    label: String,
    /// Fraction of the test images.
    accuracy: f64,
    seconds: f64,
    run: String,
}

/// Which metric of a method answers which question, in the order of the tables.
const QUESTIONS: &[(&str, &str, &str)] = &[
    ("baseline", "accuracy", "baseline"),
    ("da", "single_accuracy", "augmentation, single inference"),
    ("da", "aggregated_accuracy", "augmentation, averaged"),
    ("mt", "single_accuracy", "multi-task, single inference"),
    ("mt", "aggregated_accuracy", "multi-task, averaged"),
    ("sla", "single_accuracy", "SLA single inference"),
    ("sla", "aggregated_accuracy", "SLA aggregated"),
    // The distilled head: one look at the image, as the baseline has.
    ("sla-sd", "single_accuracy", "SLA + self-distillation"),
];

/// Prints the tables.
///
/// # Errors
/// A run that has not ended, or whose `result.json` cannot be read.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut outcomes = Vec::new();
    for run in &arguments.runs {
        outcomes.push((run.display().to_string(), load(run)?));
    }
    super::output::print(&format!("{}\n", report(&outcomes)?))
}

fn load(run: &Path) -> Result<Outcome> {
    let path = run.join("result.json");
    let text = std::fs::read_to_string(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound if run.join("config.toml").exists() => {
            let run = run.display();
            Error::Data(format!(
                "{run} has not ended: it has no result.json. Go on with `relabel train --resume {run}`"
            ))
        }
        std::io::ErrorKind::NotFound => {
            Error::Data(format!("{} is not the folder of a run: it has no result.json", run.display()))
        }
        _ => Error::io("reading", &path, e),
    })?;
    serde_json::from_str(&text).map_err(|e| Error::Data(format!("{} is not a run's result: {e}", path.display())))
}

/// All tables as text.
fn report(outcomes: &[(String, Outcome)]) -> Result<String> {
    let mut seeds: Vec<u64> = Vec::new();
    for (_, outcome) in outcomes {
        if !seeds.contains(&outcome.seed) {
            seeds.push(outcome.seed);
        }
    }
    let mut parts = Vec::new();
    let mut all = Vec::new();
    for seed in &seeds {
        let mut rows = Vec::new();
        for (run, outcome) in outcomes.iter().filter(|(_, o)| o.seed == *seed) {
            rows.extend(answers(run, outcome)?);
        }
        parts.push(format!("seed {seed}\n{}", single(&rows)));
        all.extend(rows);
    }
    if seeds.len() > 1 {
        let names: Vec<String> = seeds.iter().map(u64::to_string).collect();
        parts.push(format!("mean and standard deviation over the seeds {}\n{}", names.join(", "), means(&all)));
    }
    Ok(parts.join("\n\n"))
}

/// The rows of one run: those of its method, or every accuracy when the method is not in the table of questions.
fn answers(run: &str, outcome: &Outcome) -> Result<Vec<Row>> {
    let row = |label: String, accuracy: f64| Row { label, accuracy, seconds: outcome.seconds, run: run.into() };
    let known: Vec<_> = QUESTIONS.iter().filter(|(method, ..)| *method == outcome.method).collect();
    if known.is_empty() {
        // `accuracy` repeats one of the others.
        let named = |(name, _): &(&String, &f64)| name.ends_with("_accuracy");
        let rows: Vec<Row> = outcome
            .metrics
            .iter()
            .filter(named)
            .map(|(name, v)| row(format!("{}, {}", outcome.method, name.replace('_', " ")), *v))
            .collect();
        if rows.is_empty() {
            return Err(Error::Data(format!(
                "{run} was measured on no images while it ran (`{}`); `relabel eval` measures its checkpoint",
                outcome.method
            )));
        }
        return Ok(rows);
    }
    let answer = |(_, metric, label): &(&str, &str, &str)| match outcome.metrics.get(*metric) {
        Some(accuracy) => Ok(row((*label).into(), *accuracy)),
        None => {
            let there: Vec<&str> = outcome.metrics.keys().map(String::as_str).collect();
            Err(Error::Data(format!("{run}/result.json has no metric {metric}; it has {}", there.join(", "))))
        }
    };
    known.into_iter().map(answer).collect()
}

fn single(rows: &[Row]) -> String {
    let cells =
        rows.iter().map(|r| vec![r.label.clone(), percent(r.accuracy), format!("{:.0}", r.seconds), r.run.clone()]);
    table(&["method", "accuracy %", "seconds", "run"], cells)
}

fn means(rows: &[Row]) -> String {
    let mut groups: Vec<(&str, Vec<&Row>)> = Vec::new();
    for row in rows {
        match groups.iter_mut().find(|(label, _)| *label == row.label) {
            Some((_, group)) => group.push(row),
            None => groups.push((&row.label, vec![row])),
        }
    }
    let cells = groups.iter().map(|(label, group)| {
        let (accuracy, spread) = mean(group.iter().map(|r| r.accuracy));
        let (seconds, _) = mean(group.iter().map(|r| r.seconds));
        let accuracy = format!("{} ± {}", percent(accuracy), percent(spread));
        vec![(*label).to_string(), accuracy, format!("{seconds:.0}"), group.len().to_string()]
    });
    table(&["method", "accuracy %", "seconds", "runs"], cells)
}

/// Mean and sample standard deviation (0 for a single value).
fn mean(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let squares: f64 = values.map(|v| (v - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

fn percent(fraction: f64) -> String {
    format!("{:.2}", 100.0 * fraction)
}

/// A table that also reads as Markdown; the middle columns are numbers.
fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header.iter().copied()).add_rows(rows);
    for number in [1, 2] {
        if let Some(column) = table.column_mut(number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(method: &str, seed: u64, metrics: &[(&str, f64)]) -> Outcome {
        let metrics = metrics.iter().map(|(n, v)| ((*n).to_string(), *v)).collect();
        Outcome { method: method.into(), seed, seconds: 10.0 + seed as f64, metrics }
    }

    fn sla(seed: u64, single: f64, aggregated: f64) -> (String, Outcome) {
        let metrics = [("accuracy", 0.1), ("single_accuracy", single), ("aggregated_accuracy", aggregated)];
        (format!("runs/{seed}/sla"), outcome("sla", seed, &metrics))
    }

    #[test]
    fn a_run_answers_its_methods_questions() {
        let (run, sla) = sla(0, 0.805, 0.816);
        let rows = answers(&run, &sla).expect("rows");
        let found: Vec<(&str, f64)> = rows.iter().map(|r| (r.label.as_str(), r.accuracy)).collect();
        assert_eq!(found, [("SLA single inference", 0.805), ("SLA aggregated", 0.816)]);
        let other = answers("x", &outcome("new", 0, &[("top5_accuracy", 0.9), ("loss", 1.0)])).expect("rows");
        assert_eq!(other.len(), 1);
        assert_eq!(other[0].label, "new, top5 accuracy");
        let repeated = outcome("sela", 0, &[("accuracy", 0.6), ("knn_accuracy", 0.6)]);
        assert_eq!(answers("x", &repeated).expect("rows").len(), 1);
        let error = answers("runs/b", &outcome("sela", 0, &[])).expect_err("refused").to_string();
        assert!(error.contains("runs/b") && error.contains("relabel eval"), "{error}");
    }

    #[test]
    fn a_missing_metric_is_named() {
        let error = answers("runs/a", &outcome("sla", 0, &[("accuracy", 0.5)])).expect_err("refused").to_string();
        assert!(error.contains("runs/a/result.json has no metric single_accuracy; it has accuracy"), "{error}");
    }

    #[test]
    fn one_seed_is_one_table_and_more_have_means() {
        let one = report(&[sla(7, 0.80, 0.81)]).expect("a table");
        assert!(one.starts_with("seed 7\n") && one.contains("81.00") && !one.contains("mean"), "{one}");
        let two = report(&[sla(0, 0.80, 0.81), sla(1, 0.82, 0.83)]).expect("tables");
        assert!(two.contains("seed 0\n") && two.contains("seed 1\n") && two.contains("the seeds 0, 1\n"), "{two}");
        let last = two.lines().last().expect("a line");
        let cells: Vec<&str> = last.split('|').map(str::trim).filter(|c| !c.is_empty()).collect();
        assert_eq!(cells, ["SLA aggregated", "82.00 ± 1.41", "10", "2"]);
    }

    #[test]
    fn mean_and_spread() {
        let (m, s) = mean([1.0, 2.0, 3.0, 6.0].into_iter());
        assert!((m - 3.0).abs() < 1e-12 && (s - (14.0f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(mean([5.0].into_iter()), (5.0, 0.0));
    }

    #[test]
    fn a_folder_without_a_result_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = load(folder.path()).expect_err("refused").to_string();
        assert!(error.contains("is not the folder of a run"), "{error}");
        std::fs::write(folder.path().join("config.toml"), "").expect("written");
        let error = load(folder.path()).expect_err("refused").to_string();
        assert!(error.contains("has not ended") && error.contains("--resume"), "{error}");
        std::fs::write(folder.path().join("result.json"), "{\"method\": 1}").expect("written");
        let error = load(folder.path()).expect_err("refused").to_string();
        assert!(error.contains("result.json is not a run's result"), "{error}");
        let text = r#"{"method": "baseline", "seed": 3, "seconds": 4.5, "metrics": {"accuracy": 0.75}, "more": []}"#;
        std::fs::write(folder.path().join("result.json"), text).expect("written");
        let found = load(folder.path()).expect("a result");
        assert_eq!((found.method.as_str(), found.seed, found.metrics["accuracy"]), ("baseline", 3, 0.75));
    }
}
