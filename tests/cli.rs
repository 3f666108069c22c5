//! The program, run as a user runs it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use relabel::base::Error;
use relabel::train::checkpoint::Checkpoint;

use super::small::{self, Pictures, config_text};

fn relabel(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_relabel")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs what must succeed; its output, with nothing on stderr.
fn done(arguments: &[&str]) -> String {
    let output = relabel(arguments);
    let errors = text(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{arguments:?}: {errors}");
    text(&output.stdout)
}

/// Runs what must fail with `code` and one error on stderr that has all of `parts`.
fn refused(arguments: &[&str], code: i32, parts: &[&str]) {
    let output = relabel(arguments);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    assert!(errors.starts_with("error: ") && errors.matches("error:").count() == 1, "{errors}");
    for part in parts {
        assert!(errors.contains(part), "no {part:?} in {errors:?}");
    }
}

fn config(dir: &Path, content: &str) -> String {
    let path = dir.join("run.toml");
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_string()
}

#[test]
fn configs_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let file = |content: &str| config(dir.path(), content);
    refused(&["config", &file("[train]\nbach = 3")], 2, &["run.toml", "`train.bach`", "did you mean `train.batch`?"]);
    refused(&["config", &file("[train]\nbatch = \"x\"")], 2, &["`train.batch`", "\"x\"", "whole number"]);
    refused(&["config", &file("[device]\nmemory = \"4 gigs\"")], 2, &["`device.memory`", "\"4 gigs\"", "GiB"]);
    refused(&["config", &file("[optimizer]\nmomentum = 2.0")], 2, &["`optimizer.momentum` is 2", "below 1"]);
    refused(&["config", &file("[train")], 2, &["run.toml", "not valid TOML"]);
    refused(&["config", &file(""), "--set", "train.batch=0"], 2, &["--set train.batch=0", "is 0"]);
    refused(&["config", dir.path().join("gone.toml").to_str().unwrap()], 8, &["gone.toml"]);
    let printed = done(&["--adapter", "cpu", "config", &file("[train]\nbatch = 64"), "--set", "train.epochs=3"]);
    for line in ["batch = 64", "epochs = 3", "steps = 0", "adapter = \"cpu\"", "method = \"sla\"", "[schedule]"] {
        assert!(printed.lines().any(|l| l == line), "no {line:?} in {printed}");
    }
    // What is printed is a config again.
    assert_eq!(done(&["config", &file(&printed)]), printed);
}

#[test]
fn help_names_commands_and_exit_codes() {
    let help = done(&["--help"]);
    for part in ["adapters", "config", "data", "completions", "--adapter", "Exit codes:", "130  stopped by Ctrl-C"] {
        assert!(help.contains(part), "no {part:?} in {help}");
    }
    assert!(done(&["data", "inspect", "--help"]).contains("--skip-bad"));
    assert_eq!(done(&["--version"]), format!("relabel {}\n", env!("CARGO_PKG_VERSION")));
    refused(&["adaptors"], 2, &["adaptors", "adapters"]);
    refused(&["data", "inspect"], 2, &["PATH"]);
    assert_eq!(relabel(&[]).status.code(), Some(2));
}

/// Every error's code stands in the help's tail and in the guide, and neither has others.
#[test]
fn exit_codes_are_documented() {
    let errors = [
        Error::Failed(String::new()),
        Error::Config(String::new()),
        Error::Data(String::new()),
        Error::Device(String::new()),
        Error::Memory(String::new()),
        Error::Checkpoint(String::new()),
        Error::Shape(String::new()),
        Error::Diverged(String::new()),
        Error::Interrupted(String::new()),
        Error::io("", Path::new(""), std::io::Error::other("")),
    ];
    let mut codes: Vec<u8> = errors.iter().map(Error::exit_code).chain([0]).collect();
    codes.sort_unstable();
    let help = done(&["--help"]);
    let (_, tail) = help.split_once("Exit codes:").unwrap();
    let listed = |lines: &str, number: fn(&str) -> Option<u8>| lines.lines().filter_map(number).collect::<Vec<u8>>();
    assert_eq!(listed(tail, |line| line.split_whitespace().next()?.parse().ok()), codes);
    let guide = include_str!("../docs/guide/exit-codes.md");
    assert_eq!(listed(guide, |line| line.strip_prefix("| `")?.split('`').next()?.parse().ok()), codes);
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = done(&["completions", shell]);
        assert!(script.contains("relabel") && script.contains("adapters") && script.contains("inspect"), "{shell}");
    }
    refused(&["completions", "tcsh"], 2, &["tcsh", "bash"]);
}

