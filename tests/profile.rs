//! Profiles of small steps on the test device: every dispatch is there once, by each clock, and tracing changes nothing.

use std::fs;
use std::path::Path;

use relabel::gpu::timing::Sampling;
use relabel::gpu::trace::{Clock, Trace};
use relabel::gpu::{Engine, readback};
use relabel::graph::Way;
use relabel::kernels::matmul_rows;
use relabel::kernels::product::offered;
use relabel::profile::kernel::{family, find, forms};
use relabel::profile::{Options, Profile, profile, timeline};
use relabel::session::synthetic::Noise;
use relabel::train::Trainer;
use serde_json::Value;

use super::common::unchecked_engine;
use super::small::{Pictures, config_text, done, parsed, refused};

const QUICK: Sampling = Sampling { repeats: 2, seconds: 0.0 };

fn trainer(overrides: &[&str]) -> Trainer {
    let config = parsed(&config_text(Path::new("none")), overrides).unwrap();
    Noise { image: [8, 8, 3], classes: 3 }.trainer(&unchecked_engine(), config).unwrap()
}

fn measured(engine: &Engine, trainer: &mut Trainer, clock: Option<Clock>) -> (Profile, Trace) {
    let options = Options { steps: 2, warm_up: 1, clock, sampling: QUICK };
    profile(engine, trainer, &options).unwrap()
}

#[test]
fn every_dispatch_of_a_step_is_profiled_once_by_every_clock() {
    let engine = unchecked_engine();
    let clocks = [None, Some(Clock::InsidePasses), Some(Clock::PassBoundaries), Some(Clock::Host)];
    for clock in clocks.into_iter().filter(|c| c.is_none_or(|c| c.is_offered(engine.features()))) {
        let mut trainer = trainer(&[]);
        let (profile, trace) = measured(&engine, &mut trainer, clock);
        let nodes: Vec<&str> = profile.dispatches.iter().map(|d| d.node.as_str()).collect();
        let recorded: Vec<&str> = trainer.recording().dispatches.iter().map(|d| d.label.as_str()).collect();
        assert_eq!(nodes, recorded, "{clock:?}");
        assert!(profile.dispatches.iter().all(|d| d.seconds >= 0.0 && d.runs == 1.0 && d.program == "training step"));
        for way in [Way::Forward, Way::Backward, Way::Update] {
            let seconds: f64 = profile.dispatches.iter().filter(|d| d.way == way).map(|d| d.seconds).sum();
            assert!(seconds > 0.0, "{way} took no time by {clock:?}");
        }
        let did: Vec<&str> = profile.host.iter().map(|h| h.what).collect();
        for what in ["sample", "feed", "record", "submit", "wait"] {
            assert!(did.contains(&what), "{what} among {did:?}");
        }
        assert!(profile.floor_seconds > 0.0 && profile.step_seconds > 0.0);
        if profile.timestamps {
            assert!(profile.coverage > 0.0 && profile.coverage < 1.02, "{}", profile.coverage);
        }
        well_formed(&timeline::timeline(&profile, &trace), &profile, trace.seconds);
    }
}

/// What a viewer asks of the trace: complete events with times, no two at once in a lane of the device, all within it.
fn well_formed(timeline: &Value, profile: &Profile, seconds: f64) {
    let back: Value = serde_json::from_str(&timeline.to_string()).unwrap();
    let events = back["traceEvents"].as_array().unwrap();
    let lane = |tid: u64| events.iter().filter(move |e| e["ph"] == "X" && e["tid"] == tid).collect::<Vec<_>>();
    let (host, device) = (lane(1), lane(2));
    assert_eq!(device.len(), profile.dispatches.len());
    assert_eq!(events.len(), host.len() + device.len() + 3, "three names");
    assert!(host.len() >= 5);
    let end = |e: &Value| e["ts"].as_f64().unwrap() + e["dur"].as_f64().unwrap();
    for event in host.iter().chain(&device) {
        assert!(event["ts"].as_f64().unwrap() >= 0.0 && event["dur"].as_f64().unwrap() >= 0.0, "{event}");
    }
    assert!(host.iter().all(|e| end(e) <= 1e6 * seconds + 1.0));
    for pair in device.windows(2) {
        assert!(end(pair[0]) <= pair[1]["ts"].as_f64().unwrap() + 0.01, "{} and {}", pair[0], pair[1]);
    }
    for (event, measured) in device.iter().zip(&profile.dispatches) {
        assert_eq!(event["name"], measured.node);
        assert_eq!(event["args"]["kernel"], measured.kernel);
        assert_eq!(event["args"]["operations"], measured.operations);
        assert!(event["args"]["grid"].as_array().is_some_and(|g| g.len() == 3));
        assert!(event["args"]["shape"].as_str().is_some_and(|s| s.contains('(')));
    }
}

