//! Bad input, through the program: the exit code, what the message says, and that nothing is lost. The many ways in
//! which a data file can be wrong are in `tests/data.rs`; here each kind reaches its exit code once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use relabel::train::checkpoint::{Checkpoint, LAST, TensorFile};
use tempfile::TempDir;

use super::small::{Pictures, config_text, done, is_refusal, npy, npz, program, refused, text};

/// A folder with `set.npz`, `run.toml` that trains on it, and what a test adds.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new(pictures: Pictures) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = pictures.npz(dir.path(), "set.npz");
        fs::write(dir.path().join("run.toml"), config_text(&data)).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// `train run.toml --run RUN` with settings.
    fn train(&self, run: &str, set: &[&str]) -> Vec<String> {
        let mut arguments = vec!["train".into(), self.text("run.toml"), "--run".into(), self.text(run)];
        for assignment in set {
            arguments.extend(["--set".into(), (*assignment).to_owned()]);
        }
        arguments
    }

    #[track_caller]
    fn trained(&self, run: &str, set: &[&str]) -> String {
        done(&self.train(run, set).iter().map(String::as_str).collect::<Vec<_>>());
        self.path(run).join(LAST).to_str().unwrap().to_owned()
    }

    /// Training that must be refused, and must not have made its directory.
    #[track_caller]
    fn train_refused(&self, set: &[&str], code: i32, parts: &[&str]) -> String {
        let run = self.train("refused", set);
        let message = refused(&run.iter().map(String::as_str).collect::<Vec<_>>(), code, parts);
        assert!(!self.path("refused").exists(), "a refused run left its directory");
        message
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Short enough that a test can train more than one.
const SHORT: [&str; 3] = ["train.steps=2", "evaluate.every=0", "method=baseline"];

#[cfg(unix)]
#[test]
fn no_adapter() {
    let bench = Bench::new(Pictures::default());
    let run = bench.train("refused", &[]);
    let nowhere = "/nonexistent.json";
    let output = Command::new(env!("CARGO_BIN_EXE_relabel"))
        .args(&run)
        .envs([("VK_DRIVER_FILES", nowhere), ("VK_ICD_FILENAMES", nowhere)])
        .output()
        .unwrap();
    is_refusal(&output, 4, &["no adapter found", "apt install", "mesa-vulkan-drivers"]);
    assert!(!bench.path("refused").exists());
    let message = refused(&["--adapter", "no such card", "verify", "assets/golden"], 4, &["no such card", "0: "]);
    assert!(message.contains("there are"), "{message}");
    fs::write(bench.path("binary.toml"), [0xff, 0xfe, 0]).unwrap();
    refused(&["train", &bench.text("binary.toml")], 2, &["binary.toml", "not UTF-8"]);
}

/// A driver that is there and fails: a Vulkan layer answers every request for a device with an error.
#[cfg(unix)]
#[test]
fn a_driver_that_creates_no_device() {
    let bench = Bench::new(Pictures::default());
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/no_device_layer.rs");
    let library = bench.path("libno_device.so");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = Command::new(rustc).args(["--edition", "2024", "-o"]).arg(&library).arg(source).output().unwrap();
    assert!(built.status.success(), "{}", text(&built.stderr));
    let manifest = serde_json::json!({
        "file_format_version": "1.1.0",
        "layer": {
            "name": "VK_LAYER_RELABEL_no_device", "type": "GLOBAL", "library_path": library, "api_version": "1.3.0",
            "implementation_version": "1", "description": "Creates no device",
        },
    });
    fs::write(bench.path("no_device.json"), manifest.to_string()).unwrap();
    let run = bench.train("refused", &[]);
    let mut command = program(&run.iter().map(String::as_str).collect::<Vec<_>>());
    command.env("VK_LAYER_PATH", bench.dir.path()).env("VK_INSTANCE_LAYERS", "VK_LAYER_RELABEL_no_device");
    is_refusal(&command.output().unwrap(), 4, &["could not create a device", "--adapter", "relabel adapters"]);
    assert!(!bench.path("refused").exists());
}

#[test]
fn settings_that_do_not_fit() {
    let bench = Bench::new(Pictures::default());
    bench.train_refused(&["train.batch=61"], 2, &["61", "60", "larger than the training set"]);
    bench.train_refused(&["train.batch=many"], 2, &["`train.batch`", "many", "whole number"]);
    bench.train_refused(&["optimizer.lr=-1"], 2, &["`optimizer.lr` is -1", "above 0"]);
    bench.train_refused(&["device.memory=4 gigs"], 2, &["`device.memory`", "4 gigs", "GiB"]);
    bench.train_refused(&["train.accumulate=5"], 2, &["`train.accumulate` is 5", "12"]);
    bench.train_refused(&["method=slaa"], 2, &["slaa", "did you mean \"sla\""]);
    bench.train_refused(&["model.name=resnet33"], 2, &["resnet33", "did you mean"]);
    bench.train_refused(&["sla.transform=rot"], 2, &["`sla.transform`", "rotation"]);
    bench.train_refused(&["train.epochs=2147483648"], 2, &["train.epochs", "2147483648"]);
    bench.train_refused(&["optimizer.lr=1e300"], 2, &["`optimizer.lr`", "32 bits"]);
    bench.train_refused(&["optimizer.kind=adam", "optimizer.eps=1e-300"], 2, &["`optimizer.eps`", "32 bits"]);
    bench.train_refused(&["method=sla-sd", "sla.temperature=1e-300"], 2, &["`sla.temperature`", "32 bits"]);
    bench.train_refused(&["data.mean=[1e300]"], 2, &["`data.mean`", "finite"]);
    bench.train_refused(&["checkpoint.best=acuracy"], 2, &["acuracy", "single_accuracy", "aggregated_accuracy"]);
    bench.train_refused(&["evaluate.split=validation"], 2, &["data.validation"]);
    bench.train_refused(&["data.path="], 2, &["data.path", "empty"]);
    bench.train_refused(&["data.validation=60"], 2, &["60"]);
    bench.train_refused(&["data.mean=[0.1, 0.2, 0.3]", "data.path=nowhere"], 3, &["nowhere", "does not exist"]);
    bench.train_refused(&["augment.crop_size=9"], 2, &["`augment.crop_size` is 9", "8x8", "`augment.resize`"]);
    bench.train_refused(&["augment.crop=random_resized", "augment.crop_size=32"], 2, &["is 32", "8x8"]);
    bench.train_refused(&["augment.crop_padding=0", "sla.temperature=0"], 2, &["`sla.temperature` is 0", "above 0"]);
}

#[test]
fn transformations_that_do_not_fit() {
    let grey = Bench::new(Pictures { channels: 1, ..Pictures::default() });
    grey.train_refused(&["sla.transform=color_perm"], 2, &["color_perm", "1 channel"]);
    grey.train_refused(&["sla.transform=rot_color_perm6"], 2, &["rot_color_perm6", "1 channel"]);
    let oblong = Bench::new(Pictures { size: [6, 8], ..Pictures::default() });
    oblong.train_refused(&["sla.transform=rotation"], 2, &["rotation", "6 x 8", "square"]);
    // Half turns and colours fit.
    oblong.trained("half", &["sla.transform=rotation2", "train.steps=1"]);
    oblong.trained("colour", &["method=da", "sla.transform=color_perm3", "train.steps=1"]);
}

#[test]
fn a_run_directory_that_exists() {
    let bench = Bench::new(Pictures::default());
    let last = bench.trained("run", &SHORT);
    let before = fs::read(&last).unwrap();
    let again = bench.train("run", &SHORT);
    refused(&again.iter().map(String::as_str).collect::<Vec<_>>(), 2, &["exists and holds a checkpoint", "--resume"]);
    assert_eq!(fs::read(&last).unwrap(), before);
    fs::create_dir(bench.path("mine")).unwrap();
    fs::write(bench.path("mine/thesis.txt"), "x").unwrap();
    let other = bench.train("mine", &SHORT);
    refused(&other.iter().map(String::as_str).collect::<Vec<_>>(), 2, &["mine", "not empty", "--run"]);
    assert_eq!(names(&bench.path("mine")), ["thesis.txt"]);
    refused(&["train", "--resume", &bench.text("mine")], 2, &["mine", "holds no last.safetensors"]);
    refused(&["train", "--resume", &bench.text("gone")], 2, &["gone", "no such folder"]);
}

/// Other data than a checkpoint was trained on.
#[test]
fn classes_and_images_that_differ_from_the_checkpoints() {
    let bench = Bench::new(Pictures::default());
    let last = bench.trained("run", &SHORT);
    let two = Pictures { classes: 2, ..Pictures::default() }.npz(bench.dir.path(), "two.npz");
    let four = Pictures { classes: 4, ..Pictures::default() }.npz(bench.dir.path(), "four.npz");
    let large = Pictures { size: [10, 10], ..Pictures::default() }.npz(bench.dir.path(), "large.npz");
    let grey = Pictures { channels: 1, ..Pictures::default() }.npz(bench.dir.path(), "grey.npz");
    let [two, four, large, grey] = [&two, &four, &large, &grey].map(|p| p.to_str().unwrap());
    refused(&["eval", &last, "--data", two], 3, &["2 classes", "trained on 3"]);
    refused(&["eval", &last, "--data", four], 3, &["4 classes", "trained on 3"]);
    refused(&["eval", &last, "--data", four, "--subset"], 3, &["four.npz", "label 3"]);
    refused(&["eval", &last, "--data", large], 3, &["10x10x3", "trained on 8x8x3"]);
    refused(&["eval", &last, "--data", grey], 3, &["8x8x1", "trained on 8x8x3"]);
    // Images that lack a class are measured when the user says so.
    assert!(done(&["eval", &last, "--data", two, "--subset"]).contains("29 test images"));
    Pictures { classes: 2, ..Pictures::default() }.folder(&bench.path("folder/test"));
    refused(&["eval", &last, "--data", &bench.text("folder")], 3, &["2 classes", "trained on 3"]);
    refused(&["eval", &last, "--data", &bench.text("folder"), "--split", "validation"], 2, &["--data"]);
    refused(&["eval", &last, "--split", "validation"], 3, &["no validation images"]);

    let before = fs::read(&last).unwrap();
    let resume = bench.text("run");
    for (data, parts) in [(four, ["trained on 3 classes", "have 4"]), (large, ["training images", "same data"])] {
        let set = format!("data.path={data}");
        refused(&["train", "--resume", &resume, "--set", &set, "--set", "train.steps=4"], 6, &parts);
    }
    refused(&["train", "--resume", &resume, "--seed", "8"], 2, &["`seed` = 8", "--run"]);
    refused(&["train", "--resume", &resume, "--set", "method=sla"], 2, &["`method`", "sla"]);
    refused(&["train", "--resume", &resume, "--set", "train.steps=1"], 6, &["2 steps", "only 1"]);
    assert_eq!(fs::read(&last).unwrap(), before);
    // Other images of another kind for predict: none of it is an image.
    refused(&["predict", &last, &bench.text("run.toml")], 3, &["run.toml", "cannot be decoded"]);
    refused(&["predict", &last, &bench.text("gone.png")], 3, &["gone.png", "does not exist"]);
    let truncated = bench.path("cut.png");
    Pictures::default().png(0, &truncated);
    let bytes = fs::read(&truncated).unwrap();
    fs::write(&truncated, &bytes[..bytes.len() / 2]).unwrap();
    refused(&["predict", &last, truncated.to_str().unwrap()], 3, &["cut.png", "cannot be decoded", "--skip-bad"]);
    refused(
        &["predict", &last, truncated.to_str().unwrap(), "--skip-bad"],
        3,
        &["no image could be decoded", "1 skipped"],
    );
}

/// A file whose tensors are not those of the network that its config names.
#[test]
fn a_checkpoint_of_another_architecture() {
    let bench = Bench::new(Pictures::default());
    let last = bench.trained("run", &SHORT);
    let original = Checkpoint::read(Path::new(&last)).unwrap();
    let forged = |from: &str, to: &str| {
        let mut checkpoint = original.clone();
        assert!(checkpoint.meta.config.contains(from), "{}", checkpoint.meta.config);
        checkpoint.meta.config = checkpoint.meta.config.replace(from, to);
        checkpoint.write(&bench.path("forged.safetensors")).unwrap();
        bench.text("forged.safetensors")
    };
    let wide = forged("widths = [4, 8]", "widths = [4, 12]");
    refused(&["eval", &wide], 6, &["forged.safetensors", "`conv2.weight`", "[8, 4, 3, 3]", "[12, 4, 3, 3]"]);
    let deep = forged("widths = [4, 8]\nstrides = [1, 2]", "widths = [4, 8, 8]\nstrides = [1, 2, 1]");
    refused(&["eval", &deep], 6, &["forged.safetensors", "`conv3.weight` is missing", "another architecture"]);
    let shallow = forged("widths = [4, 8]\nstrides = [1, 2]", "widths = [4]\nstrides = [1]");
    refused(&["eval", &shallow], 6, &["forged.safetensors", "another architecture"]);
    let method = forged("method = \"baseline\"", "method = \"sla\"");
    refused(&["predict", &method, &bench.text("x.png")], 6, &["`joint.weight` is missing"]);
    let unknown = forged("method = \"baseline\"", "method = \"slab\"");
    refused(&["eval", &unknown], 2, &["slab", "did you mean"]);
    let broken = forged("[data]", "[data");
    refused(&["eval", &broken], 2, &["the config inside", "forged.safetensors", "not valid TOML"]);

    // In the run's own directory: nothing is written over.
    let before = fs::read(bench.path("run/config.toml")).unwrap();
    fs::copy(bench.path("forged.safetensors"), bench.path("run/last.safetensors")).unwrap();
    refused(&["train", "--resume", &bench.text("run")], 2, &["not valid TOML"]);
    forged("widths = [4, 8]", "widths = [4, 12]");
    fs::copy(bench.path("forged.safetensors"), bench.path("run/last.safetensors")).unwrap();
    let more = ["train", "--resume", &bench.text("run"), "--set", "train.steps=4"];
    refused(&more, 6, &["last.safetensors", "`conv2.weight`"]);
    assert_eq!(fs::read(bench.path("run/config.toml")).unwrap(), before);
}

#[test]
fn damaged_and_hostile_checkpoints() {
    let bench = Bench::new(Pictures::default());
    let last = bench.trained("run", &SHORT);
    let bytes = fs::read(&last).unwrap();
    let file = bench.text("bad.safetensors");
    let eval = |content: &[u8], parts: &[&str]| {
        fs::write(&file, content).unwrap();
        refused(&["eval", &file], 6, &[&["bad.safetensors"], parts].concat());
    };
    eval(&bytes[..bytes.len() - 100], &["truncated"]);
    eval(&bytes[..40], &["truncated"]);
    eval(&[], &["0 bytes"]);
    eval(b"not a checkpoint at all, but a text of some length", &["claims", "no safetensors file"]);
    // A header of 2^63 bytes, and one that claims a tensor of 2^62 values.
    eval(&[&(1u64 << 63).to_le_bytes()[..], &bytes[8..]].concat(), &["claims 9223372036854775808 bytes"]);
    let header = br#"{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,8]}}"#;
    eval(&[&(header.len() as u64).to_le_bytes()[..], header, &[0; 8]].concat(), &["too large"]);
    // Weights without what relabel keeps beside them.
    let mut weights = TensorFile::read(Path::new(&last)).unwrap();
    weights.metadata.clear();
    weights.write(Path::new(&file)).unwrap();
    refused(&["eval", &file], 6, &["bad.safetensors", "weights only"]);
    // Metadata that would make the network's input enormous, or nothing at all.
    for image in ["8192,8192,8192", "0,8,3", "8,8", "x", "8,8,3.5", "NaN,8,3", "8,8,4"] {
        let mut checkpoint = Checkpoint::read(Path::new(&last)).unwrap();
        checkpoint.meta.extra.insert("image".into(), image.into());
        checkpoint.write(Path::new(&file)).unwrap();
        refused(&["eval", &file], 6, &["bad.safetensors", "`image`"]);
    }
    refused(&["eval", &bench.text("run")], 6, &["is not a file"]);
    refused(&["eval", &bench.text("gone.safetensors")], 8, &["gone.safetensors"]);
    assert_eq!(fs::read(&last).unwrap(), bytes);
}

/// Goes on with a run on a disk that is too small for one more checkpoint: $1 the program, $2 the run, $3 the size in
/// KiB, $4 an empty folder. Prints the files that are there afterwards, if the last checkpoint is as before.
///
/// The small disk is a tmpfs of a mount namespace of the process's own. Where that is not allowed, no file of the
/// process may grow past 16 KiB (new Mesa's own files are larger, so this is the second choice).
#[cfg(unix)]
const SMALL_DISK: &str = r#"
mount -t tmpfs -o size="$3k" none "$4" || exit 99
trap 'umount "$4"' EXIT
cp -a "$2/." "$4" || exit 98
"$1" train --resume "$4" --set train.steps=4
status=$?
cmp "$4/last.safetensors" "$2/last.safetensors" && ls "$4"
exit $status
"#;

#[cfg(unix)]
#[test]
fn a_full_disk_while_a_checkpoint_is_written() {
    let bench = Bench::new(Pictures::default());
    let wide = [&SHORT[..], &["model.widths=[16, 64]"]].concat();
    let last = bench.trained("run", &wide);
    let before = fs::read(&last).unwrap();
    assert!(before.len() > 64 << 10);
    let (program, run) = (env!("CARGO_BIN_EXE_relabel"), bench.text("run"));
    let disk = bench.text("disk");
    fs::create_dir(&disk).unwrap();
    let allowed = |flags: &[&str]| {
        let mount = ["bash", "-c", "mount -t tmpfs none \"$0\" && umount \"$0\"", &disk];
        Command::new("unshare").args(flags).args(mount).output().is_ok_and(|o| o.status.success())
    };
    // The last form is for a changed root, whose mounts cannot be made private.
    let forms = [&["-m"][..], &["-rm"], &["-m", "--propagation", "unchanged"]];
    let namespace = forms.into_iter().find(|flags| allowed(flags));
    let output = if let Some(flags) = namespace {
        // Each file takes whole pages; hard links take none. Room for the small files that a resumption writes.
        let kib = 24 + names(&bench.path("run")).len() * 4 + before.len() / 1024;
        let size = kib.to_string();
        let script = ["bash", "-c", SMALL_DISK, "small-disk", program, &run, &size, &disk];
        Command::new("unshare").args(flags).args(script).output()
    } else {
        // Without the signal's default action, writing answers with an error.
        let script = "trap '' XFSZ; ulimit -f 16; exec \"$0\" train --resume \"$1\" --set train.steps=4";
        Command::new("bash").args(["-c", script, program, &run]).output()
    };
    let output = output.unwrap();
    is_refusal(&output, 8, &["cannot write", "unchanged", "last.safetensors"]);
    if namespace.is_some() {
        let there = text(&output.stdout);
        assert!(there.contains("last.safetensors") && !there.contains("partial"), "{there}");
    }
    assert_eq!(fs::read(&last).unwrap(), before);
    assert!(names(&bench.path("run")).iter().all(|n| !n.contains("partial")), "{:?}", names(&bench.path("run")));
    // With room again, it goes on.
    done(&["train", "--resume", &run, "--set", "train.steps=4"]);
    assert_eq!(Checkpoint::read(Path::new(&last)).unwrap().meta.step, 4);
}

#[test]
fn a_loss_that_is_not_finite() {
    let bench = Bench::new(Pictures::default());
    let last = bench.trained("run", &SHORT);
    let before = fs::read(&last).unwrap();
    let resume = ["train", "--resume", &bench.text("run"), "--set", "train.steps=9", "--set", "optimizer.lr=1e30"];
    refused(&resume, 7, &["NaN or infinite at step", "last good checkpoint", "optimizer.lr", "warmup"]);
    assert_eq!(fs::read(&last).unwrap(), before);
    assert!(done(&["eval", &last, "--batch", "0"]).contains("single_accuracy"));
}

#[test]
fn label_files_that_do_not_fit() {
    let bench = Bench::new(Pictures { train: 24, ..Pictures::default() });
    let file = bench.path("labels.csv");
    let setting = format!("data.labels_file={}", file.to_str().unwrap());
    let set = [&SHORT[..], &[setting.as_str()]].concat();
    let rows = |count: usize, label: &str| {
        let rows: Vec<String> =
            (0..count).map(|i| format!(",{i},0,{},0.5\n", if i == 7 { label } else { "1" })).collect();
        fs::write(&file, format!("file,index,head,label,confidence\n{}", rows.concat())).unwrap();
    };
    bench.train_refused(&set, 8, &["labels.csv", "cannot open"]);
    rows(23, "0");
    bench.train_refused(&set, 3, &["labels.csv", "23 labels", "24 training images"]);
    rows(25, "0");
    bench.train_refused(&set, 3, &["labels.csv", "line 26", "index 24 is out of range"]);
    rows(24, "1048576");
    bench.train_refused(&set, 3, &["labels.csv", "line 9", "below 1048576"]);
    rows(24, "0");
    bench.train_refused(&[&set[..], &["data.labels_head=2"]].concat(), 3, &["no labels of head 2", "head 0"]);
    bench.train_refused(&[&set[..], &["data.classes=1"]].concat(), 3, &["label 1", "set to 1"]);
    bench.train_refused(&[&set[..], &["data.labels_head=65536"]].concat(), 2, &["labels_head", "65535"]);
    // What fits is trained on, without the test images of the data.
    let run = bench.train("run", &set);
    let output = program(&run.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success() && said.contains("test images are left out"), "{said}");
}

/// Labels that `sela` cannot make, or `sela-rot` cannot take.
#[test]
fn label_assignments_that_do_not_fit() {
    let bench = Bench::new(Pictures::default());
    let sela = ["method=sela", "sela.heads=1", "sela.clusters=4", "train.steps=2", "evaluate.every=0"];
    let with = |more: &[&str], code: i32, parts: &[&str]| {
        bench.train_refused(&[&sela[..], more].concat(), code, parts);
    };
    with(&["sela.clusters=61"], 3, &["60 training images", "sela.clusters = 61"]);
    with(&["sela.clusters=0"], 2, &["`sela.clusters` is 0", "1 to 65536"]);
    with(&["sela.lambda=0"], 2, &["`sela.lambda` is 0", "above 0"]);
    with(&["sela.memory=4 KiB"], 5, &["sela.memory", "4096 bytes", "the smallest plan takes"]);
    let file = bench.text("shares.txt");
    let marginals = format!("sela.marginals={file}");
    with(&[&marginals], 8, &["shares.txt"]);
    for (text, parts) in [
        ("0.25 0.25 0.25 0.3", ["add up to 1.05", "not to 1"]),
        ("0.5 0.25 0.25", ["3 masses", "4 clusters"]),
        ("0.5 0.25 0.25\n0", ["line 2", "above 0"]),
    ] {
        fs::write(&file, text).unwrap();
        with(&[&marginals], 3, &[&["shares.txt"], &parts[..]].concat());
    }
    let file = bench.text("labels.csv");
    let labels = format!("sela.labels={file}");
    let frozen = ["method=sela-rot", labels.as_str()];
    let rows = |count: usize, label: u32| {
        let rows: Vec<String> =
            (0..count).map(|i| format!(",{i},0,{},0.5\n", if i == 7 { label } else { 1 })).collect();
        fs::write(&file, format!("file,index,head,label,confidence\n{}", rows.concat())).unwrap();
    };
    with(&["method=sela-rot"], 2, &["sela.labels is empty"]);
    with(&frozen, 8, &["labels.csv"]);
    rows(59, 0);
    with(&frozen, 3, &["labels.csv", "59 labels", "60 training images"]);
    rows(61, 0);
    with(&frozen, 3, &["labels.csv", "line 62", "index 60"]);
    rows(60, 4);
    with(&frozen, 2, &["labels.csv", "label 4", "at least 5", "now 4"]);
    rows(60, 0);
    with(&[&frozen[..], &["sela.heads=2"]].concat(), 2, &["labels.csv", "1 heads", "now 2"]);
}

/// Auxiliary labels and groups of classes that `maxl` and its like cannot use.
#[test]
fn auxiliary_labels_that_do_not_fit() {
    let bench = Bench::new(Pictures::default());
    let maxl = ["method=maxl", "maxl.hierarchy=2", "train.steps=2", "evaluate.every=0"];
    let with = |more: &[&str], code: i32, parts: &[&str]| {
        bench.train_refused(&[&maxl[..], more].concat(), code, parts);
    };
    with(&["maxl.hierarchy=[2, 2]"], 2, &["2 numbers ([2, 2])", "3 classes"]);
    with(&["maxl.hierarchy=[2, 0, 2]"], 2, &["`maxl.hierarchy` is [2, 0, 2]", "from 1"]);
    with(&["maxl.lookahead_lr=0"], 2, &["`maxl.lookahead_lr` is 0", "above 0", "hessian = \"none\""]);
    with(&["data.labels=10"], 2, &["data.labels = \"10\"", "set.npz", "only CIFAR-100"]);
    with(&["data.groups=[[0, 1], [1, 2]]"], 2, &["data.groups", "class 1 is in group 0 and in group 1"]);
    with(&["data.groups=[[0], [1]]"], 2, &["data.groups", "class 2 of set.npz is in no group"]);
    with(&["data.groups=[[0, 1], [\"cat\"]]"], 2, &["data.groups", "`cat`, which is no class", "there are 0, 1, 2"]);
    let human = |labels: &str, groups: &str, code: i32, parts: &[&str]| {
        with(&["method=maxl-human", &format!("maxl.labels={labels}"), groups], code, parts);
    };
    human("own", "seed=1", 2, &["maxl.labels = \"own\"", "no labels that are finer", "data.groups"]);
    human("coarse", "data.groups=[[0, 1], [2]]", 2, &["maxl.labels = \"coarse\"", "as finer labels own"]);
    human("own", "data.groups=[[0], [1], [2]]", 3, &["maxl.labels: own", "not finer than the classes"]);
    let rows: String = (0..60).map(|i| format!(",{i},0,{},0.5\n", i % 4)).collect();
    fs::write(bench.path("labels.csv"), format!("file,index,head,label,confidence\n{rows}")).unwrap();
    human(&bench.text("labels.csv"), "seed=1", 3, &["labels.csv", "label 0 is on images of", "not finer"]);
    let last = bench.trained("run", &maxl);
    let before = fs::read(&last).unwrap();
    let resume = ["train", "--resume", &bench.text("run"), "--set"];
    refused(&[&resume[..], &["maxl.hierarchy=3"]].concat(), 2, &["`maxl.hierarchy` = 3 (before: 2)", "--run"]);
    refused(&[&resume[..], &["data.groups=[[0, 1], [2]]"]].concat(), 6, &["trained on 3 classes", "have 2"]);
    assert_eq!(fs::read(&last).unwrap(), before);
}

#[test]
fn folders_without_labels() {
    let bench = Bench::new(Pictures::default());
    let folder = bench.path("photos");
    fs::create_dir_all(&folder).unwrap();
    let data = format!("data.path={}", bench.text("photos"));
    let set = [&SHORT[..], &[data.as_str(), "data.format=folder"]].concat();
    for method in ["method=baseline", "method=sela"] {
        bench.train_refused(&[&set[..], &["data.labelled=false", method]].concat(), 3, &["photos", "holds no image"]);
    }
    for i in 0..24 {
        Pictures::default().png(i, &folder.join(format!("{i:02}.png")));
    }
    let output = program(&["data", "inspect", folder.to_str().unwrap()]).output().unwrap();
    assert!(text(&output.stdout).contains("the images have no labels"), "{}", text(&output.stdout));
    let run = bench.train("run", &set);
    let output = program(&run.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success() && said.contains("one class only"), "{said}");
}

#[test]
fn data_files_that_are_damaged() {
    let bench = Bench::new(Pictures::default());
    let folder = bench.path("folder");
    Pictures { train: 24, ..Pictures::default() }.folder(&folder);
    let data = format!("data.path={}", bench.text("folder"));
    let set = [&SHORT[..], &[data.as_str()]].concat();
    let bad = folder.join("b/001.png");
    let bytes = fs::read(&bad).unwrap();
    fs::write(&bad, &bytes[..bytes.len() / 2]).unwrap();
    bench.train_refused(&set, 3, &["001.png", "cannot be decoded", "1 of 24", "--skip-bad"]);
    let mut run = bench.train("skipping", &set);
    run.push("--skip-bad".into());
    let output = program(&run.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success() && said.contains("1 images were skipped") && said.contains("001.png"), "{said}");
    fs::write(&bad, bytes).unwrap();
    fs::create_dir(folder.join("nothing")).unwrap();
    bench.train_refused(&set, 3, &["nothing", "empty class", "data.allow_empty_classes"]);
    bench.trained("empty", &[&set[..], &["data.allow_empty_classes=true"]].concat());
    fs::remove_dir(folder.join("nothing")).unwrap();
    Pictures { size: [9, 9], ..Pictures::default() }.png(0, &folder.join("a/odd.png"));
    bench.train_refused(&set, 3, &["differ in size", "odd.png", "9x9", "data.size"]);

    let cifar = bench.path("cifar");
    fs::create_dir(&cifar).unwrap();
    let data = format!("data.path={}", bench.text("cifar"));
    let set = [&SHORT[..], &[data.as_str(), "data.format=cifar10"]].concat();
    for bytes in [3073 * 12 - 1, 3073 * 12 + 1] {
        fs::write(cifar.join("train.bin"), vec![0; bytes]).unwrap();
        bench.train_refused(&set, 3, &["train.bin", &bytes.to_string(), "multiple of 3073", "36876"]);
    }
    fs::write(cifar.join("train.bin"), vec![11; 3073 * 12]).unwrap();
    bench.train_refused(&set, 3, &["train.bin", "label 11", "10 classes"]);

    let idx = bench.path("idx");
    fs::create_dir(&idx).unwrap();
    let header = |magic: u32, sizes: &[u32]| {
        [&[magic], sizes].concat().iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<u8>>()
    };
    fs::write(idx.join("train-labels-idx1-ubyte"), [header(0x801, &[12]), vec![0; 12]].concat()).unwrap();
    let data = format!("data.path={}", bench.text("idx"));
    for bytes in [12 * 64 - 1, 12 * 64 + 1] {
        fs::write(idx.join("train-images-idx3-ubyte"), [header(0x803, &[12, 8, 8]), vec![0; bytes]].concat()).unwrap();
        bench.train_refused(&[&data], 3, &["train-images-idx3-ubyte", "784"]);
    }
}

/// What does not fit is refused before the run, with the bytes needed, the bytes there, and what to change.
#[test]
fn plans_that_do_not_fit() {
    let bench = Bench::new(Pictures { train: 240, ..Pictures::default() });
    let memory = ["device.memory=1 MiB", "train.batch=240", "evaluate.batch=8"];
    let message = bench.train_refused(&memory, 5, &["does not fit", "--accumulate N", "smaller batch"]);
    let numbers: Vec<u64> = message.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    let (needed, there) = (numbers[0], message.split(" has ").nth(1).unwrap().split(' ').next().unwrap());
    let there: u64 = there.parse().unwrap();
    assert!(there < 1 << 20 && needed > there, "{message}");
    // The same batch in parts fits.
    let mut run = bench.train("parts", &[&memory[..], &["train.steps=1"]].concat());
    run.extend(["--accumulate".into(), "20".into()]);
    done(&run.iter().map(String::as_str).collect::<Vec<_>>());

    // One tensor of 64 · 8 · 8 · 65536 floats is a GiB; no budget is set, and the adapter's own limit refuses it.
    let wide = ["train.batch=64", "method=baseline", "model.widths=[65536, 4]", "data.resident=stream"];
    bench.train_refused(&wide, 5, &["1073741824 bytes in one binding", "allows", "--accumulate"]);
    // Weights that do not fit are no matter of the batch.
    let heavy = ["train.batch=1", "method=baseline", "model.widths=[65536, 65536]", "train.steps=1"];
    bench.train_refused(&heavy, 5, &["parameters", "in one binding", "model.widths"]);
    let images = ["device.memory=16 KiB", "data.resident=device"];
    bench.train_refused(&images, 5, &["data.resident", "46080 bytes"]);
}

/// A reader of stderr that has gone changes no exit code.
#[cfg(unix)]
#[test]
fn errors_that_nobody_reads() {
    let script = "\"$0\" eval gone.safetensors 2>&1 >/dev/null | true; exit ${PIPESTATUS[0]}";
    for _ in 0..3 {
        let status = Command::new("bash").args(["-c", script, env!("CARGO_BIN_EXE_relabel")]).status().unwrap();
        assert_eq!(status.code(), Some(8));
    }
}

/// Sets at the edge of what makes sense.
#[test]
fn the_smallest_sets() {
    let bench = Bench::new(Pictures::default());
    let one = Pictures { train: 1, test: 1, classes: 1, ..Pictures::default() };
    let data = format!("data.path={}", one.npz(bench.dir.path(), "one.npz").to_str().unwrap());
    bench.trained("one", &[&data, "train.batch=1", "train.steps=2"]);
    let pixels = Pictures { train: 4, test: 3, size: [1, 1], ..Pictures::default() };
    let data = format!("data.path={}", pixels.npz(bench.dir.path(), "pixels.npz").to_str().unwrap());
    bench.trained("pixels", &[&data, "train.batch=4", "train.steps=2"]);
    let path = bench.path("none.npz");
    npz(
        &path,
        zip::CompressionMethod::Stored,
        &[("images", npy("|u1", "(0, 8, 8, 3)", &[])), ("labels", npy("|u1", "(0,)", &[]))],
    );
    let data = format!("data.path={}", path.to_str().unwrap());
    bench.train_refused(&[&data], 3, &["none.npz", "no images"]);
    fs::write(&path, b"").unwrap();
    bench.train_refused(&[&data], 3, &["none.npz", "zip"]);
    fs::create_dir(bench.path("empty")).unwrap();
    let data = format!("data.path={}", bench.text("empty"));
    bench.train_refused(&[&data], 3, &["empty", "holds no data set"]);
}
