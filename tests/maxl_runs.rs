//! MAXL: whole runs, exact resumption of both networks, the meta step of a run against the interpreter, and what is refused.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use relabel::base::compare::relative_error;
use relabel::base::{Array, DType};
use relabel::data::{Label, LabelFile};
use relabel::graph::interpret::interpret;
use relabel::methods;
use relabel::models::{self, ModelSettings};
use relabel::nn::{Builder, Phase, TensorSpec, TorchTensor};
use relabel::session::{self, Trained};
use relabel::train::checkpoint::{Checkpoint, LAST, TensorData};
use relabel::train::config::Config;
use relabel::train::events::{Event, Metrics, Silent, Sink, Step};
use relabel::train::meta::{Hessian, MetaSettings, Networks, meta_step};

use super::common::engine;
use super::small::{self, Pictures, done, refused};

const PICTURES: Pictures = Pictures { train: 90, test: 30, size: [8, 8], channels: 3, classes: 3 };

/// Six steps an epoch.
fn config_text(data: &Path) -> String {
    format!(
        r#"
method = "maxl"
seed = 5
[data]
path = {:?}
mean = [0.5]
std = [0.25]
[augment]
crop_padding = 1
flip = true
[model]
name = "convnet"
widths = [4, 8]
strides = [1, 2]
[maxl]
hierarchy = 2
head = "linear"
lookahead_lr = 0.1
generator_lr = 0.1
[train]
batch = 15
steps = 20
sampler = "epochs"
[optimizer]
lr = 0.1
[schedule]
milestones = [0.5]
factor = 0.5
[evaluate]
every = 0
[checkpoint]
every = 0
keep = 0
[log]
every = 4
"#,
        data.to_str().unwrap()
    )
}

fn try_config(data: &Path, overrides: &[&str]) -> relabel::base::Result<Config> {
    small::parsed(&config_text(data), overrides)
}

fn config(data: &Path, overrides: &[&str]) -> Config {
    try_config(data, overrides).unwrap()
}

fn data() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = PICTURES.npz(dir.path(), "pictures.npz");
    (dir, path)
}

/// Keeps every report.
#[derive(Default)]
struct Reports(Vec<Step>);

impl Sink for Reports {
    fn event(&mut self, event: &Event) -> relabel::base::Result<()> {
        if let Event::Step(step) = event {
            self.0.push(step.clone());
        }
        Ok(())
    }
}

fn go_on(
    config: Config,
    stop_at: Option<u64>,
    from: Option<&Checkpoint>,
    interrupted: &dyn Fn() -> bool,
) -> (Checkpoint, Vec<Step>) {
    let mut trainer = session::trainer(&engine(), config).unwrap();
    if let Some(checkpoint) = from {
        trainer.restore(checkpoint, Path::new("memory")).unwrap();
    }
    let mut reports = Reports::default();
    trainer.run(None, stop_at, &mut reports, interrupted).unwrap();
    (trainer.checkpoint().unwrap(), reports.0)
}

fn run(config: Config, stop_at: Option<u64>, from: Option<&Checkpoint>) -> (Checkpoint, Vec<Step>) {
    go_on(config, stop_at, from, &|| false)
}

/// Bits of all tensors.
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

fn whole(checkpoint: &Checkpoint, name: &str) -> Vec<i64> {
    match &checkpoint.get(name).unwrap().data {
        TensorData::I64(values) => values.clone(),
        other => panic!("{}", other.dtype()),
    }
}

/// What is reported, but for times.
fn metrics(reports: &[Step]) -> Vec<(u64, f64, Metrics)> {
    reports.iter().map(|r| (r.step, r.loss, r.metrics.clone())).collect()
}

