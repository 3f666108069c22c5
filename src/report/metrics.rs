//! `metrics.jsonl` (one object per message) and `metrics.csv` (one row per value), in the run directory.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::base::{Error, Result};
use crate::train::checkpoint::write_atomically;
use crate::train::events::{Evaluated, Event, Metrics, Relabelled, Sink, Step};

/// The first line of `metrics.csv`. One row per value lets every method add its own without changing the columns.
const HEADER: &str = "step,epoch,split,metric,value";

/// What lines and rows of new labels are called.
const LABELS: &str = "labels";

/// Writes the metrics of a run as they come; each line is whole on disk before the next begins.
#[derive(Debug)]
pub struct MetricsFiles {
    lines: (PathBuf, File),
    rows: (PathBuf, File),
}

impl MetricsFiles {
    /// Begins both files in `folder`; what was there is gone.
    ///
    /// # Errors
    /// [`Error::Io`] when they cannot be written.
    pub fn create(folder: &Path) -> Result<Self> {
        let (lines, rows) = paths(folder);
        write_atomically(&lines, |_| Ok(()))?;
        write_atomically(&rows, |out| writeln!(out, "{HEADER}"))?;
        Self::append(lines, rows)
    }

    /// Goes on after `step`: lines of later steps, and one cut short by a crash, are dropped; files that are missing
    /// are begun. Labels are made before the step that their lines name, so those of `step` itself will come again.
    ///
    /// # Errors
    /// [`Error::Io`] when they cannot be read or written.
    pub fn resume(folder: &Path, step: u64) -> Result<Self> {
        let (lines, rows) = paths(folder);
        let before = |s: u64, labels: bool| if labels { s < step } else { s <= step };
        let is_kept = |line: &str| {
            let Ok(value) = serde_json::from_str::<Value>(line) else { return false };
            let labels = value["event"] == LABELS;
            value["step"].as_u64().is_some_and(|s| before(s, labels))
        };
        keep(&lines, "", is_kept)?;
        let is_kept = |line: &str| {
            let columns: Vec<&str> = line.split(',').collect();
            let first = columns[0].parse::<u64>().ok();
            columns.len() == 5 && first.is_some_and(|s| before(s, columns[2] == LABELS))
        };
        keep(&rows, HEADER, is_kept)?;
        Self::append(lines, rows)
    }

    fn append(lines: PathBuf, rows: PathBuf) -> Result<Self> {
        let open = |path: &Path| {
            OpenOptions::new().append(true).open(path).map_err(|e| Error::io("cannot append to", path, e))
        };
        let files = (open(&lines)?, open(&rows)?);
        Ok(Self { lines: (lines, files.0), rows: (rows, files.1) })
    }

    fn write(&mut self, line: &Map<String, Value>, step: u64, epoch: f64, split: &str, values: &Metrics) -> Result<()> {
        let text = format!("{}\n", Value::Object(line.clone()));
        self.lines.1.write_all(text.as_bytes()).map_err(|e| Error::io("cannot write", &self.lines.0, e))?;
        let rows: String =
            values.iter().map(|(name, value)| format!("{step},{epoch},{split},{name},{value}\n")).collect();
        self.rows.1.write_all(rows.as_bytes()).map_err(|e| Error::io("cannot write", &self.rows.0, e))
    }
}

impl Sink for MetricsFiles {
    fn event(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Step(step) => self.write(&line_of_step(step), step.step, step.epoch, "train", &values_of_step(step)),
            Event::Evaluated(e) => self.write(&line_of_evaluation(e), e.step, e.epoch, &e.split, &e.metrics),
            Event::Relabelled(r) => self.write(&line_of_labels(r)?, r.step, r.epoch, LABELS, &values_of_labels(r)),
            Event::Started(_) | Event::Saved(_) | Event::Note(_) | Event::Finished(_) => Ok(()),
        }
    }
}

