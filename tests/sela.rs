//! Self-labelling: whole runs, exact resumption with labels, frozen labels, labels as files, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use relabel::data::{LabelFile, Validation};
use relabel::eval::clusters::Contingency;
use relabel::methods::sela::labels_of;
use relabel::session;
use relabel::train::checkpoint::{Checkpoint, LAST, TensorData};
use relabel::train::config::Config;
use relabel::train::events::{Event, Relabelled, Sink};

use super::common::engine;
use super::small::{self, Pictures, done, refused};

const PICTURES: Pictures = Pictures { train: 90, test: 30, size: [8, 8], channels: 3, classes: 3 };

/// Two heads on pictures whose classes are easy to see.
fn config_text(data: &Path) -> String {
    format!(
        r#"
method = "sela"
seed = 3
[data]
path = {:?}
mean = "auto"
std = "auto"
[augment]
crop_padding = 1
flip = true
[model]
name = "convnet"
widths = [8, 16]
strides = [1, 2]
[sela]
heads = 2
clusters = 6
lambda = 20.0
updates = 8
update_power = 1.0
[train]
batch = 15
steps = 24
sampler = "epochs"
[optimizer]
lr = 0.05
[schedule]
kind = "constant"
[evaluate]
every = 0
[knn]
k = 5
[checkpoint]
every = 0
keep = 0
[log]
every = 6
"#,
        data.to_str().unwrap()
    )
}

fn config(data: &Path, overrides: &[&str]) -> Config {
    small::parsed(&config_text(data), overrides).unwrap()
}

fn data() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = PICTURES.npz(dir.path(), "pictures.npz");
    (dir, path)
}

/// Keeps every label update.
#[derive(Default)]
struct Updates(Vec<Relabelled>);

impl Sink for Updates {
    fn event(&mut self, event: &Event) -> relabel::base::Result<()> {
        if let Event::Relabelled(labels) = event {
            self.0.push(labels.clone());
        }
        Ok(())
    }
}

fn run(config: Config, stop_at: Option<u64>, from: Option<&Checkpoint>) -> (Checkpoint, Vec<Relabelled>) {
    let mut trainer = session::trainer(&engine(), config).unwrap();
    if let Some(checkpoint) = from {
        trainer.restore(checkpoint, Path::new("memory")).unwrap();
    }
    let mut updates = Updates::default();
    trainer.run(None, stop_at, &mut updates, &|| false).unwrap();
    (trainer.checkpoint().unwrap(), updates.0)
}

/// Everything but times: bits of tensors, and labels.
fn contents(checkpoint: &Checkpoint) -> Vec<(String, Vec<u64>)> {
    let bits = |data: &TensorData| -> Vec<u64> {
        match data {
            TensorData::F32(v) => v.iter().map(|x| u64::from(x.to_bits())).collect(),
            TensorData::I32(v) => v.iter().map(|x| *x as u64).collect(),
            TensorData::I64(v) => v.iter().map(|x| *x as u64).collect(),
            other => panic!("{}", other.dtype()),
        }
    };
    checkpoint.tensors.iter().map(|t| (t.name.clone(), bits(&t.data))).collect()
}

/// A history without its times.
fn timeless(updates: &[Relabelled]) -> Vec<Relabelled> {
    updates.iter().map(|u| Relabelled { seconds: 0.0, assignment_seconds: 0.0, ..u.clone() }).collect()
}

