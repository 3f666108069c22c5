//! What `relabel eval` and `relabel label` say of auxiliary labels, against a computation by hand from the label file.

use std::path::{Path, PathBuf};

use relabel::data::{Label, LabelFile, Validation, partition};
use relabel::eval::Contingency;
use relabel::session;
use relabel::train::checkpoint::TensorData;
use relabel::train::events::Silent;
use serde_json::Value;
use tempfile::TempDir;

use super::common::engine;
use super::small::{self, Pictures, cifar100, done, refused};

const PICTURES: Pictures = Pictures { train: 90, test: 30, size: [8, 8], channels: 3, classes: 3 };
/// Images held out for validation, and the seed that chooses them.
const HELD_OUT: usize = 24;
const SEED: u64 = 5;

/// The first two classes are one; its labels are the auxiliary labels 0 and 1, and 2 is the other class.
fn config_text(data: &Path) -> String {
    format!(
        r#"
method = "maxl"
seed = {SEED}
[data]
path = {data:?}
mean = [0.5]
std = [0.25]
groups = [[0, 1], [2]]
validation = {HELD_OUT}
[augment]
crop_padding = 0
flip = false
[model]
name = "convnet"
widths = [4, 8]
strides = [1, 2]
[maxl]
hierarchy = [2, 1]
head = "linear"
order = "steps"
lookahead_lr = 0.1
generator_lr = 0.1
[train]
batch = 15
steps = 40
sampler = "epochs"
[evaluate]
every = 0
[checkpoint]
every = 0
keep = 0
"#
    )
}

/// A trained network's checkpoint, beside `pictures.npz`.
fn trained(overrides: &[&str]) -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let data = PICTURES.npz(dir.path(), "pictures.npz");
    let config = small::parsed(&config_text(&data), overrides).unwrap();
    let mut trainer = session::trainer(&engine(), config).unwrap();
    trainer.run(None, None, &mut Silent, &|| false).unwrap();
    let path = dir.path().join("last.safetensors");
    trainer.checkpoint().unwrap().write(&path).unwrap();
    (dir, path.to_str().unwrap().to_owned())
}

fn eval(checkpoint: &str, more: &[&str]) -> Value {
    serde_json::from_str(&done(&[&["eval", checkpoint, "--json"][..], more].concat())).unwrap()
}

/// `-Σ p ln p` of how often values occur.
fn entropy<T: Ord>(mut values: Vec<T>) -> f64 {
    values.sort();
    let n = values.len() as f64;
    values.chunk_by(|a, b| a == b).map(|same| same.len() as f64 / n).map(|p| -p * p.ln()).sum()
}

fn nmi(pairs: &[(u32, u32)]) -> f64 {
    let (a, b): (Vec<u32>, Vec<u32>) = pairs.iter().copied().unzip();
    let each = entropy(a) + entropy(b);
    if each == 0.0 { 1.0 } else { 2.0 * (each - entropy(pairs.to_vec())) / each }
}

#[track_caller]
fn near(found: &Value, expected: f64, bound: f64) {
    let value = found.as_f64().unwrap_or_else(|| panic!("{found} is no number"));
    assert!((value - expected).abs() < bound, "{value}, expected {expected}");
}

/// The report of images with these labels, of which image `i` is of the data's class `truth[i]`, by hand.
fn check(report: &Value, truth: &[u32], labels: &[Label]) {
    let n = truth.len() as f64;
    assert_eq!((report["images"].as_u64(), truth.len()), (Some(truth.len() as u64), labels.len()));
    let class = |truth: u32| truth / 2;
    // Of the two labels of class 0 the other one has the rest of the probability.
    let (mut mean, mut image_entropy) = ([0.0; 3], 0.0);
    for (label, &truth) in labels.iter().zip(truth) {
        let p = f64::from(label.confidence);
        mean[label.label as usize] += p / n;
        assert_eq!(class(truth), label.label / 2, "a label of its class");
        if class(truth) == 0 {
            mean[1 - label.label as usize] += (1.0 - p) / n;
        }
        image_entropy -= [p, 1.0 - p].iter().filter(|p| **p > 1e-12).map(|p| p * p.ln()).sum::<f64>() / n;
    }
    let of_classes = entropy(truth.iter().map(|&t| class(t)).collect());
    let of_labels: f64 = mean.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
    let metrics = &report["metrics"];
    near(&metrics["label_entropy"], of_labels, 1e-5);
    near(&metrics["image_label_entropy"], image_entropy, 1e-5);
    let most = truth.iter().filter(|&&t| class(t) == 0).count() as f64 / n * 2f64.ln();
    near(&metrics["label_usage"], (of_labels - of_classes) / most, 1e-4);
    let used: std::collections::BTreeSet<u32> = labels.iter().map(|l| l.label).collect();
    assert_eq!((metrics["labels_used"].as_f64(), report["labels"].as_u64()), (Some(used.len() as f64), Some(3)));

    let pairs: Vec<(u32, u32)> = truth.iter().copied().zip(labels.iter().map(|l| l.label)).collect();
    let inside: Vec<(u32, u32)> = pairs.iter().copied().filter(|p| class(p.0) == 0).collect();
    let alone: Vec<(u32, u32)> = truth.iter().map(|&t| (t, class(t))).collect();
    let found = &report["agreement"];
    near(&found["nmi"], nmi(&pairs), 1e-12);
    near(&found["class_nmi"], nmi(&alone), 1e-12);
    assert_eq!((found["finer_labels"].as_u64(), found["within_classes"]["classes"].as_u64()), (Some(3), Some(1)));
    near(&found["within_classes"]["nmi"], nmi(&inside), 1e-12);
    let (a, b): (Vec<u32>, Vec<u32>) = inside.iter().copied().unzip();
    near(&found["within_classes"]["ami"], Contingency::new(&a, &b).unwrap().ami(), 1e-12);
    let straight = inside.iter().filter(|p| p.0 == p.1).count();
    let best = straight.max(inside.len() - straight);
    near(&found["within_classes"]["hungarian_accuracy"], best as f64 / inside.len() as f64, 1e-12);
    near(&found["hungarian_accuracy"], (best + truth.len() - inside.len()) as f64 / n, 1e-12);
    let commonest = inside.iter().filter(|p| p.0 == 0).count();
    let commonest = commonest.max(inside.len() - commonest);
    near(&found["class_hungarian_accuracy"], (commonest + truth.len() - inside.len()) as f64 / n, 1e-12);
}

