//! Whole runs: the same bits from the same seed, exact resumption, equal results however the data comes, learning.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use relabel::base::Error;
use relabel::gpu::Engine;
use relabel::nn::TorchTensor;
use relabel::report::MetricsFiles;
use relabel::session::{self, Trained};
use relabel::train::Trainer;
use relabel::train::checkpoint::{Checkpoint, LAST, NamedTensor, TensorData};
use relabel::train::events::{Event, Sink, Step};

use super::common::{engine, unchecked_engine};
use super::small::{Pictures, config};

const METHODS: [&str; 5] = ["baseline", "da", "mt", "sla", "sla-sd"];

/// Everything that `[augment]` offers, and a network's input of another size than the images.
const AUGMENTED: [&str; 8] = [
    "augment.resize=12",
    "augment.crop_size=10",
    "augment.crop=random_resized",
    "augment.brightness=0.4",
    "augment.contrast=0.4",
    "augment.saturation=0.4",
    "augment.hue=0.1",
    "augment.greyscale=0.2",
];

fn trainer(engine: &Arc<Engine>, data: &Path, overrides: &[&str]) -> Trainer {
    session::trainer(engine, config(data, overrides)).unwrap()
}

/// Keeps every report of training.
#[derive(Default)]
struct Steps(Vec<Step>);

impl Sink for Steps {
    fn event(&mut self, event: &Event) -> relabel::base::Result<()> {
        if let Event::Step(step) = event {
            self.0.push(step.clone());
        }
        Ok(())
    }
}

/// Trains to the end; the state after it and the reports on the way.
fn finish(trainer: &mut Trainer) -> (Checkpoint, Vec<Step>) {
    let mut steps = Steps::default();
    let outcome = trainer.run(None, None, &mut steps, &|| false).unwrap();
    assert!(outcome.complete);
    (trainer.checkpoint().unwrap(), steps.0)
}

/// Every value's bits: `==` on floats would take 0 for -0 and refuse NaN.
fn bits(tensors: &[NamedTensor]) -> Vec<(&str, &[usize], Vec<u64>)> {
    let values = |t: &NamedTensor| match &t.data {
        TensorData::F32(v) => v.iter().map(|x| u64::from(x.to_bits())).collect(),
        TensorData::I64(v) => v.iter().map(|x| *x as u64).collect(),
        other => panic!("{}: {}", t.name, other.dtype()),
    };
    tensors.iter().map(|t| (t.name.as_str(), t.shape.as_slice(), values(t))).collect()
}

#[track_caller]
fn same_bits(a: &Checkpoint, b: &Checkpoint) {
    let (a, b) = (bits(&a.tensors), bits(&b.tensors));
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(&b) {
        assert!(a == b, "{} and {} differ", a.0, b.0);
    }
}

/// The largest difference of any value over the largest magnitude of its tensor, for tensors that `wanted` takes.
fn distance(a: &Checkpoint, b: &Checkpoint, wanted: impl Fn(&str) -> bool) -> f64 {
    let mut worst = 0.0f64;
    let mut seen = 0;
    for (a, b) in a.tensors.iter().zip(&b.tensors) {
        assert_eq!((&a.name, &a.shape), (&b.name, &b.shape));
        let (TensorData::F32(x), TensorData::F32(y)) = (&a.data, &b.data) else { continue };
        if wanted(&a.name) {
            let most = y.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
            let difference = x.iter().zip(y).fold(0.0f32, |m, (x, y)| m.max((x - y).abs()));
            assert!(difference.is_finite(), "{}", a.name);
            worst = worst.max(f64::from(difference / most));
            seen += 1;
        }
    }
    assert!(seen > 0);
    worst
}

#[test]
fn one_seed_gives_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let data = Pictures::default().npz(dir.path(), "set.npz");
    let run = |overrides: &[&str]| finish(&mut trainer(&engine(), &data, overrides));
    let (first, losses) = run(&["method=sla-sd"]);
    let (second, again) = run(&["method=sla-sd"]);
    same_bits(&first, &second);
    let loss = |steps: &[Step]| steps.iter().map(|s| s.loss.to_bits()).collect::<Vec<_>>();
    assert_eq!(loss(&losses), loss(&again));
    assert_eq!(losses.iter().map(|s| s.step).collect::<Vec<_>>(), [3, 6, 9, 12]);
    let (other, _) = run(&["method=sla-sd", "seed=8"]);
    for name in ["conv1.weight", "conv2.weight", "joint.weight", "single.bias", "bn2.running_mean"] {
        assert_ne!(first.get(name).unwrap(), other.get(name).unwrap(), "{name}");
    }
}

