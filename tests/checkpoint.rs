//! Checkpoint files: what comes back, what is refused, what survives a full disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use relabel::base::Error;
use relabel::train::checkpoint::{Best, Checkpoint, Meta, NamedTensor, Rotation, TensorData, TensorFile};

fn checkpoint(step: u64) -> Checkpoint {
    let meta = Meta {
        version: "0.1.0".into(),
        config: "method = \"sla\"\n\n[data]\npath = \"é\\\\n\"\n".into(),
        step,
        seed: 9_223_372_036_854_775_807,
        adapter: "llvmpipe".into(),
        best: Some(Best { metric: "single_accuracy".into(), value: 0.1 + 0.2, step: 3 }),
        fingerprint: 0xfedc_ba98_7654_3210,
        classes: vec!["T-shirt/top".into(), "\"quoted\"".into()],
        extra: BTreeMap::from([("sla.views".into(), "4".into())]),
    };
    let tensors = vec![
        NamedTensor { name: "bn1.num_batches_tracked".into(), shape: vec![], data: TensorData::I64(vec![-5]) },
        NamedTensor::f32("conv1.weight", &[2, 1, 3], vec![1.5, -0.0, f32::MIN_POSITIVE / 2.0, 4.0, 5.0, 1e30]),
        NamedTensor::f32("optimizer.momentum_buffer.conv1.weight", &[2, 1, 3], vec![0.0; 6]),
        NamedTensor { name: "labels".into(), shape: vec![2, 2], data: TensorData::U8(vec![1, 2, 3, 255]) },
    ];
    Checkpoint { tensors, meta }
}

#[test]
fn all_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("last.safetensors");
    let written = checkpoint(12);
    written.write(&path).unwrap();
    let read = Checkpoint::read(&path).unwrap();
    assert_eq!(read, written);
    let bits = |c: &Checkpoint| match &c.get("conv1.weight").unwrap().data {
        TensorData::F32(values) => values.iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(bits(&read), bits(&written));
    assert_eq!(
        read.weights().map(|t| t.name.as_str()).collect::<Vec<_>>(),
        ["bn1.num_batches_tracked", "conv1.weight", "labels"]
    );
    assert_eq!(read.get("conv1.weight").unwrap().as_f32(&[2, 1, 3]).unwrap()[0], 1.5);
    let error = read.get("conv1.weight").unwrap().as_f32(&[6]).unwrap_err().to_string();
    assert!(error.contains("conv1.weight") && error.contains("[2, 1, 3]") && error.contains("[6]"), "{error}");
    assert!(read.get("conv2.weight").unwrap_err().to_string().contains("conv2.weight"));
    // The same content gives the same bytes.
    let first = fs::read(&path).unwrap();
    checkpoint(12).write(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), first);
}

/// The reader of the format's own crate takes the file, with aligned tensors.
#[test]
fn the_format_is_safetensors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    checkpoint(1).write(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let weight = read.tensor("conv1.weight").unwrap();
    assert_eq!((weight.dtype(), weight.shape()), (safetensors::Dtype::F32, [2, 1, 3].as_slice()));
    assert_eq!(weight.data()[..4], 1.5f32.to_le_bytes());
    assert_eq!((weight.data().as_ptr() as usize - bytes.as_ptr() as usize) % 4, 0);
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap()["relabel.step"], "1");
    assert_eq!(header.metadata().as_ref().unwrap()["format"], "pt");
}

#[test]
fn tensors_that_cannot_be_written_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    for (tensors, part) in [
        (vec![NamedTensor::f32("a", &[2], vec![1.0; 3])], "3 values"),
        (vec![NamedTensor::f32("a", &[1], vec![1.0]), NamedTensor::f32("a", &[1], vec![1.0])], "two tensors"),
        (vec![NamedTensor::f32("__metadata__", &[1], vec![1.0])], "__metadata__"),
    ] {
        let error = TensorFile { tensors, ..TensorFile::default() }.write(&path).unwrap_err();
        assert!(matches!(error, Error::Checkpoint(_)) && error.to_string().contains(part), "{error}");
        assert!(!path.exists());
    }
}

fn file(header: &str, body: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + body, 7);
    bytes
}