#[test]
fn tracing_changes_no_bit() {
    let engine = unchecked_engine();
    let weights = |traced: bool| {
        let mut trainer = trainer(&[]);
        for _ in 0..2 {
            if traced {
                engine.start_trace(Clock::offered(engine.features())).unwrap();
            }
            trainer.run_unreported(1).unwrap();
            engine.finish_trace().unwrap();
        }
        readback::read_words::<u32>(&engine, &[trainer.network().parameters.flat()]).unwrap().remove(0)
    };
    assert_eq!(weights(true), weights(false));
}

#[test]
fn parts_of_a_step_and_meta_steps_are_programs_of_their_own() {
    let engine = unchecked_engine();
    let (profile, _) = measured(&engine, &mut trainer(&["train.accumulate=3"]), None);
    let runs = |profile: &Profile, program: &str| {
        let mut runs: Vec<f64> = profile.dispatches.iter().filter(|d| d.program == program).map(|d| d.runs).collect();
        runs.dedup();
        runs
    };
    assert_eq!((runs(&profile, "training step"), runs(&profile, "update")), (vec![3.0], vec![1.0]));
    let maxl = ["method=maxl", "maxl.order=steps", "maxl.hierarchy=2", "maxl.head=linear", "maxl.recompute=true"];
    let (profile, _) = measured(&engine, &mut trainer(&maxl), None);
    assert_eq!((runs(&profile, "training step"), runs(&profile, "meta step")), (vec![1.0], vec![1.0]));
    let meta: Vec<_> = profile.dispatches.iter().filter(|d| d.program == "meta step").collect();
    for way in Way::ALL {
        assert!(meta.iter().any(|d| d.way == way), "no dispatch of the meta step is {way}");
    }
    for layer in
        ["conv1", "ahead.conv1", "again.conv1", "generator.conv1", "again.generator.conv1", "ahead.conv1.weight"]
    {
        assert!(meta.iter().any(|d| d.layer == layer), "no dispatch is of {layer}");
    }
}