#[test]
fn adapters_are_listed() {
    let json: serde_json::Value = serde_json::from_str(&done(&["adapters", "--json"])).unwrap();
    let adapters = json.as_array().unwrap();
    assert_eq!(adapters.iter().filter(|a| a["auto"] == true).count(), 1);
    let plain = done(&["adapters"]);
    for (index, adapter) in adapters.iter().enumerate() {
        assert_eq!(adapter["index"], index);
        // WebGPU's own least limits.
        assert!(adapter["max_binding_bytes"].as_u64().unwrap() >= 128 << 20);
        assert!(adapter["storage_buffers"].as_u64().unwrap() >= 8);
        assert!(adapter["workgroup_memory_bytes"].as_u64().unwrap() >= 16 << 10);
        assert!(plain.contains(&format!("{index}: {}", adapter["name"].as_str().unwrap())), "{plain}");
    }
}

/// A machine without any driver: the loader is told of none.
#[cfg(target_os = "linux")]
#[test]
fn no_adapter_is_an_error_with_a_way_out() {
    let nowhere = "/nonexistent.json";
    let output = Command::new(env!("CARGO_BIN_EXE_relabel"))
        .arg("adapters")
        .envs([("VK_DRIVER_FILES", nowhere), ("VK_ICD_FILENAMES", nowhere)])
        .output()
        .unwrap();
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{errors}");
    assert!(errors.starts_with("error: no adapter") && errors.contains("mesa-vulkan-drivers"), "{errors}");
}

/// An IDX pair with `count` images of 2x3 pixels and the labels 0, 1, 2, 0, ...
fn idx(dir: &Path, stem: &str, count: u32) {
    let images: Vec<u8> = [0x803, count, 2, 3]
        .iter()
        .flat_map(|n| n.to_be_bytes())
        .chain((0..count * 6).map(|i| (i % 251) as u8))
        .collect();
    let labels: Vec<u8> =
        [0x801, count].iter().flat_map(|n| n.to_be_bytes()).chain((0..count).map(|i| (i % 3) as u8)).collect();
    fs::write(dir.join(format!("{stem}-images-idx3-ubyte")), images).unwrap();
    fs::write(dir.join(format!("{stem}-labels-idx1-ubyte")), labels).unwrap();
}

/// The first column of a sheet is what evaluation sees: here the stored image, each pixel eight times eight. The others
/// are drawn for training: of other colours.
#[test]
fn a_sheet_shows_what_the_network_sees() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = Pictures::default();
    let data = pictures.npz(dir.path(), "set.npz");
    let sheet = dir.path().join("sheet.png");
    let [data, sheet_text] = [&data, &sheet].map(|p| p.to_str().unwrap());
    let jitter = ["--set", "augment.brightness=0.5", "--set", "augment.crop=random_resized"];
    let inspect = ["--adapter", "cpu", "data", "inspect", data, "--sheet", sheet_text];
    assert!(done(&[&inspect[..], &jitter].concat()).contains("sheet.png: a row an image"));
    let found = image::open(&sheet).unwrap().to_rgb8();
    assert_eq!(found.dimensions(), (9 * 66 + 2, 8 * 66 + 2));
    let (_, second) = pictures.image(60 / 8);
    let mut differ = 0;
    for (i, pixel) in second.chunks(3).enumerate() {
        let (x, y) = (2 + 8 * (i as u32 % 8), 2 + 66 + 8 * (i as u32 / 8));
        assert_eq!(found.get_pixel(x, y).0, pixel);
        assert_eq!(found.get_pixel(x + 7, y + 7).0, pixel);
        differ += usize::from(found.get_pixel(x + 66, y).0 != *pixel);
    }
    assert!(differ > 32, "{differ} of 64 pixels of a drawn image differ");
    let refusal = [&inspect[..], &["--set", "augment.crop_size=9"]].concat();
    refused(&refusal, 2, &["`augment.crop_size` is 9"]);
}