#[test]
fn a_stopped_run_goes_on_exactly() {
    let (_dir, data) = data();
    for overrides in [
        &[][..],
        &["maxl.order=steps", "maxl.generator_momentum=0.9", "train.sampler=independent"],
        &["maxl.data=validation", "data.validation=30", "data.resident=stream", "maxl.hierarchy=[1, 2, 3]"],
        &["maxl.running=both", "maxl.recompute=true", "maxl.head=hidden", "maxl.lookahead_early=true"],
        &["maxl.hessian=finite-difference", "maxl.gamma=0"],
        &["method=maxl-random"],
        &["method=maxl-kmeans", "maxl.autoencoder_epochs=2", "maxl.latent=5", "maxl.hierarchy=[1, 2, 3]"],
    ] {
        let (complete, reports) = run(config(&data, overrides), None, None);
        for stop in [7, 12] {
            let (part, before) = run(config(&data, overrides), Some(stop), None);
            let (rest, after) = run(config(&data, overrides), None, Some(&part));
            assert!(contents(&rest) == contents(&complete), "{overrides:?}, stopped at {stop}");
            assert_eq!(metrics(&[before, after].concat()), metrics(&reports), "{overrides:?}, stopped at {stop}");
        }
        if !overrides.iter().any(|set| set.starts_with("method=")) {
            assert_eq!(whole(&complete, "labels.meta_steps"), [20, 0], "as many meta steps as training steps");
        }
    }
}

#[test]
fn a_run_stopped_within_a_meta_pass_goes_on_exactly() {
    let (_dir, data) = data();
    let overrides = ["train.batch=5"];
    let (complete, _) = run(config(&data, &overrides), None, None);
    // 18 steps are an epoch; each asks once, and then the meta pass before every part.
    let asked = Cell::new(0);
    let interrupted = || {
        asked.set(asked.get() + 1);
        asked.get() >= 20
    };
    let (part, _) = go_on(config(&data, &overrides), None, None, &interrupted);
    assert_eq!((part.meta.step, whole(&part, "labels.meta_steps")[0]), (18, 8));
    let (rest, _) = run(config(&data, &overrides), None, Some(&part));
    assert!(contents(&rest) == contents(&complete));
}

fn values(checkpoint: &Checkpoint, spec: &TensorSpec) -> Vec<f64> {
    let read = spec.from_torch(|name| {
        let name = if name.starts_with("generator.") { format!("labels.{name}") } else { name.to_owned() };
        let tensor = checkpoint.get(&name)?;
        let TensorData::F32(values) = &tensor.data else { panic!("{}", tensor.data.dtype()) };
        Ok(TorchTensor { name, sizes: tensor.shape.clone(), values: values.clone() })
    });
    read.unwrap().into_iter().map(f64::from).collect()
}

/// One meta step after one training step, on all images at once: the generator moves by what the interpreter says, on the
/// images and with the look-ahead rate that the settings name. The rate's milestone lies one epoch ahead.
#[test]
fn the_generator_moves_along_the_meta_gradient() {
    let (_dir, data) = data();
    let all: Vec<usize> = (0..90).collect();
    moves(&data, &["train.batch=90"], &all, 0.1);
    moves(&data, &["train.batch=90", "maxl.lookahead_early=true"], &all, 0.05);
    let held = relabel::data::partition(&relabel::data::Validation::Count(45), 90, 5).unwrap().validation;
    let held: Vec<usize> = held.into_iter().map(|i| i as usize).collect();
    moves(&data, &["train.batch=45", "maxl.data=validation", "data.validation=45"], &held, 0.1);
}

