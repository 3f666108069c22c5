//! `relabel bench` as a command: results as files, beside earlier ones, and what is refused before anything is timed.

use std::process::{Command, Output};

use relabel::bench::{Comparison, Report, Row};

fn row(name: &str, shape: &str, milliseconds: f64, best: Option<f64>) -> Row {
    Row { name: name.into(), shape: shape.into(), milliseconds, best_milliseconds: best, ..Row::default() }
}

fn report(adapter: &str, rows: Vec<Row>) -> Report {
    Report { version: env!("CARGO_PKG_VERSION").into(), adapter: adapter.into(), rows, ..Report::default() }
}

#[test]
fn slower_missing_and_new_rows_are_told() {
    let then = report(
        "a",
        vec![
            row("x", "1", 10.0, Some(8.0)),
            row("x", "2", 10.0, None),
            row("y", "1", 5.0, None),
            row("z", "1", 1.0, None),
        ],
    );
    let now = report(
        "a",
        // The best samples count where both are known: a busy machine slows the median.
        vec![
            row("x", "1", 30.0, Some(8.7)),
            row("x", "2", 11.1, Some(2.0)),
            row("y", "1", 5.4, None),
            row("w", "1", 1.0, None),
        ],
    );
    let found = Comparison::new(&then, &now, 0.1).expect("a comparison");
    let slower: Vec<_> = found.slower().map(|line| (line.name.as_str(), line.shape.as_str())).collect();
    assert_eq!(slower, [("x", "2")]);
    assert!((found.lines[0].ratio() - 8.7 / 8.0).abs() < 1e-12 && (found.lines[1].ratio() - 1.11).abs() < 1e-12);
    let missing: Vec<_> = found.missing.iter().map(|row| (row.name.as_str(), row.shape.as_str())).collect();
    assert_eq!((missing, found.new), (vec![("z", "1")], vec!["w 1".to_owned()]));
    let all = Comparison::new(&then, &now, 0.05).expect("a comparison");
    assert_eq!(all.slower().count(), 3);
}

#[test]
fn results_of_another_adapter_are_refused_unless_asked_for() {
    let rows = || vec![row("x", "1", 1.0, None)];
    let then = report("a", rows());
    then.expect("a", false).expect("the same");
    let error = then.expect("b", false).expect_err("another adapter");
    assert!(error.to_string().contains("another adapter: a, and now b") && error.exit_code() == 2, "{error}");
    let error = then.expect("a", true).expect_err("checks");
    assert!(error.to_string().contains("without checks, and now with"), "{error}");
    assert!(Comparison::new(&then, &report("a", vec![row("y", "1", 1.0, None)]), 0.1).is_err(), "nothing in common");
}

#[test]
fn what_cannot_be_used_is_refused_before_anything_is_timed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let written = |name: &str, report: &Report| {
        std::fs::write(path(name), serde_json::to_string(report).expect("JSON")).expect("written");
    };
    let other = |rows| report("another adapter", rows);
    written("other.json", &other(vec![row("x", "1", 1.0, None)]));
    written("negative.json", &other(vec![row("x", "1", -3.0, None)]));
    written("none.json", &other(Vec::new()));
    written("step.json", &other(vec![row("step demo sla", "9 x 4 rows of 28x28x1", 1.0, None)]));
    written("old.json", &Report { version: "0.0.9".into(), ..other(vec![row("x", "1", 1.0, None)]) });
    for (args, part) in [
        (vec!["all", "--step", "nosuch"], "no step's name holds \"nosuch\""),
        (vec!["kernels", "--step", "demo"], "--step says nothing about `kernels`; it is for `all`, `steps`, `export`"),
        (vec!["steps", "--samples", "9", "--clusters", "3"], "--samples says nothing"),
        (vec!["images", "--maxl-batch", "9"], "--maxl-batch says nothing"),
        (vec!["images", "--rows", "5"], "--rows says nothing about `images`; it is for `all`, `kernels`"),
        (vec!["sinkhorn", "--demo-rows", "3"], "--demo-rows says nothing"),
        (vec!["maxl", "--full"], "--full says nothing"),
        (vec!["export", &path("out"), "--repeats", "3"], "--repeats says nothing about `export`"),
        (vec!["export", &path("out"), "--json", &path("x.json")], "--json, --keep or --compare"),
        (vec!["steps", "--variants"], "times nothing"),
        (vec!["--repeats", "3", "--variants"], "times nothing"),
        (vec!["--json", &path("x.json"), "--variants"], "times nothing"),
        (vec!["all", "--compare", &path("other.json")], "--other-adapter"),
        (vec!["all", "--fail-over", "10%%", "--compare", &path("other.json")], "no percentage"),
        (vec!["images", "--compare", &path("old.json")], "old.json: the earlier results are of relabel 0.0.9"),
        (vec!["images", "--compare", &path("none.json"), "--other-adapter"], "none.json: it holds no rows"),
        (vec!["images", "--compare", &path("other.json"), "--other-adapter"], "it has `x 1`, and this run `crop_taps`"),
        (
            vec!["steps", "--rows", "8", "--compare", &path("step.json"), "--other-adapter", "--demo-rows", "8"],
            "it has `step demo sla 9 x 4 rows of 28x28x1`, and this run `step demo sla 2 x 4 rows of 28x28x1`",
        ),
    ] {
        refused(&args, 2, part);
    }
    refused(&["images", "--compare", &path("negative.json")], 3, "negative.json: the row `x 1` has milliseconds of -3");
    refused(&["images", "--compare", &path("gone.json")], 8, "`relabel bench --json FILE`");
    refused(&["images", "--json", &path("other.json/x.json")], 8, "there is a file of this name");
    refused(&["images", "--json", &path("")], 8, "it is a folder");
    refused(&["images", &format!("--keep={}", path("other.json"))], 8, "there is a file of this name");
}