#[test]
fn a_stopped_run_goes_on_exactly() {
    let (_dir, data) = data();
    for overrides in [
        &[][..],
        &["sela.update=one", "sela.features=evaluate"],
        &["sela.heads=1", "sela.balance=exact", "sela.marginals=gauss"],
        &["data.resident=stream", "train.accumulate=3", "sela.update_power=2", "sela.updates=12"],
        // Dropout, and batch statistics of images that are cropped at random and coloured.
        &[
            "model.name=alexnet_small",
            "model.widths=[4, 4, 4, 4, 4, 8]",
            "model.strides=[]",
            "augment.resize=63",
            "augment.crop_size=63",
            "augment.crop=random_resized",
            "augment.crop_padding=0",
            "augment.brightness=0.4",
            "augment.hue=0.1",
        ],
        &["sela.features=bank", "train.accumulate=3"],
    ] {
        let (whole, updates) = run(config(&data, overrides), None, None);
        for stop in [7, 12] {
            let (part, before) = run(config(&data, overrides), Some(stop), None);
            let (rest, after) = run(config(&data, overrides), None, Some(&part));
            assert!(!before.is_empty() && !after.is_empty(), "updates on both sides of step {stop}");
            assert!(contents(&rest) == contents(&whole), "{overrides:?}, stopped at {stop}");
            assert_eq!(timeless(&[before, after].concat()), timeless(&updates));
        }
        let history: Vec<Relabelled> = serde_json::from_str(&whole.meta.extra["label_updates"]).unwrap();
        assert_eq!(timeless(&history), timeless(&updates));
    }
}

#[test]
fn updates_come_when_they_should() {
    let (_dir, data) = data();
    let steps = |overrides: &[&str]| -> Vec<(u64, usize)> {
        run(config(&data, overrides), None, None).1.iter().map(|u| (u.step, u.head)).collect()
    };
    // 24 steps are 4 epochs of 6 steps; updates lie 5.0001·6/7 = 4.29 steps apart, and the last ones past the end.
    let even = [0, 5, 9, 13, 18, 22];
    assert_eq!(steps(&[]), even.iter().flat_map(|&s| [(s, 0), (s, 1)]).collect::<Vec<_>>());
    let one: Vec<(u64, usize)> = even.iter().enumerate().map(|(i, &s)| (s, i % 2)).collect();
    assert_eq!(steps(&["sela.update=one"]), one);
    // (4.01·6 = 24.06)·(j/7)²: 0, 0.49, 1.96, 4.42, 7.86, 12.3, 17.7, 24.06
    let early = [0, 1, 2, 5, 8, 13, 18];
    assert_eq!(steps(&["sela.update=one", "sela.update_power=2"]).iter().map(|u| u.0).collect::<Vec<_>>(), early);
}

#[test]
fn clusters_find_the_classes() {
    let (_dir, data) = data();
    let (checkpoint, updates) = run(config(&data, &["train.steps=60", "sela.features=evaluate"]), None, None);
    let labels = labels_of(&checkpoint).unwrap();
    assert_eq!((labels.len(), labels[0].len()), (2, 90));
    let truth: Vec<u32> = (0..90).map(|i| i % 3).collect();
    for head in &labels {
        let purity = Contingency::new(&truth, head).unwrap().purity();
        assert!(purity > 0.95, "purity {purity}");
    }
    let last = updates.last().unwrap();
    let table = Contingency::new(&truth, &labels[last.head]).unwrap();
    assert!((last.nmi.unwrap() - table.nmi()).abs() < 1e-12);
    assert!(updates.iter().all(|u| u.converged), "{updates:?}");
}

#[test]
fn exact_balance_gives_every_cluster_its_share() {
    let (dir, data) = data();
    let sizes = |overrides: &[&str]| -> Vec<usize> {
        let all = [&["sela.balance=exact", "sela.heads=1", "sela.clusters=7"][..], overrides].concat();
        let (checkpoint, updates) = run(config(&data, &all), None, None);
        // All clusters are candidates here, so the labels are the cheapest of their sizes.
        assert!(updates.iter().all(|u| u.gap.is_some_and(|gap| gap.abs() < 1e-5)), "{updates:?}");
        let labels = labels_of(&checkpoint).unwrap();
        (0..7).map(|k| labels[0].iter().filter(|l| **l == k).count()).collect()
    };
    assert!(sizes(&[]).iter().all(|&n| n == 12 || n == 13), "{:?}", sizes(&[]));
    let file = dir.path().join("shares.txt");
    fs::write(&file, "0.1\n0.1\n0.1\n0.1\n0.1\n0.1\n0.4\n").unwrap();
    let given = format!("sela.marginals={}", file.display());
    assert_eq!(sizes(&[&given]), [9, 9, 9, 9, 9, 9, 36]);
}