/// Meta images are those at `places`.
fn moves(data: &Path, overrides: &[&str], places: &[usize], look_ahead: f32) {
    let (rate, batch) = (50.0, places.len());
    let common = [
        "train.steps=1",
        "maxl.order=steps",
        "maxl.generator_lr=50",
        "maxl.generator_weight_decay=0",
        "maxl.hierarchy=[2, 1, 3]",
        "augment.crop_padding=0",
        "augment.flip=false",
        "schedule.milestones=[1.0]",
    ];
    let config = config(data, &[&common[..], overrides].concat());
    let mut trainer = session::trainer(&engine(), config).unwrap();
    let before = trainer.checkpoint().unwrap();
    trainer.run(None, None, &mut Silent, &|| false).unwrap();
    let after = trainer.checkpoint().unwrap();

    let settings =
        ModelSettings { name: "convnet".into(), widths: vec![4, 8], strides: vec![1, 2], ..ModelSettings::default() };
    let net = models::backbone(&settings).unwrap();
    let mut b = Builder::new(Phase::Train { update: false });
    let x = b.graph.input("images", &[batch, 8, 8, 3], DType::F32);
    let y = b.graph.input("labels", &[batch], DType::U32);
    let alpha = b.graph.input("rate", &[1], DType::F32);
    let multitask = |b: &mut Builder| {
        let features = net.features(b, x)?;
        Ok([b.linear("primary", features, 3)?, b.linear("auxiliary", features, 6)?])
    };
    let generator = |b: &mut Builder| {
        b.within("generator", |b| {
            let features = net.features(b, x)?;
            b.linear("auxiliary", features, 6)
        })
    };
    let networks = Networks { multitask: &multitask, generator: &generator };
    let settings = MetaSettings {
        hierarchy: vec![2, 1, 3],
        gamma: 2.0,
        entropy_weight: 0.2,
        hessian: Hessian::Exact,
        recompute: false,
        running: false,
        cosine: false,
    };
    let step = meta_step(&mut b, networks, y, alpha, &settings).unwrap();
    let (labels, pixels): (Vec<u8>, Vec<Vec<u8>>) = places.iter().map(|&i| PICTURES.image(i)).unzip();
    let pixels = pixels.concat().into_iter().map(|p| (f64::from(p) / 255.0 - 0.5) / 0.25).collect();
    let mut leaves = HashMap::from([
        (x, Array::new(&[batch, 8, 8, 3], pixels)),
        (y, Array::new(&[batch], labels.into_iter().map(f64::from).collect())),
        (alpha, Array::scalar(f64::from(look_ahead))),
    ]);
    for spec in b.parameters() {
        let node = b.graph.clone().parameter(&spec.name, spec.shape().sizes());
        let from = if spec.name.starts_with("generator.") { &before } else { &after };
        leaves.insert(node, Array::new(spec.shape().sizes(), values(from, spec)));
    }
    let outputs: Vec<_> = step.meta.iter().map(|(_, gradient)| *gradient).collect();
    let found = interpret(&b.graph, &leaves, &outputs).unwrap();
    let (mut moved, mut expected) = (Vec::new(), Vec::new());
    for (leaf, gradient) in &step.meta {
        let name = &b.graph.node(*leaf).name;
        let spec = b.parameters().iter().find(|spec| spec.name == *name).unwrap();
        let pairs = values(&before, spec).into_iter().zip(values(&after, spec));
        moved.extend(pairs.map(|(before, after)| ((before - after) / rate) as f32));
        expected.extend(found[gradient].data.iter().copied());
    }
    let off = relative_error(&moved, &expected);
    println!("{overrides:?}: off by {off:e}");
    assert!(expected.iter().any(|v| v.abs() > 1e-4), "no gradient to speak of");
    assert!(off < 1e-3, "{off}");
}

#[test]
fn running_statistics_move_in_meta_steps_only_when_asked() {
    let (_dir, data) = data();
    let end =
        |overrides: &[&str]| contents(&run(config(&data, &[&["train.steps=6"][..], overrides].concat()), None, None).0);
    // The only meta pass comes after the last step.
    let (train, both) = (end(&[]), end(&["maxl.running=both"]));
    for ((name, a), (_, b)) in train.iter().zip(&both) {
        assert_eq!(a != b, name.ends_with("running_mean") || name.ends_with("running_var"), "{name}");
    }
}

#[test]
fn reports_tell_how_labels_are_used_and_what_the_look_ahead_does() {
    let (_dir, data) = data();
    let (_, reports) =
        run(config(&data, &["maxl.order=steps", "train.steps=60", "maxl.gradient_cosine=true"]), None, None);
    let last = reports.last().unwrap();
    let value = |name: &str| last.metrics.get(name).unwrap_or_else(|| panic!("{name} in {:?}", last.metrics));
    assert!(last.accuracy > 0.9, "{}", last.accuracy);
    assert!((value("primary_loss") + value("auxiliary_loss") - last.loss).abs() < 1e-4);
    assert!(value("meta_lookahead_loss") < value("meta_primary_loss"));
    assert!((0.02..=1.0 + 1e-3).contains(&value("label_usage")));
    assert!((0.0..=2f64.ln() + 1e-3).contains(&value("image_label_entropy")));
    assert!(value("label_entropy") > 1.0 && value("label_entropy") < 6f64.ln() + 1e-3);
    assert!(value("meta_label_entropy") > 1.0);
    assert!((-1.0..=1.0).contains(&value("gradient_cosine")) && value("gradient_cosine") != 0.0);
    // In passes, the first report with meta steps is the one after the first epoch.
    let (_, reports) = run(config(&data, &[]), Some(12), None);
    let has: Vec<bool> = reports.iter().map(|r| r.metrics.get("meta_primary_loss").is_some()).collect();
    assert_eq!(has, [false, true, false]);

    let method = methods::method(&config(&data, &[])).unwrap();
    let usage = |usage: f64| [("label_usage", usage)].into_iter().collect::<Metrics>();
    assert!(method.warning(&usage(0.001)).unwrap().contains("collapsed"));
    assert_eq!(method.warning(&usage(0.5)), None);
    assert_eq!(method.warning(&Metrics::default()), None);
}