#[test]
fn forms_of_a_kernel_take_turns() {
    let engine = unchecked_engine();
    let found = forms(&engine, "conv2d", Some("2x5x6x4-8,s2"), QUICK).unwrap();
    assert_eq!(found.timed.iter().filter(|t| t.chosen).count(), 1, "{found:?}");
    assert!(found.timed.iter().filter(|t| t.measured.kernel == "conv2d").count() >= 2, "variants: {found:?}");
    for timed in &found.timed {
        // 3 x 3 pixels of 2 images, 9 taps, 4 by 8 channels, two operations each.
        assert_eq!(timed.measured.operations, 2 * 9 * 9 * 4 * 8 * 2);
        assert!(timed.measured.seconds > 0.0);
    }
    assert!(found.timed.windows(2).all(|w| w[0].measured.seconds <= w[1].measured.seconds));
    for (kernel, shape) in [
        ("matmul", "7x5x9,ta,tb"),
        ("conv2d_input_grad", "2x5x6x4-8"),
        ("conv2d_weight_grad", "2x5x6x4-8,k1"),
        ("sum_rows", "3x4x7"),
        ("relu", "5x6"),
        ("copy", "33"),
        ("softmax", "9x11"),
        ("add_bias", "4x7"),
        ("axpby", "8"),
        ("mul", "2x3x4x5"),
        ("sum_rows", "2x3x4x5,images"),
        ("batch_norm_relu_sums", "2x3x4x5"),
        ("batch_norm_residual_sums", "2x3x4x5"),
        ("batch_norm_merge", "9x5"),
        ("max_pool_grad", "2x7x6x5,k3,s2,p1"),
        ("avg_pool", "2x7x6x5"),
        ("channel_window", "2x7x6x5-8,s2"),
        ("transform_views_transpose", "2x6x6x3,rot_color_perm6"),
        ("cross_entropy_grad", "8x12,v4"),
        ("masked_softmax", "8x12,c5"),
        ("conditional", "8x12"),
        ("top_k", "9x300,n20"),
        ("sinkhorn_pass", "700x131"),
        ("sinkhorn_wide", "700x131"),
        ("sinkhorn_update", "131"),
        ("scatter_rows", "9x20,w50"),
        ("adam", "640"),
        ("gradient_norm", "64x9"),
        ("loss_scale", "1"),
    ] {
        let found = forms(&engine, kernel, Some(shape), QUICK).unwrap_or_else(|e| panic!("{kernel} {shape}: {e}"));
        assert!(found.timed.iter().any(|t| t.measured.kernel == kernel && t.measured.seconds > 0.0), "{kernel}");
    }
    // What was timed is there as the device got it, and the other variants as they are declared.
    let all: usize = family(find("conv2d").unwrap()).iter().map(|k| k.shader.variants.len()).sum();
    assert!(found.builds.len() >= all, "{} of {all}", found.builds.len());
    let cases = find("argmax").unwrap();
    let found = forms(&engine, "argmax", None, QUICK).unwrap();
    assert_eq!(found.timed.len(), (cases.cases)().len() * cases.shader.variants.len());
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let engine = unchecked_engine();
    let refused = |kernel: &str, shape: &str| forms(&engine, kernel, Some(shape), QUICK).unwrap_err().to_string();
    for shape in ["", "32", "2x5x6x4", "2x5x6-8", "2x5x6x4-0", "2x5x6x4-8,q3", "2x5x6x4-8,k", "2x5x6x4-8,", "0x5x6x4-8"]
    {
        let error = refused("conv2d_subgroup", shape);
        assert!(error.contains("32x32x32x16-16,k3,s1,p1"), "{shape}: {error}");
    }
    assert!(refused("conv2d", "1x2x2x4-8,k5,p0").contains("does not fit an image of 2 x 2"));
    assert!(refused("matmul", "4x5").contains("512x512x512") && refused("matmul", "4x5x6,x").contains("MxKxN"));
    let error = refused("crop_taps", "4x5");
    for part in ["test cases are profiled", "max_pool_grad", "16x32x32x64,k2,s2,p0", "MxKxN"] {
        assert!(error.contains(part), "a kernel without shapes tells those that have some: {error}");
    }
    for (kernel, shape, part) in [
        ("max_pool", "1x2x2x4,k5", "does not fit"),
        ("aggregate", "8x6,v4", "4 views"),
        ("count_matches", "9,v0", "none of 0 but a border"),
        ("masked_softmax", "3x4,c5", "5 classes"),
        ("top_candidates", "9x4,n5", "5 of 4 clusters"),
        ("top_k", "2x9,n257", "at most 256"),
        ("channel_window", "1x4x4x8-16,s0", "sSTRIDE"),
        ("sgd", "100", "multiple of 64"),
        ("transform_views", "1x4x6x3,rotation", "4"),
    ] {
        let error = refused(kernel, shape);
        assert!(error.starts_with("--shape") && error.contains(part), "{kernel} {shape}: {error}");
    }
    // A form that has too many workgroups in a row gives way to the others.
    let found = forms(&engine, "matmul", Some("600000x1x1,tb"), QUICK).unwrap();
    let rows = found.left_out.iter().any(|text| text.starts_with("matmul_rows") && text.contains("passes 65535"));
    assert!(!found.timed.is_empty() && (rows || !offered(&engine, (&matmul_rows::SHADER, 0))), "{:?}", found.left_out);
    for (kernel, shape) in [("relu", "1x2x3x4x5"), ("softmax", "7"), ("softmax", "2x3x4"), ("copy", "1048577")] {
        let error = refused(kernel, shape);
        assert!(error.contains("4096x1024; no size above 1048576"), "{kernel} {shape}: {error}");
    }
    assert!(forms(&engine, "nothing", None, QUICK).is_err());
}

#[test]
fn nothing_to_measure_is_refused() {
    let engine = unchecked_engine();
    let options = Options { steps: 0, ..Options::default() };
    assert!(profile(&engine, &mut trainer(&[]), &options).is_err_and(|e| e.to_string().contains("at least one step")));
}

#[test]
fn the_program_writes_tables_files_and_shaders() {
    let dir = tempfile::tempdir().unwrap();
    let data = Pictures::default().npz(dir.path(), "set.npz");
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("run.toml"), config_text(&data)).unwrap();
    let config = path("run.toml");
    let (out, dumped) = (path("out"), path("shaders"));
    let base = ["profile", &config, "--steps", "1", "--warm-up", "1"];
    let kept = path("new/folder/kernel.json");
    done(&["profile", "--kernel", "relu", "--shape", "4x4", "--steps", "1", "--json", &kept]);
    assert!(Path::new(&kept).is_file(), "its folder is made");
    let said = done(&[&base[..], &["--out", &out, "--dump", &dumped, "--capture", "--top", "3"]].concat());
    for part in ["ceilings", "training step: backward", "kernel", "layer", "node", "overhead", "capture: ", " more, "] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let report: Value = serde_json::from_slice(&fs::read(path("out/profile.json")).unwrap()).unwrap();
    let share: f64 = report["kernels"].as_array().unwrap().iter().map(|k| k["share"].as_f64().unwrap()).sum();
    assert!((share - 1.0).abs() < 1e-6, "{share}");
    assert!(report["profile"]["dispatches"][0]["way"] == "forward", "{}", report["profile"]["dispatches"][0]);
    let trace: Value = serde_json::from_slice(&fs::read(path("out/trace.json")).unwrap()).unwrap();
    let dispatches = report["profile"]["dispatches"].as_array().unwrap().len();
    assert!(dispatches > 20 && trace["traceEvents"].as_array().unwrap().len() > dispatches);
    assert!(fs::read_to_string(path("out/roofline.svg")).unwrap().ends_with("</svg>\n"));
    for pipeline in report["kernels"].as_array().unwrap() {
        let name = pipeline["name"].as_str().unwrap();
        let (kernel, variant) = name.strip_suffix(')').and_then(|n| n.split_once(" (")).unwrap_or((name, "plain"));
        for ending in ["wgsl", "spv"] {
            let file = format!("shaders/{kernel}.{}.{ending}", variant.replace(", ", "-").replace([' ', '/'], "-"));
            assert!(Path::new(&path(&file)).is_file(), "{name} {ending}");
        }
    }
    let said = done(&[&base[..], &["--synthetic=12x12x1:4", "--by", "layer", "--clock", "replay"]].concat());
    assert!(said.contains("12x12x1:4") && said.contains("replayed alone") && !said.contains("kernel"), "{said}");
}