/// The lines of a metrics file without what depends on the clock.
fn rows(folder: &Path) -> Vec<String> {
    let mut rows = Vec::new();
    for line in fs::read_to_string(folder.join("metrics.jsonl")).unwrap().lines() {
        let mut line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        for timed in ["seconds", "images_per_second"] {
            assert!(line.remove(timed).is_some() || line["event"] == "evaluation");
        }
        rows.push(serde_json::Value::Object(line).to_string());
    }
    let csv = fs::read_to_string(folder.join("metrics.csv")).unwrap();
    rows.extend(csv.lines().filter(|l| !l.contains("seconds,") && !l.contains("images_per_second")).map(String::from));
    rows
}

/// Stops a run after 5 of 12 steps, in the middle of two reports, and goes on from the file.
#[track_caller]
fn resumes_exactly(data: &Path, overrides: &[&str], interrupted: bool) {
    let dir = tempfile::tempdir().unwrap();
    let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
    let at = |folder: &Path| {
        fs::create_dir_all(folder).unwrap();
        MetricsFiles::create(folder).unwrap()
    };
    let mut uninterrupted = trainer(&engine(), data, overrides);
    let outcome = uninterrupted.run(Some(&whole), None, &mut at(&whole), &|| false).unwrap();

    let mut first = trainer(&engine(), data, overrides);
    let calls = std::cell::Cell::new(0);
    let stop = || {
        calls.set(calls.get() + 1);
        interrupted && calls.get() == 5
    };
    let until = (!interrupted).then_some(5);
    let part = first.run(Some(&parts), until, &mut at(&parts), &stop).unwrap();
    assert_eq!((part.step, part.complete), (5, false));
    drop(first);
    let file = parts.join(LAST);
    let checkpoint = Checkpoint::read(&file).unwrap();
    assert_eq!(checkpoint.meta.step, 5);
    let mut second = trainer(&engine(), data, overrides);
    second.restore(&checkpoint, &file).unwrap();
    let rest = second.run(Some(&parts), None, &mut MetricsFiles::resume(&parts, 5).unwrap(), &|| false).unwrap();
    assert_eq!(rest, outcome, "{overrides:?}");

    let [a, b] = [&whole, &parts].map(|folder| Checkpoint::read(&folder.join(LAST)).unwrap());
    same_bits(&a, &b);
    let untimed = |mut c: Checkpoint| {
        assert!(c.meta.extra.remove("seconds").is_some());
        c.meta
    };
    assert_eq!(untimed(a), untimed(b), "{overrides:?}");
    let (expected, found) = (rows(&whole), rows(&parts));
    assert!(expected.len() > 20);
    assert_eq!(expected, found, "{overrides:?}");
}

#[test]
fn a_resumed_run_is_the_run_that_was_never_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let data = Pictures::default().npz(dir.path(), "set.npz");
    for (i, method) in METHODS.iter().enumerate() {
        for (j, optimizer) in ["optimizer.kind=sgd", "optimizer.kind=adamw"].iter().enumerate() {
            for (k, sampler) in ["epochs", "independent"].iter().enumerate() {
                let (method, sampler) = (format!("method={method}"), format!("train.sampler={sampler}"));
                let decay = "optimizer.weight_decay=0.01";
                resumes_exactly(&data, &[&method, optimizer, &sampler, decay], (i + j + k) % 2 == 0);
            }
        }
    }
    resumes_exactly(&data, &["train.accumulate=3", "data.resident=stream", "optimizer.max_grad_norm=0.5"], false);
    resumes_exactly(&data, &AUGMENTED, true);
}