fn refused(path: &Path, bytes: &[u8], parts: &[&str]) {
    fs::write(path, bytes).unwrap();
    let error = TensorFile::read(path).unwrap_err();
    assert!(matches!(error, Error::Checkpoint(_)), "{error:?}");
    let message = error.to_string();
    assert!(message.contains("bad.safetensors"), "{message}");
    for part in parts {
        assert!(message.contains(part), "no {part:?} in {message:?}");
    }
}

#[test]
fn damaged_and_hostile_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.safetensors");
    let bad = |header: &str, body: usize, parts: &[&str]| refused(&path, &file(header, body), parts);
    refused(&path, b"", &["0 bytes", "truncated"]);
    refused(&path, b"abc", &["3 bytes", "truncated"]);
    // Headers longer than the file, up to the largest number: nothing of that size is allocated.
    for claimed in [3, 1 << 20, u64::MAX - 7, u64::MAX] {
        let mut bytes = claimed.to_le_bytes().to_vec();
        bytes.extend_from_slice(b"{}");
        refused(&path, &bytes, &[&claimed.to_string(), "10", "truncated"]);
    }
    bad("{\"a\": ", 0, &["header", "damaged"]);
    bad("[1, 2]", 0, &["header", "damaged"]);
    bad(&"[".repeat(100_000), 0, &["header", "damaged"]);
    let mut text = file("{}  ", 0);
    text[9] = 0xff;
    refused(&path, &text, &["header", "damaged"]);
    let one = |dtype: &str, shape: &str, start: u64, end: u64| {
        format!("{{\"a\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{start},{end}]}}}}")
    };
    bad(&one("F32", "[2]", 0, 8), 7, &["8 bytes of tensors", "7 follow", "truncated"]);
    bad(&one("F32", "[2]", 0, 8), 9, &["8 bytes of tensors", "9 follow"]);
    bad(&one("F32", "[3]", 0, 8), 8, &["do not fit"]);
    bad(&one("F32", "[2]", 4, 12), 12, &["`a`", "gap"]);
    bad(&one("F32", "[2]", 8, 0), 8, &["`a`"]);
    bad(&one("F32", "[4611686018427387904, 4]", 0, 8), 8, &["too large"]);
    bad(&one("F32", "[1152921504606846976]", 0, 4611686018427387904), 8, &["too large"]);
    bad(&one("F32", "[288230376151711744]", 0, 1152921504606846976), 8, &["1152921504606846976", "8 follow"]);
    bad(&one("F32", "[-1]", 0, 8), 8, &["header", "damaged"]);
    bad(&one("F7", "[2]", 0, 8), 8, &["header", "F7"]);
    bad(&one("F16", "[4]", 0, 8), 8, &["`a`", "F16", "F32"]);
    let overlap = "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\
                   \"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}";
    bad(overlap, 6, &["`b`", "overlap"]);
    refused(&path, b"PK\x03\x04\x14\0\x08\x08 a zip archive of torch.save", &["no safetensors file"]);
    let folder = TensorFile::read(dir.path()).unwrap_err();
    assert!(folder.to_string().contains(&dir.path().display().to_string()), "{folder}");
    let missing = TensorFile::read(&dir.path().join("gone.safetensors")).unwrap_err().to_string();
    assert!(missing.contains("gone.safetensors"), "{missing}");
}

/// Every shorter part of a good file is refused, and changed bytes of its header never make the reader panic.
#[test]
fn truncated_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.safetensors");
    checkpoint(1).write(&path).unwrap();
    let good = fs::read(&path).unwrap();
    for length in 0..good.len() {
        fs::write(&path, &good[..length]).unwrap();
        let error = Checkpoint::read(&path).unwrap_err();
        assert!(matches!(error, Error::Checkpoint(_)), "{length}: {error:?}");
    }
    for place in 0..good.len().min(600) {
        let mut bytes = good.clone();
        bytes[place] ^= 0x15;
        fs::write(&path, &bytes).unwrap();
        if let Err(error) = Checkpoint::read(&path) {
            assert!(error.to_string().contains("bad.safetensors"), "{error}");
        }
    }
}