#[test]
fn frozen_labels_are_learned_with_rotation() {
    let (dir, data) = data();
    let (first, _) = run(config(&data, &[]), None, None);
    let path = dir.path().join("sela.safetensors");
    first.write(&path).unwrap();
    let frozen = format!("sela.labels={}", path.display());
    let (second, updates) = run(config(&data, &["method=sela-rot", &frozen]), None, None);
    assert!(updates.is_empty());
    assert_eq!(labels_of(&first).unwrap(), labels_of(&second).unwrap());
    for name in ["top_layer0.weight", "top_layer1.bias", "rotation.weight"] {
        assert!(second.get(name).is_ok(), "{name}");
    }
    // The same labels from a file give the same network.
    let (csv, checkpoint) = (dir.path().join("labels.csv"), path.to_str().unwrap());
    done(&["label", checkpoint, "--out", csv.to_str().unwrap(), "--head", "all"]);
    let frozen = format!("sela.labels={}", csv.display());
    let (third, _) = run(config(&data, &["method=sela-rot", &frozen]), None, None);
    assert!(contents(&second) == contents(&third));
}

#[test]
fn frozen_labels_of_other_images_are_refused() {
    let (dir, data) = data();
    // As many images, but others: the split follows the seed.
    let (first, _) = run(config(&data, &["data.validation=30"]), Some(1), None);
    let path = dir.path().join("sela.safetensors");
    first.write(&path).unwrap();
    let frozen = format!("sela.labels={}", path.display());
    let overrides = |seed| ["method=sela-rot", frozen.as_str(), "data.validation=30", seed];
    session::trainer(&engine(), config(&data, &overrides("seed=3"))).unwrap();
    let error = session::trainer(&engine(), config(&data, &overrides("seed=4"))).map(drop).unwrap_err().to_string();
    assert!(error.contains("60 other images"), "{error}");
}

#[test]
fn labels_of_a_run_with_validation_images_cover_all_training_images() {
    let (dir, data) = data();
    let split = ["data.validation=30", "sela.heads=1", "sela.features=evaluate"];
    let (first, _) = run(config(&data, &split), None, None);
    let path = dir.path().join("sela.safetensors");
    first.write(&path).unwrap();
    let csv = dir.path().join("labels.csv");
    let label = |extra: &[&str]| {
        let all = ["label", path.to_str().unwrap(), "--out", csv.to_str().unwrap(), "--force"];
        done(&[&all[..], extra].concat());
        LabelFile::read(&csv).unwrap()
    };
    let places = relabel::data::partition(&Validation::Count(30), 90, 3).unwrap().train;
    let assigned = &labels_of(&first).unwrap()[0];
    for (extra, count) in [(&["--labels", "assigned"][..], 60), (&[], 90)] {
        let file = label(extra);
        assert_eq!(file.rows().len(), count);
        for (place, label) in places.iter().zip(assigned) {
            assert_eq!(file.rows().iter().find(|r| r.index == *place).unwrap().label, *label);
        }
    }
    // The file serves frozen labels under the same split, another one, or none, and a supervised run.
    for overrides in [&["data.validation=30"][..], &["data.validation=20", "seed=9"], &[]] {
        let frozen = format!("sela.labels={}", csv.display());
        let all = [&["method=sela-rot", "sela.heads=1", &frozen][..], overrides].concat();
        let trainer = session::trainer(&engine(), config(&data, &all)).unwrap();
        let frozen = labels_of(&trainer.checkpoint().unwrap()).unwrap();
        if overrides == ["data.validation=30"] {
            assert_eq!(&frozen[0], assigned);
        }
        let supervised = format!("data.labels_file={}", csv.display());
        let all = [&["method=baseline", &supervised][..], overrides].concat();
        session::trainer(&engine(), config(&data, &all)).unwrap();
    }
}

