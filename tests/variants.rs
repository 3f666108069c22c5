//! Forms of kernels: all pass the golden networks, wrong and slow ones are not taken, files of them, equal bits.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use relabel::base::compare::Tolerance;
use relabel::base::{Array, DType, Shape};
use relabel::gpu::variants::{Asked, Chooser, Trial};
use relabel::gpu::{Engine, Factors, Program, Recording, Shader, Variants, readback};
use relabel::kernels::ceilings::noise;
use relabel::kernels::product::{FORMS, Product, offered};
use relabel::kernels::tune::{Candidate, Listener, Measured, Tuner, compete, measure};
use relabel::kernels::{
    choose, conv2d_winograd, conv2d_winograd_array, copy, matmul, matmul_coop, matmul_tiled, relu, trial,
};
use relabel::session;
use relabel::session::variants::{Chosen, VariantFile, Wish, keep};
use relabel::train::checkpoint::Checkpoint;
use relabel::train::events::Sink;
use relabel::verify::verify;

use super::common::{engine, own_engine, unchecked_engine};
use super::small::{Pictures, config, config_text, done, program, refused, text};

/// Form `i` of every product, where the adapter offers it and no factor is rounded, and nothing else named.
fn forced(engine: &Engine, i: usize) -> Variants {
    let forms =
        FORMS.iter().filter_map(|(_, forms)| forms.get(i).filter(|form| offered(engine, **form) && !form.0.rounds()));
    Variants { kernels: forms.map(|&(shader, variant)| (shader.name, variant)).collect(), ..Variants::default() }
}

#[test]
fn golden_networks_pass_with_every_form() {
    let engine = own_engine();
    let most = FORMS.iter().map(|(_, forms)| forms.len()).max().unwrap();
    let mut errors = BTreeMap::new();
    // Each form alone, and what an adapter takes without measuring.
    for variants in (0..most).map(|i| forced(&engine, i)).chain([choose::built_in(&engine)]) {
        if variants.kernels.is_empty() {
            continue;
        }
        engine.set_variants(variants.clone());
        for stem in ["resnet_identity", "maxl_small", "tangent_small", "maxl_deeper"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("assets/golden/{stem}.safetensors"));
            let verdict = verify(&engine, &path).unwrap().unwrap();
            assert!(verdict.passed, "{variants:?}: {verdict:?}");
            errors.entry(stem).or_insert_with(Vec::new).push(verdict.error);
        }
    }
    // Other forms add in another order: equal errors would mean that one form ran under all names.
    let networks = errors["resnet_identity"].clone();
    assert!(networks.len() < 2 || networks.iter().any(|e| *e != networks[0]), "{errors:?}");
}

/// `relu` in place of a copy is wrong for negative values and no slower; half a copy leaves words unwritten.
#[test]
fn a_form_with_another_answer_is_never_taken() {
    let engine = unchecked_engine();
    // So long that twenty times of it is nothing that other tests can hide.
    let [x, y] = [[8192, 64], [8192, 64]].map(|sizes| noise(&engine, &sizes).unwrap());
    let candidate = |name, record: &dyn Fn(&mut Recording)| {
        let mut recording = Recording::new();
        record(&mut recording);
        Candidate { form: (name, 0), recording }
    };
    let half = |t: &relabel::gpu::Tensor| relabel::gpu::Tensor { shape: Shape::new(&[4096, 64]), ..t.clone() };
    let candidates = [
        candidate("slow", &|r| (0..20).for_each(|_| copy::record(r, &x, &y).unwrap())),
        candidate("wrong", &|r| relu::record(r, &x, &y).unwrap()),
        candidate("half", &|r| copy::record(r, &half(&x), &half(&y)).unwrap()),
        candidate("fast", &|r| copy::record(r, &x, &y).unwrap()),
    ];
    let tolerance = Tolerance::largest(1e-6);
    let found = compete(&engine, &y, &candidates, 0, tolerance, f64::INFINITY).unwrap().unwrap();
    assert_eq!(found.taken.0, "fast");
    let struck: Vec<&str> = found.trials.iter().filter(|(_, o)| o.is_err()).map(|(form, _)| form.0).collect();
    assert_eq!(struck, ["wrong", "half"], "{found:?}");
    assert!(found.trials[1].1.as_ref().unwrap_err().contains("another answer"), "{found:?}");
    // With the time up, none is taken.
    assert!(compete(&engine, &y, &candidates, 0, tolerance, -1.0).unwrap().is_none());
}