#[test]
fn data_is_inspected() {
    let dir = tempfile::tempdir().unwrap();
    idx(dir.path(), "train", 12);
    idx(dir.path(), "t10k", 6);
    let path = dir.path().to_str().unwrap();
    let json: serde_json::Value = serde_json::from_str(&done(&["data", "inspect", path, "--json"])).unwrap();
    assert_eq!(json["format"], "idx");
    let train = &json["splits"][0];
    assert_eq!((&train["split"], &train["images"]), (&"training".into(), &12.into()));
    assert_eq!((&train["height"], &train["width"], &train["channels"]), (&2.into(), &3.into(), &1.into()));
    assert_eq!(train["classes"][2]["images"], 4);
    // The pixels are 0 to 71: their mean is 35.5.
    assert!((train["mean"][0].as_f64().unwrap() - 35.5 / 255.0).abs() < 1e-12);
    assert_eq!(json["splits"][1]["images"], 6);
    let plain = done(&["data", "inspect", path]);
    for part in ["training: 12 images of 2x3x1", "test: 6 images", "3, 4 images each", "(idx)"] {
        assert!(plain.contains(part), "no {part:?} in {plain}");
    }
    // As a config, or a setting, would have it.
    let (config, groups) = (dir.path().join("two.toml"), "groups = [[0, 2], [1]]\ngroup_names = [\"even\", \"odd\"]");
    fs::write(&config, format!("[data]\n{groups}\n")).unwrap();
    for given in [&["--config", config.to_str().unwrap()], &["--set", "data.groups=[[0, 2], [1]]"]] {
        let json = done(&[&["data", "inspect", path, "--json"], &given[..]].concat());
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let classes = &json["splits"][0]["classes"];
        assert_eq!([&classes[0]["images"], &classes[1]["images"]], [8, 4], "{given:?}: {classes}");
    }
    refused(&["data", "inspect", path, "--set", "data.groups=[[0, 1]]"], 2, &["at least two groups"]);
    let file = dir.path().join("train-images-idx3-ubyte");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..80]).unwrap();
    refused(&["data", "inspect", path], 3, &["train-images-idx3-ubyte", "88", "80"]);
    refused(&["data", "inspect", path, "--format", "hdf5"], 2, &["hdf5", "cifar10"]);
    refused(&["data", "inspect", dir.path().join("gone").to_str().unwrap()], 3, &["gone", "does not exist"]);
}

/// A reader that stops reading is no error.
#[cfg(unix)]
#[test]
fn output_into_a_closed_pipe() {
    let script = "{ \"$0\" completions bash; echo $? >&2; } | true";
    let output = Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_relabel")]).output().unwrap();
    assert_eq!(text(&output.stderr), "0\n");
}

/// Run by the test below in a process of its own.
#[cfg(unix)]
#[test]
fn child_that_is_interrupted() {
    if std::env::var_os("RELABEL_TEST_INTERRUPT").is_none() {
        return;
    }
    let interrupt = relabel::cli::install_interrupt().unwrap();
    assert!(!interrupt.asked());
    println!("ready");
    while !interrupt.asked() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    println!("asked");
    // Work that does not end by itself; only the second signal ends it.
    std::thread::sleep(std::time::Duration::from_secs(60));
}