#[test]
fn images_of_other_classes_can_be_labelled() {
    let (dir, data) = data();
    let (first, _) = run(config(&data, &["sela.heads=1"]), Some(2), None);
    let path = dir.path().join("sela.safetensors");
    first.write(&path).unwrap();
    let others = Pictures { classes: 7, ..PICTURES }.npz(dir.path(), "others.npz");
    let out = dir.path().join("others.csv");
    let all = |data: &Path| {
        let (path, data, out) = (path.to_str().unwrap(), data.to_str().unwrap(), out.to_str().unwrap());
        done(&["label", path, "--data", data, "--out", out, "--force"])
    };
    assert!(all(&others).contains("predicted"));
    assert!(all(&data).contains("assigned"));
}

#[test]
fn one_class_chooses_no_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..40 {
        PICTURES.png(i, &dir.path().join(format!("{i:03}.png")));
    }
    let trainer = session::trainer(&engine(), config(dir.path(), &["data.validation=10"])).unwrap();
    assert_eq!(trainer.evaluation_split(), None);
    assert!(trainer.notes().iter().any(|note| note.contains("one class only")), "{:?}", trainer.notes());
}

#[test]
fn heads_start_as_the_networks_linear_layers() {
    let (_dir, data) = data();
    let start = |overrides: &[&str]| {
        let trainer = session::trainer(&engine(), config(&data, overrides)).unwrap();
        let checkpoint = trainer.checkpoint().unwrap();
        let values = |name: &str| match &checkpoint.get(name).unwrap().data {
            TensorData::F32(values) => values.clone(),
            other => panic!("{}", other.dtype()),
        };
        let weight = values("top_layer1.weight");
        let square = weight.iter().map(|w| w * w).sum::<f32>() / weight.len() as f32;
        (square.sqrt(), values("top_layer1.bias").iter().all(|&b| b == 0.0))
    };
    // The official AlexNet: N(0, 0.01) and zero.
    let alexnet = ["model.name=alexnet", "model.widths=[4, 4, 4, 4, 4, 256]", "model.strides=[]", "augment.resize=63"];
    let (deviation, zero) = start(&alexnet);
    assert!(zero && (deviation / 0.01 - 1.0).abs() < 0.1, "{deviation} {zero}");
    // PyTorch's default: U(±1/√16).
    let (deviation, zero) = start(&[]);
    assert!(!zero && (deviation / (0.25 / 3f32.sqrt()) - 1.0).abs() < 0.2, "{deviation} {zero}");
}