fn values_of_step(step: &Step) -> Metrics {
    let own = [
        ("loss", step.loss),
        ("accuracy", step.accuracy),
        ("lr", step.lr),
        ("images_per_second", step.images_per_second),
        ("seconds", step.seconds),
    ];
    own.into_iter().chain(step.metrics.iter()).collect()
}

/// JSON has no NaN and no infinity: they become null.
fn extend(line: &mut Map<String, Value>, metrics: &Metrics) {
    for (name, value) in metrics.iter() {
        line.insert(name.into(), json!(value));
    }
}

fn line_of_step(step: &Step) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("event".into(), json!("step"));
    line.insert("step".into(), json!(step.step));
    line.insert("epoch".into(), json!(step.epoch));
    extend(&mut line, &values_of_step(step));
    line
}

fn line_of_evaluation(evaluated: &Evaluated) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("event".into(), json!("evaluation"));
    line.insert("step".into(), json!(evaluated.step));
    line.insert("epoch".into(), json!(evaluated.epoch));
    line.insert("split".into(), json!(evaluated.split));
    line.insert("images".into(), json!(evaluated.images));
    line.insert("seconds".into(), json!(evaluated.seconds));
    extend(&mut line, &evaluated.metrics);
    line
}

/// The values of one head's update; `metrics.csv` tells the heads apart by the name's end.
fn values_of_labels(labels: &Relabelled) -> Metrics {
    let name = |name: &str| format!("{name}.{}", labels.head);
    let own = [
        (name("changed"), labels.changed),
        (name("iterations"), f64::from(labels.iterations)),
        (name("marginal_error"), labels.marginal_error),
        (name("cost"), labels.cost),
    ];
    own.into_iter().chain(labels.nmi.map(|nmi| (name("nmi"), nmi))).collect()
}

fn line_of_labels(labels: &Relabelled) -> Result<Map<String, Value>> {
    let bad = |e: serde_json::Error| Error::Data(format!("a label update cannot be written as JSON: {e}"));
    let mut line = Map::new();
    line.insert("event".into(), json!(LABELS));
    if let Value::Object(fields) = serde_json::to_value(labels).map_err(bad)? {
        line.extend(fields);
    }
    Ok(line)
}

fn paths(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("metrics.jsonl"), folder.join("metrics.csv"))
}