/// The masks of AlexNet's dropout follow the seed and the step, so a resumed run sees those of the run that went on.
#[test]
fn a_network_with_dropout_resumes_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = Pictures { train: 24, test: 4, size: [64, 96], channels: 3, ..Pictures::default() };
    let data = pictures.npz(dir.path(), "set.npz");
    let network = ["model.name=alexnet", "model.widths=[4, 8, 8, 8, 4, 16]", "model.strides=[]", "method=baseline"];
    resumes_exactly(&data, &network, false);
}

/// Batch-norm takes its statistics from each micro-batch, so in general accumulation is another computation. Where all
/// images are equal (and neither cropped nor flipped) every micro-batch has the batch's statistics, and the labels
/// alone differ: then the gradients' mean over the micro-batches is the batch's gradient. Compared are parameters and
/// momentum; the running statistics are not, because they move once a micro-batch, as in PyTorch.
#[test]
fn accumulated_gradients_are_the_batchs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("same.npz");
    let (_, picture) = Pictures::default().image(1);
    let labels: Vec<u8> = (0..60).map(|i| i % 3).collect();
    let arrays = [
        ("images", super::small::npy("|u1", "(60, 8, 8, 3)", &picture.repeat(60))),
        ("labels", super::small::npy("|u1", "(60,)", &labels)),
    ];
    super::small::npz(&path, zip::CompressionMethod::Stored, &arrays);
    let plain = ["augment.crop_padding=0", "augment.flip=false", "data.mean=[0.3]", "data.std=[0.3]"];
    let run = |accumulate: &str| {
        let overrides: Vec<&str> = plain.iter().copied().chain([accumulate, "optimizer.max_grad_norm=0.4"]).collect();
        finish(&mut trainer(&engine(), &path, &overrides))
    };
    let (whole, losses) = run("train.accumulate=1");
    let trained = |name: &str| !name.contains("running");
    for accumulate in ["train.accumulate=2", "train.accumulate=4"] {
        let (parts, again) = run(accumulate);
        // Sums in another order, over 12 steps with momentum: a few hundred times float32's 6e-8.
        let error = distance(&parts, &whole, trained);
        assert!(error < 1e-4, "{accumulate}: {error:e}");
        for (a, b) in losses.iter().zip(&again) {
            assert!((a.loss - b.loss).abs() < 1e-5 * a.loss, "{accumulate}: {} {}", a.loss, b.loss);
            assert!((a.accuracy - b.accuracy).abs() < 1e-6);
        }
    }
    // The comparison can tell: one step less is far away.
    let mut short = trainer(&engine(), &path, &[&plain[..], &["optimizer.max_grad_norm=0.4"]].concat());
    short.run(None, Some(11), &mut Steps::default(), &|| false).unwrap();
    assert!(distance(&short.checkpoint().unwrap(), &whole, trained) > 1e-3);
}

#[test]
fn streamed_images_give_the_bits_of_resident_ones() {
    let dir = tempfile::tempdir().unwrap();
    // 7 x 7 x 3 = 147 bytes an image: no multiple of a word.
    let pictures = Pictures { size: [7, 7], ..Pictures::default() };
    let data = pictures.npz(dir.path(), "set.npz");
    for more in [&["train.accumulate=1"][..], &["train.accumulate=2"], &AUGMENTED, &["augment.crop=random_resized"]] {
        let run = |resident: &str| {
            let mut trainer = trainer(&engine(), &data, &[&[resident, "evaluate.batch=10"], more].concat());
            let outcome = trainer.run(None, None, &mut Steps::default(), &|| false).unwrap();
            (trainer.checkpoint().unwrap(), outcome)
        };
        let (device, expected) = run("data.resident=device");
        let (stream, found) = run("data.resident=stream");
        same_bits(&device, &stream);
        assert_eq!(expected, found);
    }
}

#[test]
fn sla_learns_class_and_rotation() {
    let dir = tempfile::tempdir().unwrap();
    let data = Pictures { train: 90, test: 60, ..Pictures::default() }.npz(dir.path(), "set.npz");
    let longer = ["train.steps=80", "model.widths=[8, 16]", "optimizer.lr=0.1", "evaluate.every=0", "train.batch=30"];
    let mut trainer = trainer(&engine(), &data, &longer);
    let outcome = trainer.run(None, None, &mut Steps::default(), &|| false).unwrap();
    let metric = |name: &str| outcome.metrics.iter().find(|(n, _)| n == name).unwrap().1;
    // Chance is 1/3 for a class and 1/12 for a class and a rotation.
    assert!(metric("aggregated_accuracy") >= 0.95, "{:?}", outcome.metrics);
    assert!(metric("single_accuracy") >= 0.95, "{:?}", outcome.metrics);
    assert!(metric("total_accuracy") >= 0.8, "{:?}", outcome.metrics);
}