#[test]
fn from_a_folder_without_labels_to_a_classifier() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = dir.path().join("pictures");
    for i in 0..60 {
        PICTURES.png(i, &pictures.join(format!("{i:03}.png")));
    }
    let file = dir.path().join("sela.toml");
    fs::write(&file, config_text(&pictures)).unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let train = ["train", file.to_str().unwrap(), "--run", &at("run"), "--set", "sela.clusters=3"];
    done(&[&train[..], &["--set", "sela.features=evaluate"]].concat());
    let checkpoint = at(&format!("run/{LAST}"));
    let text = done(&["label", &checkpoint, "--out", &at("labels.csv"), "--gallery", &at("gallery")]);
    assert!(text.contains("60 images") && text.contains("assigned"), "{text}");
    let csv = fs::read_to_string(at("labels.csv")).unwrap();
    assert_eq!(csv.lines().next(), Some("file,index,head,label,confidence"));
    assert_eq!(csv.lines().count(), 61);
    let pages: Vec<_> = fs::read_dir(at("gallery")).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(!pages.is_empty() && pages.iter().all(|p| image::open(p).is_ok()), "{pages:?}");
    // Other images are sorted by the network.
    let others = dir.path().join("others");
    for i in 200..210 {
        PICTURES.png(i, &others.join(format!("{i:03}.png")));
    }
    let text = done(&["label", &checkpoint, "--data", others.to_str().unwrap(), "--out", &at("others.csv")]);
    assert!(text.contains("10 images") && text.contains("predicted"), "{text}");
    // There are no classes to judge by, and nothing to predict.
    for split in ["train", "test"] {
        refused(&["eval", &checkpoint, "--split", split], 3, &["one class", "--gallery", "--data"]);
    }
    let labelled = dir.path().join("labelled");
    PICTURES.folder(&labelled.join("train"));
    PICTURES.folder(&labelled.join("test"));
    let text = done(&["eval", &checkpoint, "--data", labelled.to_str().unwrap(), "--no-probe"]);
    assert!(text.contains("90 test images") && !text.contains("assigned"), "{text}");
    refused(&["predict", &checkpoint, others.to_str().unwrap()], 2, &["relabel label"]);
    // What is there is not overwritten.
    refused(&["label", &checkpoint, "--out", &at("labels.csv")], 2, &["labels.csv", "--force"]);
    let force = ["label", &checkpoint, "--out", &at("labels.csv"), "--force"];
    refused(&[&force[..], &["--head", "2"]].concat(), 2, &["--head 2", "heads 0 to 1"]);
    let elsewhere = ["--labels", "assigned", "--data", others.to_str().unwrap()];
    refused(&[&force[..], &elsewhere].concat(), 3, &["others", "--labels predicted"]);
    assert_eq!(fs::read_to_string(at("labels.csv")).unwrap(), csv);
    // A supervised run on the labels.
    let classes = dir.path().join("classes.toml");
    fs::write(&classes, small::config_text(&pictures)).unwrap();
    let labels = format!("data.labels_file={}", at("labels.csv"));
    let classifier = at("classifier");
    done(&["train", classes.to_str().unwrap(), "--run", &classifier, "--set", &labels, "--set", "method=baseline"]);
    assert_eq!(Checkpoint::read(Path::new(&at(&format!("classifier/{LAST}")))).unwrap().meta.classes.len(), 3);
}