fn labels(checkpoint: &str, out: &Path, more: &[&str]) -> Vec<Label> {
    done(&[&["label", checkpoint, "--out", out.to_str().unwrap(), "--force"][..], more].concat());
    LabelFile::read(out).unwrap().rows().to_vec()
}

#[test]
fn generated_labels_are_measured_on_every_split() {
    let (dir, checkpoint) = trained(&["maxl.entropy_weight=1"]);
    let out = dir.path().join("labels.csv");
    let parts = partition(&Validation::Count(HELD_OUT), 90, SEED).unwrap();
    let all = labels(&checkpoint, &out, &[]);
    let test = labels(&checkpoint, &out, &["--split", "test"]);
    assert_eq!((all.len(), test.len()), (90, 30));
    let pick = |places: &[u32]| -> (Vec<u32>, Vec<Label>) { places.iter().map(|&i| (i % 3, all[i as usize])).unzip() };
    for (split, (truth, labels)) in [
        ("train", pick(&parts.train)),
        ("validation", pick(&parts.validation)),
        ("test", ((0..30).map(|i| i % 3).collect(), test.clone())),
    ] {
        let report = eval(&checkpoint, &["--split", split]);
        assert_eq!(report["agreement"]["finer"], "the data's own classes");
        assert_eq!((report["split"].as_str(), report["method"].as_str()), (Some(split), Some("maxl")));
        assert!(report["metrics"]["single_accuracy"].as_f64().unwrap() > 0.9, "{report}");
        check(&report, &truth, &labels);
    }
    let used: std::collections::BTreeSet<u32> = all.iter().map(|l| l.label).collect();
    assert_eq!(used.len(), 3, "a collapsed generator would show little");
    let text = done(&["eval", &checkpoint]);
    let shown = [
        "labels_used",
        "of 3",
        "against the data's own classes (3)",
        "within a class, mean of 1 class",
        "the classes alone",
    ];
    shown.iter().for_each(|part| assert!(text.contains(part), "no {part:?} in {text}"));

    // Other data of the same classes, and the same comparison by a label file.
    let other = PICTURES.npz(dir.path(), "other.npz");
    let other = ["--data", other.to_str().unwrap()];
    check(&eval(&checkpoint, &other), &(0..30).map(|i| i % 3).collect::<Vec<_>>(), &test);
    assert_eq!(labels(&checkpoint, &out, &[&other[..], &["--split", "test"]].concat()), test);
    assert_eq!(labels(&checkpoint, &out, &other), all);
    let row = |index: u32| Label { index, head: 0, label: 7 + 3 * (index % 3), confidence: 1.0 };
    let file = dir.path().join("finer.csv");
    LabelFile::new((0..90).map(row).collect(), &[]).write(&file).unwrap();
    let file = file.to_str().unwrap();
    for split in ["train", "validation"] {
        let [mut by_file, own] = [file, "own"].map(|finer| eval(&checkpoint, &["--split", split, "--finer", finer]));
        assert_eq!(by_file["agreement"]["finer"], file);
        by_file["agreement"]["finer"] = own["agreement"]["finer"].clone();
        assert_eq!(by_file, own, "{split}");
    }
    refused(&["eval", &checkpoint, "--finer", file], 3, &["finer.csv", "out of range", "30"]);
    refused(&["eval", &checkpoint, "--finer", "coarse"], 2, &["--finer = \"coarse\"", "as finer labels own"]);
    refused(&["eval", &checkpoint, "--finer", "gone.csv"], 8, &["gone.csv"]);
    refused(&["eval", &checkpoint, "--finer", "own", "--features"], 2, &["--finer", "maxl"]);
    LabelFile::new((0..30).map(|i| Label { label: i % 2, ..row(i) }).collect(), &[]).write(Path::new(file)).unwrap();
    refused(&["eval", &checkpoint, "--finer", file], 3, &["--finer", "label 0", "not finer than the classes"]);
}