/// What a software adapter takes before anything was measured, and what a GPU does, is right here; matrix units are tried where
/// there are any.
#[test]
fn forms_that_nobody_measured_stand_their_trial() {
    let engine = unchecked_engine();
    let forms = choose::for_gpus(&engine);
    // By bands too, but on Metal.
    let on_matrices = if engine.info().backend == wgpu::Backend::Metal { 4 } else { 8 };
    assert_eq!(forms.len(), 4 + engine.cooperative().map_or(0, |_| on_matrices));
    let own = choose::tried(&engine);
    assert!(own.iter().any(|(shader, _)| shader.name == "sinkhorn_pass_subgroup"), "{own:?}");
    let failed = trial::failures(&engine, &[own, forms].concat());
    assert!(failed.is_empty(), "{failed:?}");
    // Nothing is taken untried.
    let [(name, why)] = &trial::failures(&engine, &[(&relu::SHADER, 0)])[..] else { panic!("one fails") };
    assert!(*name == "relu" && why.to_string().contains("gave way"), "{why}");
}

#[test]
fn products_are_measured_and_all_forms_agree() {
    // Its own: other tests take memory of a shared one meanwhile.
    let engine = own_engine();
    let single = ["conv2d 4x16x16x8-16,k3,s1,p1", "conv2d_input_grad 4x9x9x8-16,k3,s2,p1", "matmul 64x256x16,ta"];
    let half = engine.features().contains(wgpu::Features::SHADER_F16);
    let ways = Factors::ALL.into_iter().filter(|&factors| half || factors != Factors::Half);
    for (class, factors) in ways.flat_map(|factors| single.map(|class| (class, factors))) {
        let before = engine.allocated();
        let product = Product::of_class(class).unwrap();
        let known = Variants { factors, ..Variants::default() };
        let found = engine.passing(|| measure(&engine, &product, &known, 1e9)).unwrap().unwrap();
        assert!(found.trials.iter().all(|(_, outcome)| outcome.as_ref().is_ok_and(|s| *s > 0.0)), "{found:?}");
        let names: Vec<&str> = found.trials.iter().map(|(form, _)| form.0).collect();
        assert_eq!(names[0], product.plain().name);
        // Where a form keeps its sums in an array, those that it beats are left out.
        let fits = |shader| class.contains("k3,s1") && offered(&engine, (shader, 0));
        let array = fits(&conv2d_winograd_array::SHADER);
        assert_eq!(names.contains(&"conv2d_winograd_array"), array, "{names:?}");
        assert_eq!(names.contains(&"conv2d_winograd"), fits(&conv2d_winograd::SHADER) && !array, "{names:?}");
        assert_eq!(engine.allocated(), before, "the tensors are gone");
    }
}

#[derive(Debug)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Listener for Heard {
    fn begins(&self, budget: Duration) {
        self.0.lock().unwrap().push(format!("begins, {} s", budget.as_secs()));
    }

    fn measured(&self, _: &Engine, class: &str, measured: &Measured) {
        assert!(!measured.trials.is_empty());
        self.0.lock().unwrap().push(class.to_owned());
    }
}