/// Rewrites a file with its header and the lines that are kept.
fn keep(path: &Path, header: &str, is_kept: impl Fn(&str) -> bool) -> Result<()> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(Error::io("cannot read", path, e)),
    };
    let text = String::from_utf8_lossy(&bytes);
    // Without its end, a line was cut short.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    write_atomically(path, |out| {
        if !header.is_empty() {
            writeln!(out, "{header}")?;
        }
        whole.lines().filter(|line| is_kept(line)).try_for_each(|line| writeln!(out, "{line}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: u64, loss: f64) -> Event {
        let metrics = [("joint_loss", loss)].into_iter().collect();
        let (lr, accuracy, images_per_second) = (0.1, 0.5, 300.0);
        Event::Step(Step { step, epoch: 0.25, loss, accuracy, lr, images_per_second, seconds: 1.0, metrics })
    }

    fn evaluated(step: u64) -> Event {
        let metrics = [("single_accuracy", 0.75)].into_iter().collect();
        Event::Evaluated(Evaluated { step, epoch: 0.5, split: "test".into(), images: 10, seconds: 2.0, metrics })
    }

    fn read(folder: &Path) -> (Vec<Value>, Vec<String>) {
        let (lines, rows) = paths(folder);
        let lines = fs::read_to_string(lines).unwrap();
        let rows = fs::read_to_string(rows).unwrap();
        (lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect(), rows.lines().map(String::from).collect())
    }

    #[test]
    fn both_files_have_every_value() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = MetricsFiles::create(dir.path()).unwrap();
        files.event(&step(50, 1.5)).unwrap();
        files.event(&step(100, f64::NAN)).unwrap();
        files.event(&evaluated(100)).unwrap();
        let (lines, rows) = read(dir.path());
        assert_eq!(lines[0]["event"], "step");
        assert_eq!(
            (&lines[0]["step"], &lines[0]["loss"], &lines[0]["joint_loss"]),
            (&json!(50), &json!(1.5), &json!(1.5))
        );
        assert_eq!((&lines[1]["loss"], &lines[1]["lr"]), (&Value::Null, &json!(0.1)));
        assert_eq!((&lines[2]["split"], &lines[2]["single_accuracy"]), (&json!("test"), &json!(0.75)));
        assert_eq!(rows[0], HEADER);
        assert_eq!(rows[1], "50,0.25,train,loss,1.5");
        assert!(rows.contains(&"100,0.25,train,loss,NaN".into()));
        assert_eq!(rows.last().unwrap(), "100,0.5,test,single_accuracy,0.75");
        assert_eq!(rows.len(), 1 + 6 + 6 + 1);
    }

    #[test]
    fn resuming_leaves_no_line_twice() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = MetricsFiles::create(dir.path()).unwrap();
        for s in [50, 100, 150] {
            files.event(&step(s, 1.0)).unwrap();
        }
        files.event(&evaluated(100)).unwrap();
        drop(files);
        // What a crash leaves: half a line in each.
        let (lines, rows) = paths(dir.path());
        let cut = |path: &Path, text: &str| {
            OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
        };
        cut(&lines, "{\"event\":\"step\",\"step\":1");
        cut(&rows, "1,0.2");
        let mut files = MetricsFiles::resume(dir.path(), 100).unwrap();
        files.event(&step(150, 2.0)).unwrap();
        let (lines, rows) = read(dir.path());
        let steps: Vec<u64> = lines.iter().map(|l| l["step"].as_u64().unwrap()).collect();
        assert_eq!(steps, [50, 100, 100, 150]);
        assert_eq!(lines[3]["loss"], 2.0);
        assert_eq!(rows.iter().filter(|r| r.starts_with("150,")).count(), 6);
        assert_eq!(rows.len(), 1 + 6 + 6 + 1 + 6);
        assert_eq!(rows[0], HEADER);
    }

    #[test]
    fn labels_made_after_the_checkpoint_come_once() {
        let dir = tempfile::tempdir().unwrap();
        let relabelled = |step: u64| {
            Event::Relabelled(Relabelled {
                step,
                epoch: 0.0,
                update: 1,
                head: 0,
                changed: 0.5,
                iterations: 3,
                marginal_error: 0.0,
                converged: true,
                cost: 1.0,
                gap: None,
                sizes: [1, 2],
                nmi: None,
                seconds: 1.0,
                assignment_seconds: 0.5,
            })
        };
        let mut files = MetricsFiles::create(dir.path()).unwrap();
        for event in [relabelled(0), step(100, 1.0), relabelled(100), step(101, 1.0)] {
            files.event(&event).unwrap();
        }
        drop(files);
        // The checkpoint of step 100 was written before the labels of step 100 were made.
        let mut files = MetricsFiles::resume(dir.path(), 100).unwrap();
        files.event(&relabelled(100)).unwrap();
        let (lines, rows) = read(dir.path());
        let labels: Vec<u64> =
            lines.iter().filter(|l| l["event"] == LABELS).map(|l| l["step"].as_u64().unwrap()).collect();
        assert_eq!((lines.len(), labels), (3, vec![0, 100]));
        let rows_at = |step: &str| rows.iter().filter(|r| r.starts_with(step) && r.contains(",labels,")).count();
        assert_eq!(rows_at("100,"), rows_at("0,"));
    }

    #[test]
    fn missing_files_are_begun_on_resume() {
        let dir = tempfile::tempdir().unwrap();
        MetricsFiles::resume(dir.path(), 7).unwrap().event(&step(8, 1.0)).unwrap();
        let (lines, rows) = read(dir.path());
        assert_eq!((lines.len(), rows.len(), rows[0].as_str()), (1, 7, HEADER));
    }
}