/// A command that signals reach. A parent that ignores them (a script does for its background jobs) hands that on, and
/// relabel respects it.
#[cfg(unix)]
fn interruptible(program: &Path) -> Command {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix("SigIgn:")).unwrap_or("0");
    // Bits of SIGHUP, SIGINT and SIGTERM.
    if u64::from_str_radix(mask.trim(), 16).unwrap() & 0x4003 == 0 {
        return Command::new(program);
    }
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP,INT,TERM").arg(program);
    command
}

#[cfg(unix)]
#[test]
fn the_second_interrupt_ends_the_process() {
    use std::io::{BufRead, BufReader};
    let mut child = interruptible(&std::env::current_exe().unwrap())
        .args(["--exact", "cli::child_that_is_interrupted", "--nocapture"])
        .env("RELABEL_TEST_INTERRUPT", "1")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for word in ["ready", "asked"] {
        assert!(lines.any(|line| line.unwrap().ends_with(word)), "no {word:?}");
        let kill = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
        assert!(kill.success());
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(text(&output.stderr).matches("once more to end at once").count(), 1);
}

/// Ctrl-C during training: a checkpoint, exit code 130, the way to go on; and it does go on.
#[cfg(unix)]
#[test]
fn an_interrupted_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let data = small::Pictures::default().npz(dir.path(), "set.npz");
    fs::write(dir.path().join("run.toml"), small::config_text(&data)).unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let arguments = ["train", &path("run.toml"), "--run", &path("run"), "--set", "train.steps=1000000"];
    let more = ["--set", "evaluate.every=0", "--set", "method=baseline"];
    let mut command = interruptible(Path::new(env!("CARGO_BIN_EXE_relabel")));
    command.args(small::program(&[&arguments[..], &more].concat()).get_args());
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let metrics = dir.path().join("run/metrics.jsonl");
    while !fs::metadata(&metrics).is_ok_and(|m| m.len() > 0) {
        assert!(child.try_wait().unwrap().is_none(), "the run ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("\nstopped: ") && said.contains("relabel train --resume"), "{said}");
    let last = Checkpoint::read(&dir.path().join("run/last.safetensors")).unwrap();
    let step = last.meta.step;
    assert!(step >= 3 && said.contains(&format!("{step} of 1000000 steps are done")), "{said}");
    let until = (step + 2).to_string();
    small::done(&["train", "--resume", &path("run"), "--max-steps", &until]);
    let later = Checkpoint::read(&dir.path().join("run/last.safetensors")).unwrap();
    assert_eq!(later.meta.step, step + 2);
    assert_ne!(later.get("conv1.weight").unwrap(), last.get("conv1.weight").unwrap());
    let steps: Vec<u64> = fs::read_to_string(&metrics)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["step"].as_u64().unwrap())
        .collect();
    assert!(steps.windows(2).all(|w| w[0] < w[1]), "{steps:?}");
}

/// With validation images, the run ends with the best checkpoint on the test images, and that is its result.
#[test]
fn the_best_checkpoint_is_tested_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let data = Pictures::default().npz(dir.path(), "pictures.npz");
    let file = config(dir.path(), &config_text(&data));
    let run = dir.path().join("run");
    let run = run.to_str().unwrap();
    small::done(&["train", &file, "--run", run, "--set", "data.validation=12", "--set", "evaluate.every=2"]);
    let read = |name: &str| std::fs::read_to_string(dir.path().join("run").join(name)).unwrap();
    let result: serde_json::Value = serde_json::from_str(&read("result.json")).unwrap();
    let best = format!("{run}/best.safetensors");
    let evaluated: serde_json::Value = serde_json::from_str(&small::done(&["eval", &best, "--json"])).unwrap();
    assert_eq!(result["metrics"]["aggregated_loss"], evaluated["metrics"]["aggregated_loss"]);
    assert_eq!(evaluated["images"], 29);
    let last = read("metrics.jsonl").lines().last().unwrap().to_owned();
    assert!(last.contains("\"split\":\"test\"") && read("metrics.jsonl").contains("\"validation\""), "{last}");
}