#[test]
fn the_budget_holds_and_little_work_is_left_alone() {
    let engine = own_engine();
    let asked: Asked = [
        ("matmul 64x64x64".to_owned(), 1 << 27),
        ("matmul 128x128x128".to_owned(), 1 << 28),
        ("matmul 16x16x16".to_owned(), 1),
    ]
    .into();
    let variants = |budget| {
        let tuner = Tuner::new(budget, None);
        (tuner.choose(&engine, &asked, &Variants::default()).unwrap(), tuner.report())
    };
    let (none, report) = variants(Duration::ZERO);
    assert!(none.classes.is_empty() && report.measured.is_empty() && report.left_out.len() == 2, "{report:?}");
    let (none, report) = variants(Duration::from_nanos(1));
    assert!(none.classes.is_empty() && report.left_out.values().all(|why| why.contains("time was up")), "{report:?}");
    // Without a limit all are measured but the third, which is too little work.
    let (one, report) = variants(Duration::from_secs(3600));
    assert_eq!(one.classes.len(), 2, "{report:?}");
    let tuner = Tuner::new(Duration::from_secs(3600), None);
    tuner.choose(&engine, &[("matmul 64x64x64".to_owned(), 1 << 20)].into(), &Variants::default()).unwrap();
    assert!(tuner.report().measured.is_empty(), "a step of so little work is not worth it");
    // Who listens hears of the beginning once, and of each class when it is measured, those with the most work first.
    let heard = Arc::new(Mutex::new(Vec::new()));
    let tuner = Tuner::new(Duration::from_secs(3600), Some(Box::new(Heard(Arc::clone(&heard)))));
    tuner.choose(&engine, &asked, &Variants::default()).unwrap();
    tuner.choose(&engine, &[("matmul 32x256x256".to_owned(), 1 << 27)].into(), &Variants::default()).unwrap();
    let classes = ["matmul 128x128x128", "matmul 64x64x64", "matmul 32x256x256"];
    assert_eq!(*heard.lock().unwrap(), [&["begins, 3600 s"][..], &classes].concat());
    // What is known is not measured again.
    let tuner = Tuner::new(Duration::from_secs(3600), None);
    assert_eq!(tuner.choose(&engine, &asked, &one).unwrap(), one);
    assert!(tuner.report().measured.is_empty());
}

