//! Half precision: every kernel that a feature map may go through, whole runs, loss scaling.

use std::collections::BTreeSet;
use std::sync::Arc;

use half::f16;
use relabel::base::{Array, DType, Shape};
use relabel::gpu::{Engine, Places, Program, Recording, Shader, Tensor, Variants, readback};
use relabel::kernels::product::offered;
use relabel::kernels::{
    Case, REGISTRY, conv2d_coop, conv2d_input_grad_coop, conv2d_weight_grad_coop, matmul_coop, relu,
};
use relabel::session;
use relabel::train::Trainer;
use relabel::train::checkpoint::Checkpoint;
use relabel::train::events::{Event, Silent, Sink, Step};
use relabel::train::snapshot::keys;

use super::common::{engine, own_engine, unchecked_engine};
use super::small::{Pictures, config};

fn rounded(array: &Array) -> Array {
    array.map(|v| f16::from_f64(v).to_f64())
}

/// A case on the device: its input and output tensors, and its recording. Tensors that `halves` names are in half precision;
/// `poison` is what every other output holds.
fn recorded(
    engine: &Engine,
    case: &Case,
    halves: &dyn Fn(usize) -> bool,
    record: &dyn Fn(&mut Recording),
) -> (Vec<Tensor>, Recording) {
    let kept = |place, dtype| if halves(place) { DType::F16 } else { dtype };
    let inputs = case.inputs.iter().enumerate().map(|(i, (array, dtype))| {
        let array = if array.shape.rank() == 4 && *dtype == DType::F32 { rounded(array) } else { array.clone() };
        engine.upload("input", &array, kept(i, *dtype)).unwrap()
    });
    let inputs: Vec<Tensor> = inputs.collect();
    let outputs = case.outputs.iter().enumerate().map(|(i, output)| {
        let dtype = kept(inputs.len() + i, output.dtype);
        match &output.initial {
            Some(initial) => engine.upload("output", &rounded(initial), dtype).unwrap(),
            None => engine.upload("output", &Array::full(output.expected.sizes(), 1234.0), dtype).unwrap(),
        }
    });
    let outputs: Vec<Tensor> = outputs.collect();
    let scratch = case.scratch.iter().map(|s| engine.tensor("scratch", s.clone(), DType::F32).unwrap());
    let scratch: Vec<Tensor> = scratch.collect();
    let mut recording = Recording::new();
    record(&mut recording);
    (case.record)(&mut recording, &inputs, &outputs, &scratch).unwrap();
    ([inputs, outputs].concat(), recording)
}

#[test]
fn maps_in_half_precision_count_half_their_bytes_with_their_pads() {
    let engine = engine();
    let bytes = |dtype| {
        let [x, y] = [0; 2].map(|_| engine.tensor("map", Shape::new(&[2, 5, 3, 3]), dtype).unwrap());
        let mut recording = Recording::new();
        relu::record(&mut recording, &x, &y).unwrap();
        recording.cost().bytes
    };
    assert_eq!([DType::F32, DType::F16].map(bytes), [2 * 30 * 16, 2 * 30 * 8]);
}

/// Which tensors of a case a plan may keep in half precision: those of rank 4 that all dispatches bind as arrays of floats.
fn halvable(tensors: &[Tensor], recording: &Recording) -> Vec<bool> {
    let able = |tensor: &Tensor| {
        let uses = recording.dispatches.iter().flat_map(|d| {
            d.tensors.iter().enumerate().filter(|(_, t)| t.buffer == tensor.buffer).map(move |(i, _)| {
                let mut alone: Vec<Tensor> = d.tensors.clone();
                for (j, t) in alone.iter_mut().enumerate() {
                    t.dtype = if i == j { DType::F16 } else { DType::U32 };
                }
                d.shader.check_halves(Places::halves(&alone)).is_ok()
            })
        });
        tensor.shape.rank() == 4
            && tensor.dtype == DType::F32
            && uses.fold(None, |all, ok| Some(all.unwrap_or(true) && ok)) == Some(true)
    };
    tensors.iter().map(able).collect()
}

fn values(engine: &Engine, tensor: &Tensor) -> Vec<f64> {
    tensor.shape.unpad(&readback::read_floats(engine, tensor).unwrap()).into_iter().map(f64::from).collect()
}