/// A fresh generator's labels are nearly even. Of four images a third is never of one class, so a usage beside equal shares
/// of the classes could not come near 1.
#[test]
fn usage_counts_the_classes_of_the_batch() {
    let (_dir, data) = data();
    let uneven = ["maxl.hierarchy=[1, 1, 16]", "train.batch=4", "train.steps=8", "log.every=1"];
    let (_, reports) = run(config(&data, &uneven), None, None);
    let usages: Vec<f64> = reports.iter().map(|r| r.metrics.get("label_usage").unwrap()).collect();
    assert!(usages.iter().all(|u| u.abs() < 1e-3 || (0.8..=1.0 + 1e-3).contains(u)), "{usages:?}");
    assert!(usages.iter().any(|u| *u > 0.8), "{usages:?}");
}

/// A generator whose labels have collapsed is warned of, once.
#[test]
fn collapsed_labels_are_told_once() {
    #[derive(Default)]
    struct Notes(Vec<String>);
    impl Sink for Notes {
        fn event(&mut self, event: &Event) -> relabel::base::Result<()> {
            if let Event::Note(text) = event {
                self.0.push(text.clone());
            }
            Ok(())
        }
    }
    let (_dir, data) = data();
    let (mut part, _) = run(config(&data, &[]), Some(7), None);
    let notes_from = |checkpoint: &Checkpoint| {
        let mut trainer = session::trainer(&engine(), config(&data, &[])).unwrap();
        trainer.restore(checkpoint, Path::new("memory")).unwrap();
        let mut notes = Notes::default();
        trainer.run(None, None, &mut notes, &|| false).unwrap();
        notes.0
    };
    assert_eq!(notes_from(&part), Vec::<String>::new());
    let tensor = part.tensors.iter_mut().find(|t| t.name == "labels.generator.auxiliary.bias").unwrap();
    let TensorData::F32(bias) = &mut tensor.data else { panic!() };
    bias.iter_mut().step_by(2).for_each(|v| *v = 1e3);
    let notes = notes_from(&part);
    assert!(notes.len() == 1 && notes[0].contains("have collapsed"), "{notes:?}");
}

/// Labels `class + 3·(i / 3 mod 2)` of the training images.
fn finer(path: &Path, label: impl Fn(u32) -> u32) -> String {
    let row = |index| Label { index, head: 0, label: label(index), confidence: 1.0 };
    LabelFile::new((0..90).map(row).collect(), &[]).write(path).unwrap();
    format!("maxl.labels={}", path.display())
}

#[test]
fn what_it_is_compared_with() {
    let (dir, data) = data();
    let labels = finer(&dir.path().join("finer.csv"), |i| i % 3 + 3 * (i / 3 % 2));
    for (method, labels, auxiliary) in [
        ("maxl", "maxl.labels=", true),
        ("maxl-single", "maxl.labels=", false),
        ("maxl-random", "maxl.labels=", true),
        ("maxl-kmeans", "maxl.autoencoder_epochs=1", true),
        ("maxl-human", &labels, true),
    ] {
        let method = format!("method={method}");
        let config = config(&data, &[&method, labels, "train.steps=60", "data.validation=10"]);
        let (checkpoint, _) = run(config, None, None);
        assert_eq!(checkpoint.get("auxiliary.weight").is_ok(), auxiliary, "{method}");
        let path = dir.path().join("checkpoint.safetensors");
        checkpoint.write(&path).unwrap();
        let trained = Trained::open(&engine(), &path).unwrap();
        let test = trained.load(&data, relabel::data::Split::Test, Default::default(), false).unwrap();
        let metrics = trained.evaluate(test, 30).unwrap();
        assert_eq!(metrics[0].0, "single_accuracy");
        assert!(metrics[0].1 > 0.9, "{method}: {}", metrics[0].1);
        if method.ends_with("human") {
            // Columns 0 and 1 are class 0's labels 0 and 3, and so on.
            let TensorData::I32(given) = &checkpoint.get("labels.auxiliary").unwrap().data else { panic!() };
            let places = relabel::data::partition(&relabel::data::Validation::Count(10), 90, 5).unwrap().train;
            let expected: Vec<i32> = places.iter().map(|i| (2 * (i % 3) + i / 3 % 2) as i32).collect();
            assert_eq!(given, &expected);
        }
    }
}