#[test]
fn bad_input_is_refused_before_any_work() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let inside = file.join("out").to_str().unwrap().to_owned();
    refused(&["profile", "--step", "demo sla", "--out", &inside], 8, &["making the folder", "out"]);
    refused(&["profile", "--step", "demo sla", "--dump", &inside], 8, &["making the folder", "out"]);
    refused(&["profile", "--step", "nothing"], 2, &["\"nothing\"", "\"resnet32 sla\""]);
    refused(&["profile", "missing.toml"], 8, &["missing.toml"]);
    refused(&["profile", "--step", "demo sla", "--synthetic=9x9"], 2, &["9x9", "32x32x3:10"]);
    refused(&["profile", "--step", "demo sla", "--synthetic=9x9x3:0"], 2, &["the classes", "1048576"]);
    // The advice is what this command knows.
    let folder = dir.path().join("pictures");
    fs::create_dir_all(folder.join("a")).unwrap();
    fs::write(folder.join("a").join("empty.png"), "").unwrap();
    fs::write(dir.path().join("run.toml"), config_text(&folder)).unwrap();
    let config = dir.path().join("run.toml").to_str().unwrap().to_owned();
    let ways = ["--set data.path=PATH", "--synthetic"];
    refused(&["profile", &config], 3, &[&["empty.png", "by --set data.skip_bad=true"], &ways[..]].concat());
    let gone = ["profile", &config, "--set", "data.path=nopics"];
    refused(&gone, 3, &[&["nopics does not exist"], &ways[..]].concat());
    refused(&["profile"], 2, &["--step", "--kernel"]);
    for ignored in
        [["--svg", "x.svg"], ["--out", "x"], ["--set", "train.batch=3"], ["--warm-up", "5"], ["--by", "layer"]]
    {
        refused(&[&["profile", "--kernel", "relu"], &ignored[..]].concat(), 2, &["cannot be used with", ignored[0]]);
    }
    refused(&["profile", "--kernel", "relu", "--variants", "profile"], 8, &["taken for a file"]);
    refused(&["profile", "--kernel", "top_k", "--shape", "3x5,n0"], 2, &["--shape 3x5,n0", "ROWSxCOLUMNS[,nBEST]"]);
    let views = ["profile", "--kernel", "transform_views", "--shape", "1x5x7x3,rotation"];
    refused(&views, 2, &["--shape 1x5x7x3,rotation of `transform_views`", "not square"]);
    let twice = ["profile", "--step", "demo sla", "--json", "same.x", "--svg", "same.x"];
    refused(&twice, 2, &["same.x is named for two of the results"]);
    let many = "--synthetic=32x32x3:200000";
    refused(&["profile", "--step", "demo sla", "--rows", "4", many], 5, &["parameters", "fewer classes"]);
    refused(&["profile", "--kernel", "conv"], 2, &["no kernel `conv`", "softmax"]);
    refused(&["profile", "--kernel", "conv2d", "--shape", "3x3"], 2, &["--shape 3x3", "32x32x32x16-16"]);
    for (file, folder) in [("--json", "file/p.json"), ("--svg", "file/p.svg"), ("--trace", "")] {
        let path = dir.path().join(folder).to_str().unwrap().to_owned();
        let why = if folder.is_empty() { "it is a folder" } else { "there is a file of this name" };
        refused(&["profile", "--step", "demo sla", file, &path], 8, &[why]);
    }
    let file = file.to_str().unwrap();
    refused(&["profile", "--kernel", "relu", "--dump", file], 8, &["making the folder", "a file of this name"]);
}