/// What differs where a case's feature maps are in half precision: its outputs should be those of the same values in single
/// precision, rounded. `None` where the case has no feature maps.
fn differences(engine: &Engine, name: &str, case: &Case, force: &dyn Fn(&mut Recording)) -> Option<Vec<String>> {
    let (single, recording) = recorded(engine, case, &|_| false, force);
    let mut able = halvable(&single, &recording);
    // No plan keeps gradients by weights so (graph/half.rs), and kernels add to them in rounds.
    if name.contains("weight_grad") {
        able[case.inputs.len()..].fill(false);
    }
    if !able.contains(&true) {
        return None;
    }
    let (half, other) = recorded(engine, case, &|place| able[place], force);
    assert!(other.dispatches.iter().any(|d| d.shader.name == name), "{name} gave way: {}", case.name);
    for recording in [&recording, &other] {
        Program::new(engine, recording).unwrap().run(engine, 1).unwrap();
    }
    let mut found = Vec::new();
    for (place, output) in case.outputs.iter().enumerate() {
        let place = case.inputs.len() + place;
        let (expected, actual) = (values(engine, &single[place]), values(engine, &half[place]));
        let largest = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        // A unit in the last place of a 16-bit float (or of its smallest normal number): WGSL leaves the direction of
        // rounding open. And what compilers make of the same sums.
        let (unit, least) = if able[place] { (f64::from(f16::EPSILON), 6e-8) } else { (0.0, 0.0) };
        let within = |e: f64, a: f64| e == a || (e - a).abs() <= unit * e.abs() + 1e-6 * largest + least;
        let misses = expected.iter().zip(&actual).filter(|(e, a)| !within(**e, **a)).count();
        if misses > 0 {
            let sizes = output.expected.sizes();
            found.push(format!("{}: {misses} of {} values of {sizes:?} differ", case.name, actual.len()));
        }
    }
    Some(found)
}

/// Whether the adapter has 16-bit floats; tests of them say so and end where it has not.
fn offered_here(engine: &Engine) -> bool {
    let has = engine.features().contains(wgpu::Features::SHADER_F16);
    if !has {
        eprintln!("no 16-bit floats on this adapter");
    }
    has
}

fn walk(engine: &Engine) {
    if !offered_here(engine) {
        return;
    }
    let (mut covered, mut failures) = (BTreeSet::new(), Vec::new());
    let only = std::env::var("RELABEL_TEST_KERNEL").ok();
    for kernel in REGISTRY.iter().filter(|k| only.as_deref().is_none_or(|o| k.shader.name == o)) {
        // All variants have one text; the first that is offered stands for them. A choice by shape may give way.
        let own = |&index: &usize| !kernel.shader.variants[index].name.contains("by shape");
        let mut variants = (0..kernel.shader.variants.len()).filter(own);
        let Some(index) = variants.find(|&index| offered(engine, (kernel.shader, index))) else { continue };
        let name = kernel.shader.name;
        for case in (kernel.cases)() {
            let force = |r: &mut Recording| r.variants.insert(name, index);
            let Some(found) = differences(engine, name, &case, &force) else { continue };
            covered.insert(name);
            failures.extend(found.iter().map(|text| format!("{name} {text}")));
        }
    }
    assert!(failures.is_empty(), "{} outputs differ:\n{}", failures.len(), failures.join("\n"));
    if only.is_none() {
        for name in [
            "avg_pool",
            "axpby",
            "batch_norm_add_relu",
            "batch_norm_relu_project",
            "batch_norm_stats",
            "conv2d",
            "conv2d_input_grad",
            "conv2d_weight_grad",
            "conv2d_tiled",
            "conv2d_input_grad_tiled",
            "conv2d_weight_grad_tiled",
            "decode_augment",
            "dropout",
            "max_pool",
            "relu",
            "relu_derivative_sum",
            "transform_views",
        ] {
            assert!(covered.contains(name), "{name} was not tried: {covered:?}");
        }
    }
}

#[test]
fn kernels_take_feature_maps_in_half_precision() {
    walk(&engine());
}