/// The pictures, of which every second of a class is bright all over: its finer label.
fn two_kinds(dir: &Path) -> PathBuf {
    let (labels, pixels): (Vec<u8>, Vec<Vec<u8>>) = (0..90)
        .map(|i| {
            let (label, mut pixels) = PICTURES.image(i);
            if i / 3 % 2 == 1 {
                pixels[96..].iter_mut().for_each(|p| *p += 150);
            }
            (label, pixels)
        })
        .unzip();
    let path = dir.join("kinds.npz");
    let arrays = [
        ("images", small::npy("|u1", "(90, 8, 8, 3)", &pixels.concat())),
        ("labels", small::npy("|u1", "(90,)", &labels)),
    ];
    small::npz(&path, zip::CompressionMethod::Stored, &arrays);
    path
}

/// Whether labels `(90)` are the finer ones of [`two_kinds`], in either order within each class.
fn are_the_kinds(checkpoint: &Checkpoint) -> bool {
    let TensorData::I32(given) = &checkpoint.get("labels.auxiliary").unwrap().data else { panic!() };
    assert_eq!(given.len(), 90);
    let own = |i: usize| (2 * (i as i32 % 3)..2 * (i as i32 % 3) + 2).contains(&given[i]);
    assert!((0..90).all(own), "{given:?}");
    (0..90).all(|i| (given[i] == given[i % 3]) == (i / 3 % 2 == 0))
}

#[test]
fn clusters_of_latent_values_and_of_a_trunks_features_are_labels() {
    let dir = tempfile::tempdir().unwrap();
    let data = two_kinds(dir.path());
    let kmeans = |features: &str, steps: u64| {
        let features = format!("maxl.features={features}");
        let set = ["method=maxl-kmeans", &features, "augment.flip=false"];
        run(config(&data, &set), Some(steps), None).0
    };
    assert!(are_the_kinds(&kmeans("autoencoder", 1)));
    // Pixels are noise of deviation 14 around what the class and the kind say, in units of 64.
    let set = ["method=maxl-kmeans", "maxl.autoencoder_epochs=150", "maxl.latent=6"];
    let (_, reports) = run(config(&data, &set), Some(8), None);
    let losses: Vec<Option<f64>> = reports.iter().map(|r| r.metrics.get("autoencoder_loss")).collect();
    let noise = (14.4f64 / 64.0).powi(2);
    assert!((0.8 * noise..6.0 * noise).contains(&losses[0].unwrap()) && losses[1].is_none(), "{losses:?}");
    // A network that learned the finer labels tells them apart; of a checkpoint, only the trunk is read.
    let labels = finer(&dir.path().join("kinds.csv"), |i| i % 3 + 3 * (i / 3 % 2));
    let (human, _) = run(config(&data, &["method=maxl-human", &labels, "train.steps=60"]), None, None);
    let path = dir.path().join("human.safetensors");
    human.write(&path).unwrap();
    let path = path.to_str().unwrap();
    let found = kmeans(path, 1);
    assert!(are_the_kinds(&found));

    // A run goes on with the labels of its checkpoint, whatever k-means would say of other features.
    let (other, _) = run(config(&data, &["method=maxl-single"]), Some(1), None);
    let end = |trunk: &Checkpoint| {
        trunk.write(Path::new(path)).unwrap();
        let set = ["method=maxl-kmeans", &format!("maxl.features={path}"), "augment.flip=false"];
        contents(&run(config(&data, &set), Some(3), Some(&found)).0)
    };
    assert!(end(&human) == end(&other));
}