/// `tests/fixtures/losses.txt`: the losses of ten steps of each method, as they were when the golden files of the
/// losses, the transformations and the networks passed. It notices a change of any part of training that no other test
/// sees (order of samples, augmentation, schedule); it does not say which is right. After a change that is meant, write
/// it anew with `RELABEL_WRITE_FIXTURES=1 cargo test --test suite training::`.
#[test]
fn ten_losses_of_each_method() {
    let dir = tempfile::tempdir().unwrap();
    let data = Pictures::default().npz(dir.path(), "set.npz");
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/losses.txt");
    let mut found = Vec::new();
    for method in METHODS {
        let method_is = format!("method={method}");
        let short = ["train.steps=10", "log.every=1", "evaluate.every=0", "optimizer.weight_decay=0.01"];
        let overrides: Vec<&str> = short.iter().copied().chain([method_is.as_str()]).collect();
        let (_, steps) = finish(&mut trainer(&engine(), &data, &overrides));
        found.push((method, steps.iter().map(|s| s.loss).collect::<Vec<f64>>()));
    }
    if std::env::var_os("RELABEL_WRITE_FIXTURES").is_some() {
        let line = |(method, losses): &(&str, Vec<f64>)| {
            let losses: Vec<String> = losses.iter().map(|l| format!("{l:.6}")).collect();
            format!("{method} {}\n", losses.join(" "))
        };
        fs::write(&place, found.iter().map(line).collect::<String>()).unwrap();
    }
    let text = fs::read_to_string(&place).unwrap();
    assert_eq!(text.lines().count(), METHODS.len());
    for (line, (method, losses)) in text.lines().zip(found) {
        let (name, numbers) = line.split_once(' ').unwrap();
        assert_eq!(name, method);
        let expected: Vec<f64> = numbers.split(' ').map(|n| n.parse().unwrap()).collect();
        assert_eq!((expected.len(), losses.len()), (10, 10));
        for (step, (found, expected)) in losses.iter().zip(&expected).enumerate() {
            // Another adapter sums in another order and may fuse multiplications; ten steps make that grow.
            assert!((found - expected).abs() < 2e-3 * expected, "{method}, step {}: {found} {expected}", step + 1);
        }
    }
}

#[test]
fn a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let data = Pictures::default().npz(dir.path(), "set.npz");
    let folder = dir.path().join("run");
    fs::create_dir(&folder).unwrap();
    let mut good = trainer(&engine(), &data, &["checkpoint.every=1"]);
    good.run(Some(&folder), Some(4), &mut Steps::default(), &|| false).unwrap();
    let before = Checkpoint::read(&folder.join(LAST)).unwrap();
    // The last update overflows after a loss that is finite: the weights themselves must be looked at.
    for (rate, decay) in [("1e12", "0"), ("1e30", "0"), ("3e38", "100")] {
        let set = [format!("optimizer.lr={rate}"), format!("optimizer.weight_decay={decay}")];
        let set = [&set[0], &set[1], "checkpoint.every=1", "schedule.kind=constant"];
        before.write(&folder.join(LAST)).unwrap();
        let mut bad = trainer(&engine(), &data, &set);
        bad.restore(&before, &folder.join(LAST)).unwrap();
        let error = bad.run(Some(&folder), None, &mut Steps::default(), &|| false).unwrap_err();
        assert!(matches!(error, Error::Diverged(_)), "{rate}: {error:?}");
        assert_eq!(error.exit_code(), 7);
        let (message, step) = (error.to_string(), (5..=12).find(|s| error.to_string().contains(&format!("step {s};"))));
        assert!(step.is_some() && message.contains("last good checkpoint"), "{message}");
        assert!(decay == "0" || message.starts_with('`'), "{message}");
        let kept = Checkpoint::read(&folder.join(LAST)).unwrap();
        assert!(kept.meta.step >= 4 && kept.meta.step < step.unwrap(), "{rate}: {} {message}", kept.meta.step);
        for tensor in &kept.tensors {
            if let TensorData::F32(values) = &tensor.data {
                assert!(values.iter().all(|v| v.is_finite()), "{rate}: {} after {message}", tensor.name);
            }
        }
    }
}