/// Labels that do not change are those of the training images; there they are measured, too.
#[test]
fn given_labels_are_measured_where_they_were_given() {
    let parts = partition(&Validation::Count(HELD_OUT), 90, SEED).unwrap();
    let truth: Vec<u32> = parts.train.iter().map(|i| i % 3).collect();
    let one = |(index, label): (usize, u32)| Label { index: index as u32, head: 0, label, confidence: 1.0 };
    let (_dir, checkpoint) = trained(&["method=maxl-human", "maxl.labels=own"]);
    let report = eval(&checkpoint, &["--split", "train"]);
    check(&report, &truth, &truth.iter().copied().enumerate().map(one).collect::<Vec<_>>());
    near(&report["agreement"]["within_classes"]["ami"], 1.0, 1e-12);
    for split in ["validation", "test"] {
        let report = eval(&checkpoint, &["--split", split]);
        assert!(report["metrics"]["label_usage"].is_null() && report["agreement"].is_null(), "{report}");
        let asked = ["eval", &checkpoint, "--split", split, "--finer", "own"];
        refused(&asked, 2, &["`maxl-human`", "--split train"]);
    }
    let (_dir, checkpoint) = trained(&["method=maxl-random"]);
    let report = eval(&checkpoint, &["--split", "train"]);
    assert!(report["agreement"]["within_classes"]["ami"].as_f64().unwrap().abs() < 0.2, "{report}");
    assert!(report["metrics"]["label_usage"].as_f64().unwrap() > 0.9, "{report}");
    let (_dir, checkpoint) = trained(&["method=maxl-single"]);
    assert_eq!(eval(&checkpoint, &["--split", "train"])["metrics"].as_object().unwrap().len(), 2);
    refused(&["eval", &checkpoint, "--split", "train", "--finer", "own"], 2, &["`maxl-single` has none"]);
}

/// The column of each image's auxiliary label in a run on CIFAR-100's miniature.
fn columns(dir: &Path, labels: &str, finer: &str) -> relabel::base::Result<Vec<i32>> {
    let [labels, finer] = [format!("data.labels={labels}"), format!("maxl.labels={finer}")];
    let more = ["method=maxl-human", "maxl.hierarchy=60", "data.groups=[]", "data.validation=none"];
    let overrides = [&more[..], &["model.strides=[4, 4]", &labels, &finer]].concat();
    let config = small::parsed(&config_text(dir), &overrides)?;
    let checkpoint = session::trainer(&engine(), config)?.checkpoint()?;
    let TensorData::I32(given) = &checkpoint.get("labels.auxiliary")?.data else { panic!("not I32") };
    Ok(given.clone())
}

#[test]
fn people_may_give_any_finer_labels_of_cifar100() {
    let dir = tempfile::tempdir().unwrap();
    cifar100(dir.path());
    let path: PathBuf = dir.path().into();
    let fine: Vec<i32> = (0..100).map(|i| i * 3 % 100).collect();
    let ten =
        |fine: i32| -> usize { [1, 2, 5, 6, 5, 6, 6, 3, 0, 7, 8, 0, 1, 3, 4, 0, 2, 5, 9, 9][(fine * 7 % 20) as usize] };
    // Class 0 holds 0 to 4 of the ten, class 1 number 5, class 2 the others; each has 60 columns.
    let column = [0, 1, 2, 3, 4, 60, 120, 121, 122, 123];
    let expected: Vec<i32> = fine.iter().map(|&f| column[ten(f)]).collect();
    assert_eq!(columns(&path, "3", "10").unwrap(), expected);
    // The five fine labels of a superclass are those of equal 7·fine mod 20, so 20 apart.
    let expected: Vec<i32> = fine.iter().map(|f| f * 7 % 20 * 60 + f / 20).collect();
    assert_eq!(columns(&path, "coarse", "fine").unwrap(), expected);
    assert_eq!(columns(&path, "coarse", "own").unwrap(), expected);
    // Superclass by number within each of the ten.
    let rank = |c: i32, of: usize| (0..c).filter(|&other| ten(other * 3 % 20) == of).count() as i32;
    let expected: Vec<i32> = fine.iter().map(|&f| ten(f) as i32 * 60 + rank(f * 7 % 20, ten(f))).collect();
    assert_eq!(columns(&path, "10", "coarse").unwrap(), expected);
    for (labels, finer, parts) in [
        ("coarse", "10", ["maxl.labels = \"10\"", "as finer labels fine"]),
        ("10", "10", ["maxl.labels = \"10\"", "as finer labels fine, coarse"]),
        ("fine", "own", ["maxl.labels = \"own\"", "no labels that are finer"]),
    ] {
        let error = columns(&path, labels, finer).unwrap_err().to_string();
        parts.iter().for_each(|part| assert!(error.contains(part), "no {part:?} in {error}"));
    }
    columns(&path, "3", "fine").unwrap();
}