/// `relabel label` writes, for each image, a label of its class: the generator's, in evaluation mode.
#[test]
fn generated_labels_are_written() {
    let (dir, data) = data();
    let (checkpoint, _) = run(config(&data, &["maxl.hierarchy=[2, 1, 3]"]), None, None);
    let path = dir.path().join("maxl.safetensors");
    checkpoint.write(&path).unwrap();
    let (out, path) = (dir.path().join("labels.csv"), path.to_str().unwrap().to_owned());
    let gallery = dir.path().join("gallery");
    let options = ["--out", out.to_str().unwrap(), "--gallery", gallery.to_str().unwrap()];
    let text = done(&[&["label", &path][..], &options].concat());
    assert!(text.contains("90 images") && text.contains("of 6 clusters"), "{text}");
    assert!(gallery.read_dir().unwrap().next().is_some());
    let file = LabelFile::read(&out).unwrap();
    assert_eq!(file.rows().len(), 90);
    for row in file.rows() {
        let columns = [0..2, 2..3, 3..6];
        assert!(columns[row.index as usize % 3].contains(&row.label), "{row:?}");
        let least = [1.0 / 2.0, 1.0, 1.0 / 3.0][row.index as usize % 3];
        assert!(row.confidence > least - 1e-4, "{row:?}");
    }
    // Such a file is a finer labelling, that another network can learn, when it uses two labels of a class.
    let others = Pictures { classes: 2, ..PICTURES }.npz(dir.path(), "others.npz");
    let args = ["label", &path, "--data", others.to_str().unwrap(), "--out", out.to_str().unwrap(), "--force"];
    done(&args);
    let (single, _) = run(config(&data, &["method=maxl-single"]), Some(1), None);
    let single_path = dir.path().join("single.safetensors");
    single.write(&single_path).unwrap();
    let single = single_path.to_str().unwrap();
    refused(&["label", single, "--out", "/dev/null", "--force"], 2, &["`maxl-single` has no head", "relabel predict"]);
}

#[test]
fn bad_settings_are_refused() {
    let (dir, data) = data();
    let check = |error: relabel::base::Error, parts: &[&str]| {
        let text = error.to_string();
        parts.iter().for_each(|part| assert!(text.contains(part), "no {part:?} in {text:?}"));
    };
    for (set, parts) in [
        ("maxl.hierarchy=0", &["`maxl.hierarchy` is 0", "from 1 to 65536"][..]),
        ("maxl.hierarchy=[2, 0, 2]", &["`maxl.hierarchy` is [2, 0, 2]", "from 1"]),
        ("maxl.hierarchy=[]", &["`maxl.hierarchy` is []"]),
        ("maxl.hierarchy=few", &["`maxl.hierarchy`", "\"few\"", "one a class"]),
        ("maxl.hierarchy=[2, -1]", &["`maxl.hierarchy`", "[2, -1]", "whole numbers"]),
        ("maxl.gamma=-1", &["`maxl.gamma` is -1", "from 0 to 100"]),
        ("maxl.entropy_weight=-0.1", &["`maxl.entropy_weight` is -0.1", "at least 0"]),
        ("maxl.hessian=second", &["`maxl.hessian`", "\"second\"", "`exact`", "`finite-difference`"]),
        ("maxl.lookahead_lr=0", &["`maxl.lookahead_lr` is 0", "above 0", "hessian = \"none\""]),
        ("maxl.generator_lr=0", &["`maxl.generator_lr` is 0", "above 0"]),
        ("maxl.generator_momentum=1", &["`maxl.generator_momentum` is 1", "below 1"]),
        ("maxl.features=pixels", &["`maxl.features` is \"pixels\"", "autoencoder", ".safetensors"]),
        ("maxl.latent=0", &["`maxl.latent` is 0", "from 1"]),
        ("maxl.autoencoder_epochs=0", &["`maxl.autoencoder_epochs` is 0", "from 1"]),
        ("maxl.order=both", &["`maxl.order`", "\"both\"", "`epochs`", "`steps`"]),
    ] {
        check(try_config(&data, &[set]).unwrap_err(), parts);
    }
    try_config(&data, &["maxl.hessian=none", "maxl.lookahead_lr=0"]).unwrap();
    let same = finer(&dir.path().join("same.csv"), |i| i % 3 + 5);
    let across = finer(&dir.path().join("across.csv"), |i| i % 4);
    let many = finer(&dir.path().join("many.csv"), |i| i % 9);
    let (narrow, _) = run(config(&data, &["method=maxl-single", "model.widths=[4, 4]"]), Some(1), None);
    let path = dir.path().join("narrow.safetensors");
    narrow.write(&path).unwrap();
    let narrow = format!("maxl.features={}", path.display());
    for (overrides, parts) in [
        (
            &["method=maxl-kmeans", "maxl.hierarchy=[2, 31, 2]"][..],
            &["31 clusters of the 30 training images", "lower maxl.hierarchy"][..],
        ),
        (&["method=maxl-kmeans", "maxl.features=none.safetensors"], &["none.safetensors"]),
        (&["method=maxl-kmeans", &narrow], &["maxl.features", "narrow.safetensors", "conv2.weight"]),
        (&["maxl.hierarchy=[2, 2]"][..], &["2 numbers ([2, 2])", "3 classes"][..]),
        (&["train.accumulate=3"], &["train.accumulate = 3", "maxl.recompute"]),
        (&["maxl.data=validation"], &["maxl.data", "data.validation"]),
        (&["maxl.data=validation", "data.validation=10"], &["maxl.data", "15", "10"]),
        (&["method=maxl-human"], &["maxl.labels is empty", "own"]),
        (&["method=maxl-human", "maxl.labels=fine"], &["maxl.labels = \"fine\"", "CIFAR-100"]),
        (&["method=maxl-human", &same], &["same.csv", "not finer"]),
        (&["method=maxl-human", &across], &["across.csv", "label 0", "not finer"]),
        (&["method=maxl-human", &many], &["many.csv", "has 3 labels", "maxl.hierarchy = [3, 3, 3]"]),
    ] {
        check(session::trainer(&engine(), config(&data, overrides)).map(drop).unwrap_err(), parts);
    }
}