#[test]
fn a_checkpoint_is_judged() {
    let (dir, data) = data();
    let file = dir.path().join("sela.toml");
    fs::write(&file, config_text(&data)).unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    done(&[
        "train",
        file.to_str().unwrap(),
        "--run",
        &at("run"),
        "--set",
        "sela.features=evaluate",
        "--set",
        "train.steps=60",
    ]);
    let checkpoint = at(&format!("run/{LAST}"));
    let text = done(&["eval", &checkpoint, "--json", "--set", "probe.epochs=20"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    for name in ["knn_accuracy", "probe_accuracy"] {
        assert!(json[name].as_f64().unwrap() > 0.9, "{name}: {text}");
    }
    assert_eq!(json["clusters"].as_array().unwrap().len(), 2);
    assert!(json["assigned"][1]["nmi"].as_f64().unwrap() > 0.4, "{text}");
    let shown = done(&["eval", &checkpoint, "--no-probe"]);
    assert!(shown.contains("nearest neighbours") && shown.contains("NMI") && !shown.contains("probe"), "{shown}");
    assert!(shown.contains("assigned labels"), "{shown}");
    let untrained = done(&["eval", &checkpoint, "--untrained", "--no-probe"]);
    assert!(untrained.contains("sela untrained") && !untrained.contains("assigned"), "{untrained}");
    refused(&["compare", &at("run")], 3, &["no images", "relabel eval"]);
    refused(&["eval", &checkpoint, "--set", "train.batch=3"], 2, &["train.batch=3", "[probe]"]);
}

#[test]
fn test_labels_choose_nothing_unless_asked() {
    let (_dir, data) = data();
    let split = |overrides: &[&str]| session::trainer(&engine(), config(&data, overrides)).unwrap().evaluation_split();
    assert_eq!(split(&[]), None);
    assert_eq!(split(&["data.validation=20"]), Some("validation"));
    assert_eq!(split(&["evaluate.split=test"]), Some("test"));
    let mut trainer = session::trainer(&engine(), config(&data, &["data.validation=20"])).unwrap();
    let outcome = trainer.run(None, Some(24), &mut Updates::default(), &|| false).unwrap();
    assert_eq!(outcome.metrics[0].0, "knn_accuracy");
    assert!(outcome.metrics[0].1 > 0.5, "{outcome:?}");
}

#[test]
fn a_run_says_what_it_keeps_and_does_not_look_at() {
    let (dir, data) = data();
    let notes = |data: &Path, overrides: &[&str]| {
        session::trainer(&engine(), config(data, overrides)).unwrap().notes().join("\n")
    };
    let said = notes(&data, &[]);
    assert!(said.contains("90 samples, 6 clusters, 2 heads") && said.contains("test images stay unseen"), "{said}");
    let said = notes(&data, &["evaluate.split=test"]);
    assert!(!said.contains("unseen"), "{said}");
    let pictures = dir.path().join("pictures");
    for i in 0..20 {
        PICTURES.png(i, &pictures.join(format!("{i:03}.png")));
    }
    let said = notes(&pictures, &[]);
    assert!(said.starts_with("label assignment: 20 samples") && !said.contains("one class"), "{said}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let (dir, data) = data();
    let engine = engine();
    let refusal = |overrides: &[&str], parts: &[&str]| {
        let error = session::trainer(&engine, config(&data, overrides)).map(drop).expect_err("refused").to_string();
        for part in parts {
            assert!(error.contains(part), "no {part:?} in {error:?}");
        }
    };
    refusal(&["sela.clusters=91"], &["90 training images", "91"]);
    let shares = dir.path().join("shares.txt");
    fs::write(&shares, "0.5 0.4 0.05 0.05 0.05 0.05").unwrap();
    refusal(&[&format!("sela.marginals={}", shares.display())], &["shares.txt", "1.1"]);
    fs::write(&shares, "0.5 0.5").unwrap();
    refusal(&[&format!("sela.marginals={}", shares.display())], &["shares.txt", "2", "6"]);
    refusal(&["sela.marginals=gone.txt"], &["gone.txt"]);
    refusal(&["sela.memory=64 B"], &["64"]);
    refusal(&["method=sela-rot"], &["sela.labels is empty"]);
    refusal(&["method=sela-rot", "sela.labels=gone.safetensors"], &["gone.safetensors"]);
    let (first, _) = run(config(&data, &[]), Some(1), None);
    let path = dir.path().join("sela.safetensors");
    first.write(&path).unwrap();
    let labels = format!("sela.labels={}", path.display());
    refusal(&["method=sela-rot", &labels, "sela.heads=3"], &["2 heads", "now 3"]);
    refusal(&["method=sela-rot", &labels, "sela.clusters=3"], &["sela.clusters", "now 3"]);
    refusal(&["method=sela-rot", &labels, "data.validation=10"], &["90", "80"]);
    let csv = dir.path().join("labels.csv");
    fs::write(&csv, "file,index,head,label,confidence\n,0,0,1,0.5\n,1,0,1,0.5\n").unwrap();
    refusal(&["method=sela-rot", "sela.heads=1", &format!("sela.labels={}", csv.display())], &["labels.csv", "90"]);
}

#[test]
fn heads_and_clusters_stay_when_a_run_goes_on() {
    let (dir, data) = data();
    let file = dir.path().join("sela.toml");
    fs::write(&file, config_text(&data)).unwrap();
    let run = dir.path().join("run").to_str().unwrap().to_owned();
    done(&["train", file.to_str().unwrap(), "--run", &run, "--max-steps", "3"]);
    let before = fs::read(Path::new(&run).join(LAST)).unwrap();
    for (key, was) in [("sela.heads=3", "2"), ("sela.clusters=5", "6")] {
        refused(&["train", "--resume", &run, "--set", key], 2, &[key.split('=').next().unwrap(), was]);
    }
    assert_eq!(fs::read(Path::new(&run).join(LAST)).unwrap(), before);
    done(&["train", "--resume", &run]);
    // From Rust, the checkpoint itself is refused.
    let checkpoint = Checkpoint::read(&Path::new(&run).join(LAST)).unwrap();
    let mut other = session::trainer(&engine(), config(&data, &["sela.clusters=5"])).unwrap();
    assert!(other.restore(&checkpoint, Path::new("run")).is_err());
}
