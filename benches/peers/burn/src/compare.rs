//! One table from the reports of `relabel bench --json` and of this program.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

/// Name and shape, in the words that both programs use; a training step goes by its name alone.
type Key = (String, String);

/// Milliseconds of one kind of work, a number a report.
struct Entry {
    shape: String,
    times: Vec<f64>,
    checked: bool,
}

/// The rows of a report.
///
/// # Errors
/// When the file cannot be read or is not a report.
pub fn rows(file: &Path) -> Result<Vec<Value>, String> {
    let told = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
    let text = std::fs::read_to_string(file).map_err(|e| told(&e))?;
    let report: Value = serde_json::from_str(&text).map_err(|e| told(&e))?;
    report["rows"].as_array().cloned().ok_or_else(|| told(&"no list \"rows\""))
}

/// The rows of several reports of one program, gathered by name and shape, in the order they came in.
struct Reports {
    order: Vec<Key>,
    entries: BTreeMap<Key, Entry>,
}

impl Reports {
    fn read(files: &[String]) -> Result<Self, String> {
        let mut all = Self { order: Vec::new(), entries: BTreeMap::new() };
        for file in files {
            for (i, row) in rows(Path::new(file))?.iter().enumerate() {
                let (Some(name), Some(shape), Some(time)) =
                    (row["name"].as_str(), row["shape"].as_str(), row["milliseconds"].as_f64())
                else {
                    return Err(format!("{file}: row {i} lacks name, shape or milliseconds"));
                };
                let key = (name.to_owned(), if name.starts_with("step") { String::new() } else { shape.to_owned() });
                // A report without a verdict, as of `relabel bench`, whose kernels have their own tests.
                let checked = row["checked"].as_bool().unwrap_or(true);
                let entry = all.entries.entry(key.clone()).or_insert_with(|| {
                    all.order.push(key);
                    Entry { shape: shape.to_owned(), times: Vec::new(), checked: true }
                });
                entry.times.push(time);
                entry.checked &= checked;
            }
        }
        Ok(all)
    }

    fn get(&self, name: &str, shape: &str) -> Option<&Entry> {
        self.entries.get(&(name.to_owned(), shape.to_owned()))
    }

    /// Sum of the medians of a convolution's three directions, or of two where `first` is, whose input has no gradient; none
    /// when one is missing.
    fn all_directions(&self, shape: &str, first: bool) -> Option<f64> {
        let directions = ["conv2d", "conv2d_weight_grad", "conv2d_input_grad"];
        directions[..if first { 2 } else { 3 }].iter().map(|n| self.get(n, shape).map(Entry::median)).sum()
    }
}

impl Entry {
    fn median(&self) -> f64 {
        let mut times = self.times.clone();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }
}

/// The table: medians over the reports, and by how much burn's time exceeds ours.
///
/// # Errors
/// When a file cannot be read or is not a report.
pub fn table(ours: &[String], burns: &[String]) -> Result<String, String> {
    let (ours, burns) = (Reports::read(ours)?, Reports::read(burns)?);
    let mut text = format!("{:<30} {:<44} {:>10} {:>10} {:>8}\n", "name", "shape", "ours ms", "burn ms", "ratio");
    let mut line = |name: &str, shape: &str, a: Option<f64>, b: Option<f64>, note: &str| {
        let number = |v: Option<f64>| v.map_or("-".into(), |v| format!("{v:.2}"));
        let ratio = a.zip(b).map_or("-".into(), |(a, b)| format!("{:.2}", b / a));
        let _ = writeln!(text, "{name:<30} {shape:<44} {:>10} {:>10} {ratio:>8}{note}", number(a), number(b));
    };
    for key in &burns.order {
        let (name, shape) = key;
        let entry = &burns.entries[key];
        let note = if entry.checked { "" } else { "  burn's answer or timing was WRONG" };
        if name == "conv2d_autodiff" {
            // What a training step pays for a layer. For burn the better of its three operators one by one and its
            // own automatic differentiation.
            let first = burns.get("conv2d_input_grad", shape).is_none();
            let burn = burns.all_directions(shape, first).map_or(entry.median(), |sum| sum.min(entry.median()));
            line("conv2d forward + backward", &entry.shape, ours.all_directions(shape, first), Some(burn), note);
        } else {
            line(name, &entry.shape, ours.get(name, shape).map(Entry::median), Some(entry.median()), note);
        }
    }
    for key in ours.order.iter().filter(|key| !burns.entries.contains_key(key)) {
        let entry = &ours.entries[key];
        line(&key.0, &entry.shape, Some(entry.median()), None, "");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (std::path::PathBuf, String) {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("burn-peer-{}-{}.json", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).expect("a temporary file");
        let name = path.display().to_string();
        (path, name)
    }

    #[test]
    fn rows_meet_by_name_and_shape() {
        let (a, ours) = file(
            r#"{"rows":[{"name":"conv2d","shape":"demo 2x4x4x1 to 3, stride 1","milliseconds":2.0},
                {"name":"conv2d_input_grad","shape":"demo 2x4x4x1 to 3, stride 1","milliseconds":3.0},
                {"name":"conv2d_weight_grad","shape":"demo 2x4x4x1 to 3, stride 1","milliseconds":5.0},
                {"name":"step demo sla","shape":"other words 7","milliseconds":1.0},
                {"name":"sum","shape":"9","milliseconds":1.5}]}"#,
        );
        let (b, burn) = file(
            r#"{"rows":[{"name":"conv2d","shape":"demo 2x4x4x1 to 3, stride 1","milliseconds":8.0,"checked":true},
                {"name":"conv2d_autodiff","shape":"demo 2x4x4x1 to 3, stride 1","milliseconds":40.0},
                {"name":"conv2d","shape":"demo 2x4x4x1 to 3, stride 2","milliseconds":8.0,"checked":false},
                {"name":"step demo sla","shape":"128","milliseconds":3.0}]}"#,
        );
        let text = table(std::slice::from_ref(&ours), &[burn, ours.clone()]).expect("a table");
        std::fs::remove_file(a).and_then(|()| std::fs::remove_file(b)).expect("the temporary files go");
        let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
        let ends = |line: usize, with: &[&str]| assert!(lines[line].ends_with(with), "{text}");
        // Two reports of the peer: the upper median of 8 and 2.
        ends(1, &["2.00", "8.00", "4.00"]);
        // Of 8 + 3 + 5 and 40 the better.
        ends(2, &["10.00", "16.00", "1.60"]);
        ends(3, &["-", "8.00", "-", "burn's", "answer", "or", "timing", "was", "WRONG"]);
        ends(4, &["1.00", "3.00", "3.00"]);
        assert_eq!(lines.len(), 8, "{text}");
        assert!(table(&["no such file".into()], &[]).is_err());
    }
}