#[test]
fn a_run_does_not_go_on_with_other_labels() {
    let (dir, data) = data();
    let (part, _) = run(config(&data, &["maxl.hierarchy=[1, 2, 3]"]), Some(2), None);
    let mut other = session::trainer(&engine(), config(&data, &["maxl.hierarchy=[3, 2, 1]"])).unwrap();
    let error = other.restore(&part, Path::new("file")).unwrap_err().to_string();
    assert!(error.contains("[1, 2, 3]") && error.contains("[3, 2, 1]"), "{error}");
    let (part, _) = run(config(&data, &["method=maxl-random"]), Some(2), None);
    let mut other =
        session::trainer(&engine(), config(&data, &["method=maxl-random", "maxl.hierarchy=[1, 2, 3]"])).unwrap();
    let error = other.restore(&part, Path::new("file")).unwrap_err().to_string();
    assert!(error.contains("maxl.hierarchy"), "{error}");

    let clusters = |hierarchy: &str| config(&data, &["method=maxl-kmeans", "maxl.autoencoder_epochs=1", hierarchy]);
    let (part, _) = run(clusters("maxl.hierarchy=[2, 2, 2]"), Some(2), None);
    let mut other = session::trainer(&engine(), clusters("maxl.hierarchy=[2, 1, 3]")).unwrap();
    let error = other.restore(&part, Path::new("file")).unwrap_err().to_string();
    assert!(error.contains("[2, 2, 2]") && error.contains("[2, 1, 3]"), "{error}");
    let mut forged = part.clone();
    let tensor = forged.tensors.iter_mut().find(|t| t.name == "labels.auxiliary").unwrap();
    let TensorData::I32(labels) = &mut tensor.data else { panic!() };
    labels[1] = 0;
    let mut other = session::trainer(&engine(), clusters("maxl.hierarchy=[2, 2, 2]")).unwrap();
    let error = other.restore(&forged, Path::new("file")).unwrap_err().to_string();
    assert!(error.contains("within their classes"), "{error}");

    let file = dir.path().join("maxl.toml");
    fs::write(&file, config_text(&data)).unwrap();
    let folder = dir.path().join("run");
    let (file, folder) = (file.to_str().unwrap(), folder.to_str().unwrap());
    done(&["train", file, "--run", folder, "--max-steps", "13"]);
    assert!(Path::new(folder).join(LAST).exists());
    let hierarchy = &["maxl.hierarchy", "begin a new run"];
    refused(&["train", "--resume", folder, "--set", "maxl.hierarchy=3"], 2, hierarchy);
    let output = done(&["train", "--resume", folder]);
    assert!(output.is_empty() || output.contains("done"), "{output}");
    let lines = fs::read_to_string(Path::new(folder).join("metrics.jsonl")).unwrap();
    assert!(lines.contains("meta_lookahead_loss") && lines.contains("label_usage"), "{lines}");
}