/// Whoever ends the program while it measures keeps what was measured by then.
#[test]
fn what_was_measured_is_kept_at_once() {
    let cache = tempfile::tempdir().unwrap();
    let mut command = program(&["profile", "--step", "demo sla", "--steps", "1", "--variants", "measure"]);
    command.env("XDG_CACHE_HOME", cache.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let kept = || {
        let mut files = fs::read_dir(cache.path().join("relabel")).ok()?.map(|entry| entry.unwrap().path());
        VariantFile::read(&files.find(|path| path.extension().is_some_and(|e| e == "json"))?).ok()
    };
    while child.try_wait().unwrap().is_none() && kept().is_none_or(|file| file.classes.is_empty()) {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert!(output.stdout.is_empty() && said.contains("measuring which forms"), "it went on: {said}");
    assert!(!kept().unwrap().classes.is_empty());
}

#[test]
fn classes_choose_the_form_of_their_shapes_alone() {
    let engine = engine();
    let tensors = |rows: usize| [[rows, 64], [64, 16], [rows, 16]].map(|sizes| noise(&engine, &sizes).unwrap());
    let mut recording = Recording::new();
    recording.variants.classes.insert("matmul 128x64x16".into(), ("matmul", 4));
    for rows in [100, 128, 300] {
        let [a, b, out] = tensors(rows);
        matmul::record(&mut recording, &a, &b, false, false, &out).unwrap();
    }
    let taken: Vec<usize> = recording.dispatches.iter().map(|d| d.variant).collect();
    assert_eq!(taken, [4, 4, 0]);
    let asked: Vec<&str> = recording.asked().keys().map(String::as_str).collect();
    assert_eq!(asked, ["matmul 128x64x16", "matmul 512x64x16"]);
}

#[test]
fn factors_are_rounded_only_where_that_is_allowed() {
    let engine = engine();
    let [a, b, out] = [[100, 64], [64, 16], [100, 16]].map(|sizes| noise(&engine, &sizes).unwrap());
    let taken = |factors: Factors| {
        let mut recording = Recording::new();
        recording.variants.factors = factors;
        for shader in [&matmul_coop::SHADER, &matmul_tiled::SHADER] {
            recording.variants.insert(shader.name, 0);
        }
        // What was measured with rounded factors holds for these alone.
        recording.variants.classes.insert("matmul 128x64x16,tb,half".into(), ("matmul_coop", 4));
        matmul::record(&mut recording, &a, &b, false, false, &out).unwrap();
        let asked = recording.asked().keys().next().unwrap().clone();
        (recording.dispatches[0].shader.name, asked)
    };
    assert_eq!(taken(Factors::Exact), ("matmul_tiled", "matmul 128x64x16".to_owned()));
    assert_eq!(taken(Factors::Tf32), ("matmul_coop", "matmul 128x64x16,tf32".to_owned()));
    assert_eq!(taken(Factors::Half), ("matmul_coop", "matmul 128x64x16,half".to_owned()));
}

#[test]
fn classes_with_rounded_factors_are_measured_for_themselves() {
    let engine = own_engine();
    let asked: Asked = ["matmul 64x64x64", "matmul 64x64x64,half", "matmul 64x64x64,tf32"]
        .map(|class| (class.to_owned(), 1 << 27))
        .into();
    let known = Variants { factors: Factors::Half, ..Variants::default() };
    engine.set_chooser(Some(Arc::new(Tuner::new(Duration::from_secs(3600), None))));
    let chosen = engine.chosen(&asked, &known).unwrap().unwrap();
    assert!(asked.keys().eq(chosen.classes.keys()) && chosen.factors == Factors::Half, "{chosen:?}");
    // A recording may round its factors; the device's other recordings do not because of it.
    let own = engine.variants().unwrap();
    assert!(own.classes == chosen.classes && own.factors == Factors::Exact, "{own:?}");
}

/// Where the adapter has cooperative matrices: their answer passes as a rounded one, and not as an exact one.
#[test]
fn rounded_answers_have_a_tolerance_of_their_own() {
    let engine = unchecked_engine();
    let side = engine.cooperative();
    let Some(form) = side.map(|side| matmul_coop::SHADER.variants.len() / 2 * usize::from(side == 8)) else { return };
    let [a, b, out] = [[100, 64], [64, 16], [100, 16]].map(|sizes| noise(&engine, &sizes).unwrap());
    let candidate = |form: (&'static str, usize)| {
        let mut recording = Recording::new();
        recording.variants = Variants { kernels: [form].into(), factors: Factors::Tf32, ..Variants::default() };
        matmul::record(&mut recording, &a, &b, false, false, &out).unwrap();
        Candidate { form, recording }
    };
    let candidates = [candidate(("matmul", 0)), candidate(("matmul_coop", form))];
    let found = compete(&engine, &out, &candidates, 0, Tolerance::EXACT, f64::INFINITY).unwrap().unwrap();
    assert!(found.trials[1].1.is_ok(), "{found:?}");
    let [exact, rounded] = candidates.map(|c| {
        Program::new(&engine, &c.recording).unwrap().run(&engine, 1).unwrap();
        readback::read_words::<f32>(&engine, &[&out]).unwrap().remove(0)
    });
    let worst = exact.iter().zip(&rounded).fold(0.0f32, |m, (e, r)| m.max((e - r).abs()));
    let largest = exact.iter().fold(0.0f32, |m, e| m.max(e.abs()));
    assert!(worst > 1e-5 * largest && worst < 1e-3 * largest, "{worst} of {largest}");
}

#[test]
fn files_are_read_back_and_bad_ones_refused() {
    let engine = engine();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("variants.json");
    let found = measure(&engine, &Product::of_class("matmul 64x64x64").unwrap(), &Variants::default(), 1e9).unwrap();
    let mut file = VariantFile::built_in(&engine);
    file.add(&[("matmul 64x64x64".to_owned(), found.unwrap())].into());
    file.write(&path).unwrap();
    let again = VariantFile::read(&path).unwrap();
    assert_eq!(again, file);
    assert_eq!(again.variants(&engine).unwrap().classes.len(), 1);
    let written = |text: &str| {
        fs::write(&path, text).unwrap();
        VariantFile::read(&path).and_then(|file| file.variants(&engine)).map_err(|e| e.to_string())
    };
    // By hand: only what matters.
    let own = written(r#"{"format": 1, "kernels": {"conv2d": "32"}}"#).unwrap();
    assert_eq!(own.kernels, [("conv2d", 1)].into());
    let class = |class: &str, kernel: &str, form: &str| {
        format!(r#"{{"format": 1, "classes": {{"{class}": {{"kernel": "{kernel}", "form": "{form}"}}}}}}"#)
    };
    for (text, part) in [
        ("{", "not a file of kernel variants"),
        (r#"{"format": 2}"#, "format is 2"),
        (r#"{"format": 1, "kernel": {}}"#, "kernel"),
        (r#"{"format": 1, "kernels": {"conv3d": "64"}}"#, "no kernel `conv3d`"),
        (r#"{"format": 1, "kernels": {"conv2d": "63"}}"#, "it has 64, 32"),
        (r#"{"format": 1, "kernels": {"conv2d_tile": "x"}}"#, "the nearest is `conv2d_tiled`"),
        (r#"{"format": 1, "kernels": {"conv2d": "640"}}"#, "the nearest is `64`"),
        (r#"{"format": "1"}"#, "a value is not what it must be"),
        ("[]", "a value is not what it must be"),
        (&class("matmul 64", "matmul", "64 nn"), "not a class of shapes"),
        (&class("matmul 100x64x16", "matmul", "64 nn"), "`matmul 128x64x16`"),
        (&class("conv2d 500x8x8x4-4,k3,s1,p1", "conv2d", "64"), "`conv2d 512x8x8x4-4,k3,s1,p1`"),
        (&class("matmul 64x64x64", "relu", "64"), "has no form relu"),
    ] {
        let error = written(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
    fs::write(&path, [b'{', 0xff, b'}']).unwrap();
    let error = VariantFile::read(&path).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("not UTF-8"), "{error}");
    // Whoever chooses a file is told which one is wrong, and whose it is.
    fs::write(&path, r#"{"format": 1, "adapter": "a Radeon", "kernels": {"conv2d": "63"}}"#).unwrap();
    let error = Chosen::set(&own_engine(), &Wish::File(path.clone()), |_| {}).unwrap_err().to_string();
    assert!(error.contains("variants.json") && error.contains("measured on a Radeon"), "{error}");
    // The side of matrices that no adapter with the others offers.
    if let Some(side) = engine.cooperative() {
        let form = if side == 8 { "16 64x64" } else { "8 64x64" };
        let error = written(&format!(r#"{{"format": 1, "kernels": {{"conv2d_coop": "{form}"}}}}"#)).unwrap_err();
        assert!(error.contains(&format!("the adapter's matrices are {side} x {side}")), "{error}");
    }
}

/// Two processes that measure at once read the same state at the start; neither loses what the other keeps.
#[test]
fn what_several_keep_at_once_stays() {
    // Its own: others count what a shared one allocates meanwhile.
    let engine = own_engine();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("forms").join("variants.json");
    let found = measure(&engine, &Product::of_class("matmul 16x16x16").unwrap(), &Variants::default(), 1e9);
    let found = found.unwrap().unwrap();
    let class = |who: u32, i: u32| format!("matmul {}x{}x16", 1 << who, 1 << i);
    let several = |who: u32| {
        let (engine, path, found) = (&engine, &path, &found);
        move || {
            for i in 0..10 {
                let mut file = VariantFile::built_in(engine);
                file.add(&[(class(who, i), found.clone())].into());
                keep(engine, &file, path).unwrap();
            }
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|who| drop(scope.spawn(several(who)))));
    let kept = VariantFile::read(&path).unwrap();
    assert_eq!(kept.classes.len(), 40, "{:?}", kept.classes.keys());
    assert!(kept.kernels.is_none());
}

#[test]
fn forms_that_were_measured_elsewhere_are_taken_with_a_note() {
    let engine = own_engine();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("variants.json");
    let notes = |text: &str| {
        fs::write(&path, text).unwrap();
        Chosen::set(&engine, &Wish::File(path.clone()), |_| {}).unwrap().notes
    };
    let own = serde_json::to_string(&VariantFile::built_in(&engine)).unwrap();
    assert_eq!(notes(&own), Vec::<String>::new());
    assert_eq!(notes(r#"{"format": 1}"#), Vec::<String>::new(), "by hand");
    let elsewhere = notes(&own.replace(r#""adapter":""#, r#""adapter":"other "#)).join("");
    assert!(elsewhere.contains("measured on other "), "{elsewhere}");
    // A run that took them keeps where they come from.
    let given = Chosen::set(&engine, &Wish::File(path.clone()), |_| {}).unwrap().file;
    given.write(&path).unwrap();
    let again = Chosen::set(&engine, &Wish::File(path.clone()), |_| {}).unwrap();
    assert!(again.notes.join("").contains("measured on other "), "{:?}", again.notes);
    assert_eq!(again.file, given);
    let earlier = notes(&own.replace(r#""version":""#, r#""version":"0"#)).join("");
    assert!(earlier.contains("another version"), "{earlier}");
}

#[test]
fn a_class_that_never_takes_its_form_is_told() {
    let engine = own_engine();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("variants.json");
    let form = r#"{"kernel": "conv2d_tiled", "form": "128x16"}"#;
    let notes = |stride: usize| {
        let form = if stride == 2 { r#"{"kernel": "conv2d_winograd", "form": "narrow"}"# } else { form };
        let text = format!(r#"{{"format": 1, "classes": {{"conv2d 4x8x8x8-16,k3,s{stride},p1": {form}}}}}"#);
        fs::write(&path, text).unwrap();
        Chosen::set(&engine, &Wish::File(path.clone()), |_| {}).unwrap().notes.join("")
    };
    assert_eq!(notes(1), "");
    if offered(&engine, (&conv2d_winograd::SHADER, 0)) {
        let said = notes(2);
        assert!(said.contains("k3,s2,p1` never takes conv2d_winograd (narrow)"), "{said}");
    }
}

/// Forms that differ from the built-in ones, so that a file that is not read shows.
fn other_forms() -> &'static str {
    r#"{"format": 1, "kernels": {"conv2d": "32", "conv2d_input_grad": "32", "conv2d_weight_grad": "32", "matmul": "8 nn"}}"#
}

#[test]
fn equal_seed_and_file_give_equal_bits() {
    let dir = tempfile::tempdir().unwrap();
    let data = Pictures::default().npz(dir.path(), "set.npz");
    let path = dir.path().join("variants.json");
    fs::write(&path, other_forms()).unwrap();
    let engine = own_engine();
    let run = |wish: &Wish| {
        let mut chosen = Chosen::set(&engine, wish, |_| {}).unwrap();
        let mut trainer = session::trainer(&engine, config(&data, &[])).unwrap();
        chosen.settle(&engine);
        assert!(chosen.notes.is_empty(), "{:?}", chosen.notes);
        let forms: Vec<(&str, usize)> =
            trainer.recording().dispatches.iter().map(|d| (d.shader.name, d.variant)).collect();
        trainer.run(None, Some(3), &mut Vec::<Box<dyn Sink>>::new(), &|| false).unwrap();
        (forms, trainer.checkpoint().unwrap().tensors)
    };
    let wish = Wish::of(path.to_str().unwrap());
    let (forms, first) = run(&wish);
    assert!(forms.contains(&("conv2d", 1)) && forms.contains(&("conv2d_weight_grad", 1)), "{forms:?}");
    assert_eq!(run(&wish), (forms, first));
}

#[test]
fn a_run_keeps_its_forms_and_goes_on_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let data = Pictures::default().npz(dir.path(), "set.npz");
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("small.toml"), config_text(&data)).unwrap();
    fs::write(path("other.json"), other_forms()).unwrap();
    let cache = path("cache");
    let train = |arguments: &[&str]| {
        // No `--variants default` here: what happens by itself is meant.
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_relabel"));
        if let Ok(adapter) = std::env::var("RELABEL_TEST_ADAPTER") {
            command.args(["--adapter", &adapter]);
        }
        let output = command.arg("train").args(arguments).env("XDG_CACHE_HOME", &cache).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    let (run, whole) = (path("run"), path("whole"));
    train(&[&path("small.toml"), "--run", &run, "--variants", &path("other.json"), "--max-steps", "3"]);
    let kept = fs::read_to_string(Path::new(&run).join("variants.json")).unwrap();
    assert!(kept.contains("\"conv2d\": \"32\"") && !kept.contains("\"adapter\": \"\""), "{kept}");
    train(&["--resume", &run, "--max-steps", "6"]);
    assert_eq!(fs::read_to_string(Path::new(&run).join("variants.json")).unwrap(), kept);
    train(&[&path("small.toml"), "--run", &whole, "--variants", &path("other.json"), "--max-steps", "6"]);
    let last = |run: &str| Checkpoint::read(&Path::new(run).join("last.safetensors")).unwrap().tensors;
    assert_eq!(last(&run), last(&whole));
    // The forms of another adapter are no obstacle.
    let other = kept.replacen("\"adapter\": \"", "\"adapter\": \"another ", 1);
    assert_ne!(other, kept);
    fs::write(Path::new(&run).join("variants.json"), other).unwrap();
    let said = train(&["--resume", &run, "--max-steps", "7"]);
    assert!(said.contains("is of another adapter (another "), "{said}");
    fs::write(Path::new(&run).join("variants.json"), "{").unwrap();
    let said = train(&["--resume", &run, "--max-steps", "8"]);
    assert!(said.contains("not a file of kernel variants") && said.contains("other forms"), "{said}");
    fs::remove_file(Path::new(&run).join("variants.json")).unwrap();
    let said = train(&["--resume", &run, "--max-steps", "9"]);
    assert!(said.contains("variants.json is not there"), "{said}");
    // So little work is not measured. What the adapter takes by itself was tried, and what became of it is kept.
    let forms = choose::tried(&unchecked_engine());
    let files = fs::read_dir(Path::new(&cache).join("relabel")).map(|files| files.map(|f| f.unwrap().path()).collect());
    let files = files.unwrap_or_else(|_| Vec::<std::path::PathBuf>::new());
    let Some(file) = files.iter().find(|file| file.extension().is_some_and(|e| e == "json")) else {
        return assert!(forms.is_empty(), "{forms:?}");
    };
    let mut kept = VariantFile::read(file).unwrap();
    let tried = kept.tried.unwrap();
    assert!(kept.classes.is_empty() && tried.values().all(Option::is_none), "{tried:?}");
    assert!(tried.keys().all(|name| forms.iter().any(|(shader, _)| shader.name == name)), "{tried:?}");
    // What failed once is not tried again, and not taken.
    let name = tried.keys().find(|name| name.starts_with("conv2d")).unwrap().clone();
    kept.tried = Some([(name.clone(), Some("off by one".into()))].into());
    kept.write(file).unwrap();
    let said = train(&[&path("small.toml"), "--run", &path("third"), "--max-steps", "1"]);
    assert!(said.contains(&format!("{name} is not used on this adapter: off by one")), "{said}");
    let own = VariantFile::read(&Path::new(&path("third")).join("variants.json")).unwrap();
    let kernels = own.kernels.unwrap();
    assert!(!kernels.contains_key(&name) && kernels.len() + 1 == choose::built_in(&unchecked_engine()).kernels.len());
}

/// A form that fails when a recording takes it is left out of that recording and of all that follow.
#[test]
fn what_fails_its_trial_is_not_taken() {
    #[derive(Debug)]
    struct Wrong(&'static str);
    impl Trial for Wrong {
        fn failing(&self, _: &Engine, recording: &Recording) -> Vec<(&'static str, String)> {
            let taken = recording.dispatches.iter().any(|dispatch| dispatch.shader.name == self.0);
            taken.then(|| (self.0, "off by one".into())).into_iter().collect()
        }
    }
    let engine = own_engine();
    let (x, y) = (noise(&engine, &[64, 16]).unwrap(), noise(&engine, &[64, 32]).unwrap());
    let w = noise(&engine, &[16, 32]).unwrap();
    let record = |variants: &Variants| {
        let mut recording = Recording::new();
        recording.variants.clone_from(variants);
        matmul::record(&mut recording, &x, &w, false, false, &y)?;
        Ok(recording)
    };
    let taken = |recording: &Recording| recording.dispatches[0].shader.name;
    let mut variants = choose::built_in(&engine);
    variants.insert("matmul_tiled", 0);
    variants.classes.insert("matmul 64x16x32".into(), ("matmul_tiled", 4));
    engine.set_variants(variants.clone());
    assert_eq!(taken(&engine.settled(&variants, record).unwrap()), "matmul_tiled");
    engine.set_trial(Some(Arc::new(Wrong("matmul_tiled"))));
    assert_ne!(taken(&engine.settled(&variants, record).unwrap()), "matmul_tiled");
    let left = engine.variants().unwrap();
    assert!(left.classes.is_empty() && !left.kernels.contains_key("matmul_tiled"), "{left:?}");
    assert_eq!(engine.failures()["matmul_tiled"], "off by one");
    assert!(!choose::built_in(&engine).kernels.contains_key("matmul_tiled"));
    // What no one can leave out ends the trial too.
    engine.set_trial(Some(Arc::new(Wrong("matmul"))));
    assert_eq!(taken(&engine.settled(&Variants::default(), record).unwrap()), "matmul");
}

#[test]
fn the_option_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("forms.json");
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/golden/sla_identity.safetensors");
    fs::write(&path, r#"{"format": 1, "kernels": {"conv2d": "none"}}"#).unwrap();
    refused(&["verify", golden, "--variants", path.to_str().unwrap()], 2, &["`conv2d` has no form `none`"]);
    let class = r#"{"matmul 64x64x64": {"kernel": "matmul", "form": "64 nn", "candidates": [{"kernel": "matmul", "form": "64 nn", "milliseconds": -1}]}}"#;
    fs::write(&path, format!(r#"{{"format": 1, "classes": {class}}}"#)).unwrap();
    refused(&["verify", golden, "--variants", path.to_str().unwrap()], 2, &["`matmul 64x64x64` has a time of -1 ms"]);
    refused(&["verify", golden, "--variants", "/nowhere.json"], 8, &["/nowhere.json"]);
    refused(&["verify", golden, "--variants"], 2, &["--variants takes a file"]);
    refused(&["verify", golden, "--variants", "measure"], 2, &["no training steps", "`--variants cached`"]);
    fs::write(&path, other_forms()).unwrap();
    assert!(done(&["verify", golden, "--variants", path.to_str().unwrap()]).contains("pass"));
    let shown = |cache: &Path| {
        let output = program(&["bench", "--variants"]).env("XDG_CACHE_HOME", cache).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    assert!(shown(dir.path()).contains("nothing was measured"));
}

/// Pipelines are built side by side; one that the device refuses is told by its own error, and the others are there.
#[test]
fn one_pipeline_of_many_is_refused() {
    static BROKEN: Shader = Shader { source: "fn broken( {", ..relu::SHADER };
    let engine = own_engine();
    let x = engine.upload("x", &Array::normal(&[3, 8], 1.0, 1), DType::F32).unwrap();
    let [y, z] = ["y", "z"].map(|name| engine.tensor(name, x.shape.clone(), DType::F32).unwrap());
    let mut recording = Recording::new();
    relu::record(&mut recording, &x, &y).unwrap();
    copy::record(&mut recording, &y, &z).unwrap();
    recording.dispatches[0].shader = &BROKEN;
    let error = Program::new(&engine, &recording).expect_err("no WGSL").to_string();
    assert!(error.contains("rejects the shader relu.") && error.contains("broken"), "{error}");
    recording.dispatches[0].shader = &relu::SHADER;
    Program::new(&engine, &recording).unwrap().run(&engine, 1).unwrap();
    let [x, z] = [x, z].map(|tensor| readback::read_floats(&engine, &tensor).unwrap());
    assert!(x.iter().zip(&z).all(|(x, z)| x.max(0.0) == *z), "{x:?} {z:?}");
}