#[test]
fn kernels_take_feature_maps_in_half_precision_by_words() {
    walk(&unchecked_engine());
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

fn run(trainer: &mut Trainer) -> Vec<Step> {
    let mut steps = Steps::default();
    assert!(trainer.run(None, None, &mut steps, &|| false).unwrap().complete);
    steps.0
}

const HALF: &str = "precision=f16";

/// Losses of the first steps, and of learned networks, are those of single precision up to the rounding of feature maps;
/// they are not the same, because then nothing would be in half precision.
#[test]
fn half_precision_follows_single_precision() {
    if !offered_here(&engine()) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let data = Pictures::default().npz(dir.path(), "set.npz");
    let losses = |engine: &Arc<Engine>, method: &str, precision: &str| -> Vec<Step> {
        let overrides = [method, precision, "train.steps=40", "log.every=1", "maxl.hierarchy=2", "sela.clusters=4"];
        run(&mut session::trainer(engine, config(&data, &overrides)).unwrap())
    };
    for (engine, method) in [
        (engine(), "sla"),
        (engine(), "maxl"),
        (engine(), "sela"),
        (unchecked_engine(), "sla"),
        (unchecked_engine(), "mt"),
        (unchecked_engine(), "sla-sd"),
    ] {
        let key = format!("method={method}");
        let (single, half) = (losses(&engine, &key, "precision=f32"), losses(&engine, &key, HALF));
        // 16-bit floats have 11 bits: a rounding is 2^-11 of a value at most.
        let [first, other] = [&single, &half].map(|steps| steps[0].loss);
        assert!((first - other).abs() < 2e-3 * first, "{method}: {first} {other}");
        assert_ne!(first, other, "{method}: nothing is in half precision");
        let [end, other_end] = [&single, &half].map(|steps| steps[30..].iter().map(|s| s.loss).sum::<f64>() / 10.0);
        assert!(other_end < 0.95 * first, "{method}: {first} {other_end}");
        // What labels SeLa finds hangs on the last bits.
        assert!(method == "sela" || (end - other_end).abs() < 0.1 * first, "{method}: {end} {other_end}");
        assert_eq!(half[39].metrics.get("loss_scale"), Some(65_536.0), "{method}");
        assert_eq!(half[39].metrics.get("steps_left_out"), Some(0.0), "{method}");
        assert_eq!(single[39].metrics.get("loss_scale"), None);
    }
}

/// A scale under which gradients overflow leaves steps out, and halves until they do not; nothing but it has changed.
#[test]
fn steps_with_gradients_that_are_not_finite_are_left_out() {
    if !offered_here(&engine()) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let data = Pictures::default().npz(dir.path(), "set.npz");
    for kind in ["optimizer.kind=sgd", "optimizer.kind=adamw", "train.accumulate=3"] {
        let new = || session::trainer(&engine(), config(&data, &[HALF, kind, "optimizer.max_grad_norm=0.5"])).unwrap();
        let mut trainer = new();
        let mut start = trainer.checkpoint().unwrap();
        assert_eq!(start.meta.extra[keys::LOSS_SCALE], format!("{},0,0", 65_536f32.to_bits()));
        let huge = 2f32.powi(40);
        start.meta.extra.insert(keys::LOSS_SCALE.into(), format!("{},0,0", huge.to_bits()));
        trainer.restore(&start, dir.path()).unwrap();
        trainer.run_unreported(3).unwrap();
        let after = trainer.checkpoint().unwrap();
        assert_eq!(after.meta.extra[keys::LOSS_SCALE], format!("{},0,{}", 2f32.powi(37).to_bits(), 3f32.to_bits()));
        let trained = |c: &Checkpoint| -> Vec<_> {
            c.tensors
                .iter()
                .filter(|t| !t.name.contains("running_") && !t.name.contains("num_batches"))
                .cloned()
                .collect()
        };
        assert_eq!(trained(&start), trained(&after), "{kind}");
        // It goes on as soon as the scale fits.
        trainer.run_unreported(40).unwrap();
        let after = trainer.checkpoint().unwrap();
        assert_ne!(trained(&start), trained(&after), "{kind}");
        let scale = after.meta.extra[keys::LOSS_SCALE].split(',').next().unwrap().parse().map(f32::from_bits).unwrap();
        assert!((1.0..2f32.powi(30)).contains(&scale), "{scale}");
    }
}

#[test]
fn a_scale_that_nothing_helps_ends_the_run() {
    if !offered_here(&engine()) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let data = Pictures::default().npz(dir.path(), "set.npz");
    let mut trainer = session::trainer(&engine(), config(&data, &[HALF, "log.every=1"])).unwrap();
    let mut start = trainer.checkpoint().unwrap();
    start.meta.extra.insert(keys::LOSS_SCALE.into(), format!("{},0,0", 1e-9f32.to_bits()));
    trainer.restore(&start, dir.path()).unwrap();
    let error = trainer.run(None, None, &mut Silent, &|| false).unwrap_err().to_string();
    assert!(error.contains("gradient") && error.contains("precision = \"f32\""), "{error}");
    start.meta.extra.insert(keys::LOSS_SCALE.into(), "1,2".into());
    assert!(trainer.restore(&start, dir.path()).unwrap_err().to_string().contains("`loss_scale`"));
}

#[test]
fn a_run_in_half_precision_resumes_exactly() {
    if !offered_here(&engine()) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let data = Pictures::default().npz(dir.path(), "set.npz");
    let new = || session::trainer(&engine(), config(&data, &[HALF, "train.accumulate=3"])).unwrap();
    let mut whole = new();
    run(&mut whole);
    let mut first = new();
    first.run(None, Some(5), &mut Silent, &|| false).unwrap();
    let mut second = new();
    second.restore(&first.checkpoint().unwrap(), dir.path()).unwrap();
    run(&mut second);
    let [mut whole, mut second] = [whole, second].map(|t| t.checkpoint().unwrap());
    for checkpoint in [&mut whole, &mut second] {
        checkpoint.meta.extra.remove(keys::SECONDS);
    }
    assert_eq!(whole.tensors, second.tensors);
    assert_eq!(whole.meta.extra, second.meta.extra);
    // A run that began in single precision goes on at the first scale.
    let mut single = session::trainer(&engine(), config(&data, &[])).unwrap();
    single.run(None, Some(5), &mut Silent, &|| false).unwrap();
    let mut third = new();
    third.restore(&single.checkpoint().unwrap(), dir.path()).unwrap();
    run(&mut third);
    let (_, rest) = third.checkpoint().unwrap().meta.extra[keys::LOSS_SCALE]
        .split_once(',')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    assert_eq!(rest, format!("{},0", 7f32.to_bits()));
}

/// Flattened maps, dropout and maximum pooling.
#[test]
fn networks_with_linear_layers_train_in_half_precision() {
    if !offered_here(&engine()) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let pictures = Pictures { train: 24, test: 4, size: [64, 96], channels: 3, ..Pictures::default() };
    let data = pictures.npz(dir.path(), "set.npz");
    let losses = |precision: &str| {
        let network = ["model.name=alexnet", "model.widths=[4, 8, 8, 8, 4, 16]", "model.strides=[]", "method=baseline"];
        let overrides = [network.as_slice(), &[precision, "train.steps=3", "log.every=1"]].concat();
        run(&mut session::trainer(&engine(), config(&data, &overrides)).unwrap())
    };
    let (single, half) = (losses("precision=f32"), losses(HALF));
    for (single, half) in single.iter().zip(&half) {
        assert!((single.loss - half.loss).abs() < 1e-2 * single.loss, "{} {}", single.loss, half.loss);
    }
    assert_ne!(single[0].loss, half[0].loss);
}

/// Without matrix units rounded factors are no others: the same bits, and the forms of single precision.
#[test]
fn tf32_is_single_precision_where_nothing_rounds() {
    let engine = own_engine();
    engine.set_variants(Variants::default());
    let dir = tempfile::tempdir().unwrap();
    let data = Pictures::default().npz(dir.path(), "set.npz");
    let trained = |precision: &str| {
        let mut trainer =
            session::trainer(&engine, config(&data, &[precision, "train.steps=3", "log.every=1"])).unwrap();
        let losses: Vec<f64> = run(&mut trainer).iter().map(|step| step.loss).collect();
        (losses, trainer.planned(), trainer.notes())
    };
    let (tf32, single) = (trained("precision=tf32"), trained("precision=f32"));
    assert_eq!((tf32.0, tf32.1), (single.0, single.1));
    assert!(tf32.2.iter().any(|note| note.contains("computes as \"f32\" does")), "{:?}", tf32.2);
    assert!(!single.2.iter().any(|note| note.contains("tf32")), "{:?}", single.2);
}

/// Products on matrix units that round are taken where a run allows it alone, and train: without scaling the loss where maps are in
/// single precision.
#[test]
fn matrix_units_are_taken_where_factors_may_be_rounded() {
    let engine = own_engine();
    let Some(side) = engine.cooperative() else {
        eprintln!("no matrix units on this adapter");
        return;
    };
    let forms = [&conv2d_coop::SHADER, &conv2d_input_grad_coop::SHADER, &conv2d_weight_grad_coop::SHADER];
    let of_side = |shader: &Shader| shader.variants.iter().position(|v| v.constant("SIDE") == side).unwrap();
    let mut variants = Variants::default();
    forms.iter().for_each(|shader| variants.insert(shader.name, of_side(shader)));
    engine.set_variants(variants);
    let dir = tempfile::tempdir().unwrap();
    let data = Pictures::default().npz(dir.path(), "set.npz");
    let trained = |precision: &str| {
        let overrides = [precision, "train.steps=20", "log.every=1"];
        let mut trainer = session::trainer(&engine, config(&data, &overrides)).unwrap();
        let names: BTreeSet<&str> = trainer.recording().dispatches.iter().map(|d| d.shader.name).collect();
        (forms.map(|shader| names.contains(shader.name)), run(&mut trainer))
    };
    let (none, single) = trained("precision=f32");
    assert_eq!(none, [false; 3]);
    for (precision, scale) in [("precision=tf32", None), (HALF, Some(65_536.0))] {
        let (all, rounded) = trained(precision);
        assert_eq!(all, [true; 3], "{precision}");
        assert_eq!(rounded[0].metrics.get("loss_scale"), scale, "{precision}");
        let [first, other] = [&single, &rounded].map(|steps| steps[0].loss);
        assert!((first - other).abs() < 5e-3 * first && first != other, "{precision}: {first} {other}");
        let [end, other] = [&single, &rounded].map(|steps| steps[15..].iter().map(|s| s.loss).sum::<f64>() / 5.0);
        assert!((end - other).abs() < 0.1 * first && other < first, "{precision}, {first}: {end} {other}");
    }
}

/// Products on matrix units take matrices in half precision, and answer what they do for the same values in single precision.
#[test]
fn products_on_matrix_units_take_matrices_in_half_precision() {
    let engine = unchecked_engine();
    let Some(side) = engine.cooperative() else {
        eprintln!("no matrix units on this adapter");
        return;
    };
    // Two by two subgroups of two by two matrices: small, since the software adapter compiles large ones for seconds.
    let name = if side == 16 { "16 64x64 nn" } else { "8 32x32 nn" };
    let tile = matmul_coop::SHADER.variants.iter().position(|v| v.name == name).unwrap();
    for case in (matmul_coop::KERNEL.cases)() {
        let [expected, actual] = [false, true].map(|half| {
            let force = |r: &mut Recording| r.variants.insert(matmul_coop::SHADER.name, tile);
            let (tensors, recording) = recorded(&engine, &case, &|_| half, &force);
            Program::new(&engine, &recording).unwrap().run(&engine, 1).unwrap();
            values(&engine, &tensors[2])
        });
        let largest = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let within = |(e, a): (&f64, &f64)| (e - a).abs() <= f64::from(f16::EPSILON) * e.abs() + 1e-6 * largest;
        assert!(expected.iter().zip(&actual).all(within), "{}", case.name);
    }
}

/// Half precision halves what a plan keeps of feature maps.
#[test]
fn plans_take_less_memory() {
    if !offered_here(&engine()) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let data = Pictures { size: [32, 32], ..Pictures::default() }.npz(dir.path(), "set.npz");
    let bytes = |precision: &str| {
        session::trainer(&engine(), config(&data, &[precision, "model.widths=[16, 16]"])).unwrap().planned()
    };
    let (single, half) = (bytes("precision=f32"), bytes(HALF));
    assert!(10 * half < 6 * single, "{half} of {single}");
}