#[test]
fn files_that_are_no_checkpoint_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.safetensors");
    let mut file = TensorFile { tensors: checkpoint(1).tensors, ..TensorFile::default() };
    file.write(&path).unwrap();
    let error = Checkpoint::read(&path).unwrap_err().to_string();
    assert!(error.contains("w.safetensors") && error.contains("weights only"), "{error}");
    checkpoint(1).write(&path).unwrap();
    let good = TensorFile::read(&path).unwrap().metadata;
    for (key, value, part) in [
        ("relabel.format", "2", "reads 1"),
        ("relabel.step", "many", "`relabel.step`"),
        ("relabel.fingerprint", "xyz", "xyz"),
        ("relabel.classes", "[1", "`relabel.classes`"),
        ("relabel.best.value", "high", "`relabel.best.value`"),
    ] {
        file.metadata = good.clone();
        file.metadata.insert(key.into(), value.into());
        file.write(&path).unwrap();
        let error = Checkpoint::read(&path).unwrap_err().to_string();
        assert!(error.contains("w.safetensors") && error.contains(part), "{error}");
    }
}

#[test]
fn the_last_few_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let rotation = Rotation::new(dir.path(), 2).unwrap();
    fs::write(dir.path().join("step-007.safetensors"), b"not ours").unwrap();
    for (step, is_best) in [(100, true), (900, true), (1000, false), (1100, false)] {
        rotation.save(&checkpoint(step), is_best).unwrap();
        assert_eq!(Checkpoint::read(&rotation.last()).unwrap().meta.step, step);
    }
    assert_eq!(rotation.steps().unwrap(), [1000, 1100]);
    assert_eq!(Checkpoint::read(&rotation.best()).unwrap().meta.step, 900);
    assert_eq!(Checkpoint::read(&dir.path().join("step-1000.safetensors")).unwrap().meta.step, 1000);
    // A run that is set back does not lose what it writes to the files of its future.
    rotation.save(&checkpoint(950), false).unwrap();
    assert_eq!(rotation.steps().unwrap(), [950, 1000, 1100]);
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.len(), 6, "{names:?}");
    // Writing a step again replaces its file and both names.
    let mut again = checkpoint(950);
    again.meta.adapter = "another".into();
    rotation.save(&again, true).unwrap();
    assert_eq!(Checkpoint::read(&rotation.best()).unwrap().meta.adapter, "another");
    assert_eq!(Checkpoint::read(&rotation.last()).unwrap().meta.adapter, "another");
    let none = tempfile::tempdir().unwrap();
    let rotation = Rotation::new(none.path(), 0).unwrap();
    rotation.save(&checkpoint(1), true).unwrap();
    rotation.save(&checkpoint(2), false).unwrap();
    assert!(rotation.steps().unwrap().is_empty());
    assert_eq!(Checkpoint::read(&rotation.last()).unwrap().meta.step, 2);
    assert_eq!(Checkpoint::read(&rotation.best()).unwrap().meta.step, 1);
}

/// Run by the test below in a process whose files cannot grow past 128 KiB.
#[cfg(unix)]
#[test]
fn child_with_a_full_disk() {
    let Some(dir) = std::env::var_os("RELABEL_TEST_FULL_DISK") else { return };
    let rotation = Rotation::new(Path::new(&dir), 2).unwrap();
    let mut large = checkpoint(2);
    large.tensors.push(NamedTensor::f32("large", &[1 << 20], vec![1.0; 1 << 20]));
    let error = rotation.save(&large, true).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert_eq!(error.exit_code(), 8);
    eprintln!("refused: {error}");
}

/// A real limit of the system, as a full disk is: the write fails half-way.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let rotation = Rotation::new(dir.path(), 2).unwrap();
    rotation.save(&checkpoint(1), true).unwrap();
    let before = fs::read(rotation.last()).unwrap();
    // Without the signal's default action the system answers the write with an error.
    let script = "trap '' XFSZ; ulimit -f 128; exec \"$0\" --exact checkpoint::child_with_a_full_disk --nocapture";
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env("RELABEL_TEST_FULL_DISK", dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stdout));
    assert!(text.contains("refused: cannot write") && text.contains("step-2.safetensors"), "{text}");
    assert_eq!(fs::read(rotation.last()).unwrap(), before);
    assert_eq!(Checkpoint::read(&rotation.best()).unwrap(), checkpoint(1));
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["best.safetensors", "last.safetensors", "step-1.safetensors"]);
}