/// Checks that the bench ends with `code` before it timed anything, and that what it says holds `part`.
fn refused(args: &[&str], code: i32, part: &str) {
    let done = bench(args);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.code() == Some(code) && said.contains(part), "{args:?}: {said}");
    assert!(!String::from_utf8_lossy(&done.stdout).contains("GB/s"), "{args:?} timed something");
}

fn bench(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_relabel")).arg("bench").args(args).output().expect("it starts")
}

#[test]
fn the_command_compares_and_ends_with_one_when_slower() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("then.json").display().to_string();
    let small = ["sinkhorn", "--samples", "300", "--clusters", "20", "--repeats", "1"];
    let small = |more: &[&str]| bench(&[&small, more].concat());
    let kept = format!("--keep={}", folder.path().display());
    assert_eq!(small(&["--json", &file, &kept]).status.code(), Some(0));
    let text = std::fs::read_to_string(&file).expect("written");
    let names = std::fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(names, 2, "the file asked for, and the one named after the adapter");
    let mut report: Report = serde_json::from_str(&text).expect("a report");
    assert!(report.date.ends_with('Z') && report.variants.is_none(), "{report:?}");
    // Another size is kept beside the first.
    let done = bench(&["sinkhorn", "--samples", "500", "--clusters", "20", "--repeats", "1", &kept]);
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(said.contains("beside 2 rows of earlier runs"), "{done:?}");
    // Rows of another choice of forms are not put among these.
    let other = small(&[&kept, "--variants", "default"]);
    let said = String::from_utf8_lossy(&other.stderr);
    assert!(
        other.status.code() == Some(2) && said.contains("without --variants, and now with --variants default"),
        "{other:?}"
    );
    let done = small(&["--compare", &file, "--fail-over", "1000%"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    report.rows.iter_mut().for_each(|row| {
        row.milliseconds *= 1e-6;
        row.best_milliseconds = row.best_milliseconds.map(|best| best * 1e-6);
    });
    report.rows.push(row("sinkhorn iteration", "9 x 9", 1.0, None));
    report.rows.extend([row("step a", "1", 1.0, None), row("step b", "1", 1.0, None)]);
    std::fs::write(&file, serde_json::to_string(&report).expect("JSON")).expect("written");
    let slower = small(&["--compare", &file]);
    let printed = String::from_utf8_lossy(&slower.stdout);
    assert!(slower.status.code() == Some(1), "{slower:?}");
    let others = format!("not measured now: 2 other rows of {file}");
    assert!(printed.contains("not measured now: sinkhorn iteration 9 x 9") && printed.contains(&others), "{printed}");
    assert!(!printed.contains("step a"), "rows of other parts are only counted: {printed}");
    report.adapter = "another".into();
    std::fs::write(&file, serde_json::to_string(&report).expect("JSON")).expect("written");
    assert_eq!(small(&["--compare", &file]).status.code(), Some(2));
}
