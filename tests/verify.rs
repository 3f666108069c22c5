//! `relabel verify`: every bundled golden file passes, a wrong one does not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use relabel::kernels::{adam, choose};
use relabel::train::checkpoint::{TensorData, TensorFile};
use relabel::verify::{KINDS, verify};

use super::common::engine;
use super::small::{done, is_refusal, program, refused};

fn golden() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/golden");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

fn named(stem: &str) -> PathBuf {
    golden().into_iter().find(|p| p.file_stem().is_some_and(|s| s == stem)).unwrap()
}

#[test]
fn every_bundled_file_passes() {
    let mut kinds = BTreeSet::new();
    let files = golden();
    assert!(files.len() >= 10);
    for file in files {
        let verdict = verify(&engine(), &file).unwrap().unwrap_or_else(|| panic!("{} is of no kind", file.display()));
        assert!(verdict.passed, "{verdict:?}");
        // An error of exactly zero over a network would mean that nothing was compared.
        assert!(verdict.kind == "transform" || verdict.error > 0.0, "{verdict:?}");
        kinds.insert(verdict.kind);
    }
    assert_eq!(kinds, KINDS.iter().map(ToString::to_string).collect());
}

/// A copy of a golden file in which the largest value of the answer `tensor` is 1 % off, or whose kind is another.
fn changed(from: &Path, to: &Path, tensor: Option<&str>, kind: Option<&str>) {
    let mut file = TensorFile::read(from).unwrap();
    if let Some(name) = tensor {
        let answer = file.tensors.iter_mut().find(|t| t.name == name).unwrap_or_else(|| panic!("no {name}"));
        let largest = |values: &mut dyn Iterator<Item = f64>| {
            values.enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).unwrap().0
        };
        match &mut answer.data {
            TensorData::F64(v) => {
                let at = largest(&mut v.iter().copied());
                v[at] *= 1.01;
            }
            TensorData::F32(v) => {
                let at = largest(&mut v.iter().map(|x| f64::from(*x)));
                v[at] *= 1.01;
            }
            // Another class: one percent of an index is none.
            TensorData::I32(v) => v[0] += 1,
            other => panic!("{name} is {}", other.dtype()),
        }
    }
    if let Some(kind) = kind {
        file.metadata.insert("kind".into(), kind.into());
    }
    file.write(to).unwrap();
}

#[test]
fn an_answer_one_percent_off_fails() {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy.safetensors");
    for stem in [
        "sla_rotation",
        "multitask_color",
        "transform_rotation",
        "tangent_small",
        "resnet_identity",
        "metrics_small",
        "sinkhorn_mild",
        "maxl_loss_uneven",
        "maxl_small",
    ] {
        let original = named(stem);
        let file = TensorFile::read(&original).unwrap();
        let answers: Vec<&str> =
            file.tensors.iter().map(|t| t.name.as_str()).filter(|n| n.starts_with("out.")).collect();
        // Networks take long: the last of their answers stands for all.
        let some = if ["resnet_identity", "maxl_small"].contains(&stem) {
            &answers[answers.len() - 1..]
        } else {
            &answers[..]
        };
        assert!(!some.is_empty(), "{stem}");
        for name in some {
            changed(&original, &copy, Some(name), None);
            let verdict = verify(&engine(), &copy).unwrap().unwrap();
            let tensor = name.strip_prefix("out.").unwrap();
            assert!(!verdict.passed && verdict.tensor == tensor, "{stem} {name}: {verdict:?}");
        }
    }
}

#[test]
fn the_command_says_pass_fail_and_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (wrong, unknown, broken, empty) =
        (path("wrong.safetensors"), path("unknown.safetensors"), path("b.safetensors"), path("empty"));
    let good = named("sla_identity");
    let tensor =
        TensorFile::read(&good).unwrap().tensors.iter().find(|t| t.name.starts_with("out.")).unwrap().name.clone();
    changed(&good, Path::new(&wrong), Some(&tensor), None);
    changed(&good, Path::new(&unknown), None, Some("another_method"));
    let bytes = std::fs::read(&good).unwrap();
    std::fs::write(&broken, &bytes[..bytes.len() - 5]).unwrap();
    std::fs::create_dir(&empty).unwrap();
    let good = good.to_str().unwrap();

    let text = done(&["verify", good, &unknown]);
    assert!(text.contains("sla_loss") && text.contains("pass") && text.contains("skipped"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&done(&["verify", good, "--json"])).unwrap();
    let file = &json["files"][0];
    assert_eq!((&file["kind"], &file["passed"]), (&"sla_loss".into(), &true.into()));
    let output = program(&["verify", good, &broken, "--json"]).output().unwrap();
    is_refusal(&output, 1, &["not a safetensors file", "1 of 2 files failed"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (json["files"].as_array().map(Vec::len), &json["unreadable"][0]["file"]),
        (Some(1), &broken.as_str().into())
    );
    // Forms that no case takes are told, whatever kernel they are of; built-in ones that a file leaves as they are are not.
    let forms = dir.path().join("forms.json");
    let own = choose::built_in(&engine()).kernels;
    let [taken, other] = [true, false].map(|same| {
        let index = |i: &usize| (*i == own.get("adam").copied().unwrap_or(0)) == same;
        adam::SHADER.variants[(0..adam::SHADER.variants.len()).find(index).unwrap()].name
    });
    let text = format!(r#"{{"format": 1, "kernels": {{"max_pool": "{taken}", "adam": "{other}"}}}}"#);
    std::fs::write(&forms, text).unwrap();
    let text = done(&["verify", good, "--variants", forms.to_str().unwrap()]);
    assert!(text.ends_with(&format!("not run, as no case takes them (1): adam ({other})\n")), "{text}");
    std::fs::write(&forms, r#"{"format": 1, "classes": {"matmul 16x16x16": {"kernel": "matmul", "form": "64 nn"}}}"#)
        .unwrap();
    let text = done(&["verify", good, "--variants", forms.to_str().unwrap()]);
    assert!(text.contains("matmul (64 nn), for matmul 16x16x16") && !text.contains("adam"), "{text}");

    let output = program(&["verify", good, &wrong, &broken]).output().unwrap();
    is_refusal(&output, 1, &["2 of 3 files failed"]);
    let text = super::small::text(&output.stdout);
    let fails: Vec<&str> = text.lines().filter(|l| l.contains("FAIL")).collect();
    assert!(fails.len() == 2 && fails[0].contains("wrong") && fails[1].contains("not a safetensors file"), "{text}");
    assert!(fails[0].contains(tensor.strip_prefix("out.").unwrap()), "{text}");

    refused(&["verify", &unknown], 1, &["no file could be verified"]);
    refused(&["verify", &empty], 3, &["empty", "no .safetensors file"]);
    refused(&["verify", &path("gone.safetensors")], 1, &["1 of 1 files failed"]);
    // Without arguments it looks for the bundled files, which only the source tree has.
    let output = Command::new(env!("CARGO_BIN_EXE_relabel")).arg("verify").current_dir(dir.path()).output().unwrap();
    is_refusal(&output, 2, &["no golden files are given", "assets/golden"]);
}