/// A short run in `folder`; the path of its checkpoint.
fn trained(folder: &Path, data: &Path, overrides: &[&str]) -> std::path::PathBuf {
    let mut trainer = trainer(&engine(), data, overrides);
    trainer.run(Some(folder), None, &mut Steps::default(), &|| false).unwrap();
    folder.join(LAST)
}

#[test]
fn rows_past_the_end_do_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = Pictures::default();
    let data = pictures.npz(dir.path(), "set.npz");
    for method in ["mt", "sla-sd"] {
        let method_is = format!("method={method}");
        let file = trained(dir.path(), &data, &[&method_is, "evaluate.every=0"]);
        let network = Trained::open(&engine(), &file).unwrap();
        let test = || network.load(&data, relabel::data::Split::Test, Default::default(), false).unwrap();
        let one = network.evaluate(test(), 1).unwrap();
        // 29 images: 8 + 8 + 8 + 5, 20 + 9, and all at once.
        for batch in [8, 20, 29, 64] {
            let found = network.evaluate(test(), batch).unwrap();
            assert_eq!(found.len(), one.len());
            for ((name, found), (_, expected)) in found.iter().zip(&one) {
                // Counts are exact; losses are float32 sums in another order.
                let allowed = if name.ends_with("accuracy") { 1e-12 } else { 1e-5 * expected.abs() };
                assert!(
                    (found - expected).abs() <= allowed,
                    "{method} {name} in batches of {batch}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn predictions_have_the_evaluations_accuracy() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = Pictures::default();
    let data = pictures.npz(dir.path(), "set.npz");
    let files: Vec<_> = (0..pictures.test).map(|i| dir.path().join(format!("{i}.png"))).collect();
    files.iter().enumerate().for_each(|(i, file)| pictures.png(pictures.train + i, file));
    for (method, metric) in
        [("da", "aggregated_accuracy"), ("sla", "aggregated_accuracy"), ("baseline", "single_accuracy")]
    {
        let method_is = format!("method={method}");
        // Few steps: some answers must be wrong, or the comparison says little.
        let file = trained(dir.path(), &data, &[&method_is, "evaluate.every=0", "train.steps=6"]);
        let network = Trained::open(&engine(), &file).unwrap();
        let test = network.load(&data, relabel::data::Split::Test, Default::default(), false).unwrap();
        let labels = test.labels.clone();
        let metrics = network.evaluate(test, 8).unwrap();
        let (images, predictions) = network.predict(&files, 8, false).unwrap();
        assert_eq!((images.files.len(), predictions.len()), (pictures.test, pictures.test));
        let mut right = 0;
        for (predicted, label) in predictions.iter().zip(&labels) {
            let p = &predicted.probabilities;
            assert_eq!(p.len(), 3);
            assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            assert_eq!(predicted.views.len(), network.method().views());
            assert!(predicted.views.iter().all(|v| (v.iter().sum::<f32>() - 1.0).abs() < 1e-5));
            right += usize::from((0..3).all(|c| p[*label as usize] >= p[c]));
        }
        let accuracy = metrics.iter().find(|(name, _)| name == metric).unwrap().1;
        assert!((right as f64 / pictures.test as f64 - accuracy).abs() < 1e-12, "{method}: {right} {accuracy}");
        if method == "baseline" {
            // With one view, the prediction is that view's.
            assert_eq!(predictions[0].views, [predictions[0].probabilities.clone()]);
        }
    }
}

/// The network's input is what `[augment]` makes of the images: in training, evaluation during the run, evaluation of
/// the checkpoint and prediction. Oblong images give a square crop, which rotation needs.
#[test]
fn a_network_may_see_another_size_than_the_images() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = Pictures { size: [7, 9], ..Pictures::default() };
    let data = pictures.npz(dir.path(), "set.npz");
    let folder = dir.path().join("run");
    fs::create_dir(&folder).unwrap();
    let mut trainer = trainer(&engine(), &data, &AUGMENTED);
    let outcome = trainer.run(Some(&folder), None, &mut Steps::default(), &|| false).unwrap();
    let network = Trained::open(&engine(), &folder.join(LAST)).unwrap();
    assert_eq!(network.image, [7, 9, 3]);
    let test = network.load(&data, relabel::data::Split::Test, Default::default(), false).unwrap();
    assert_eq!(network.evaluate(test, 12).unwrap(), outcome.metrics);
    let files: Vec<_> = (0..pictures.test).map(|i| dir.path().join(format!("{i}.png"))).collect();
    files.iter().enumerate().for_each(|(i, file)| pictures.png(pictures.train + i, file));
    let (_, predictions) = network.predict(&files, 8, false).unwrap();
    let label = |i: usize| i % 3;
    let right = predictions.iter().enumerate().filter(|(i, p)| {
        let p = &p.probabilities;
        (0..3).all(|c| p[label(pictures.train + i)] >= p[c])
    });
    let accuracy = outcome.metrics.iter().find(|(name, _)| name == "aggregated_accuracy").unwrap().1;
    assert!((right.count() as f64 / pictures.test as f64 - accuracy).abs() < 1e-12);
}

#[test]
fn checkpoints_have_pytorchs_names_and_layouts() {
    let dir = tempfile::tempdir().unwrap();
    let data = Pictures::default().npz(dir.path(), "set.npz");
    let overrides = ["method=sla-sd", "evaluate.every=0", "train.accumulate=2", "model.name=cifar_resnet"];
    let more = ["model.depth=8", "model.widths=[4, 4, 8]", "model.strides=[]", "train.steps=3"];
    let file = trained(dir.path(), &data, &[overrides, more].concat());
    let checkpoint = Checkpoint::read(&file).unwrap();
    // OIHW; the stem's input channels are three, without the device's padding.
    for (name, shape) in [
        ("conv1.weight", &[4, 3, 3, 3][..]),
        ("bn1.weight", &[4]),
        ("bn1.running_var", &[4]),
        ("layer1.0.conv2.weight", &[4, 4, 3, 3]),
        ("layer3.0.conv1.weight", &[8, 4, 3, 3]),
        ("joint.weight", &[12, 8]),
        ("joint.bias", &[12]),
        ("single.weight", &[3, 8]),
        ("optimizer.momentum_buffer.layer3.0.conv1.weight", &[8, 4, 3, 3]),
    ] {
        assert_eq!(checkpoint.get(name).unwrap().shape, shape, "{name}");
    }
    // 7 convolutions with batch-norm, each with weight, bias, mean, variance and count, and two linear layers.
    assert_eq!(checkpoint.weights().count(), 7 * 6 + 4);
    // Two micro-batches a step, as PyTorch would count them.
    let tracked = checkpoint.get("layer2.0.bn1.num_batches_tracked").unwrap();
    assert_eq!((tracked.shape.len(), &tracked.data), (0, &TensorData::I64(vec![6])));
    // Read into a network of its own and back: the same values under the same names.
    let network = Trained::open(&engine(), &file).unwrap();
    let back = network.network().to_torch(&engine()).unwrap();
    assert_eq!(back.len(), 7 * 5 + 4);
    for TorchTensor { name, sizes, values } in back {
        assert_eq!(checkpoint.get(&name).unwrap().as_f32(&sizes).unwrap(), values, "{name}");
    }
}

/// wgpu's checks change how a shader is compiled, not what it computes; a driver may still contract other products.
#[test]
fn unchecked_shaders_train_alike() {
    let dir = tempfile::tempdir().unwrap();
    let data = Pictures::default().npz(dir.path(), "set.npz");
    let run = |engine: Arc<Engine>| finish(&mut trainer(&engine, &data, &["method=sla-sd"]));
    let ((checked, a), (unchecked, b)) = (run(engine()), run(unchecked_engine()));
    let error = distance(&checked, &unchecked, |_| true);
    assert!(error < 1e-3, "{error:e}");
    for (a, b) in a.iter().zip(&b) {
        assert!((a.loss - b.loss).abs() < 1e-3 * a.loss, "{} {}", a.loss, b.loss);
    }
}
