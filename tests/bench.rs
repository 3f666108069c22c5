//! Each part of the bench runs, measures what it promises, and its rows survive JSON.

use relabel::bench::maxl::Size;
use relabel::bench::rest::WITHIN;
use relabel::bench::{Options, Row, Share, kernels};
use relabel::kernels::REGISTRY;
use relabel::train::Trainer;
use relabel::train::checkpoint::TensorData;

use crate::common;

/// One iteration of the smallest sizes.
const SMALL: Options = Options { rows: 1, demo_rows: 1, sides: &[16], full: false, repeats: 1, sample: 0.0 };

#[test]
fn small_kernels_are_measured() {
    let options = Options { repeats: 3, ..SMALL };
    let rows = kernels(&common::unchecked_engine(), &options).expect("a bench of small kernels").rows;
    // ResNet-32: the stem, three stages, two passages between them; the demo: four. No gradient by the images.
    for (name, count) in [("conv2d", 10), ("conv2d_input_grad", 8), ("conv2d_weight_grad", 10)] {
        assert_eq!(rows.iter().filter(|r| r.name == name).count(), count, "{name}");
    }
    assert_eq!(rows.iter().filter(|r| r.name == "matmul").count(), 4, "all transposes");
    for name in ["linear", "linear_input_grad", "linear_weight_grad"] {
        assert_eq!(rows.iter().filter(|r| r.name == name).count(), 2, "{name}: a head on each network");
    }
    for row in &rows {
        assert!(row.milliseconds > 0.0 && row.gbytes_per_s > 0.0 && row.spread >= 0.0 && row.repeats == 3, "{row:?}");
        assert_eq!(row.gflops > 0.0, row.name != "ceiling: copy", "{row:?}");
        assert!(row.best_milliseconds.is_some_and(|best| best > 0.0), "{row:?}");
    }
    let shape = "ResNet-32 1x32x32x16 to 16, stride 1";
    let layer = rows.iter().find(|r| r.name == "conv2d" && r.shape == shape).expect("the first stage");
    // 32 x 32 pixels, 9 taps, 16 by 16 channels, two operations each.
    let operations = layer.gflops * layer.milliseconds * 1e6;
    assert!((operations / (32.0 * 32.0 * 9.0 * 16.0 * 16.0 * 2.0) - 1.0).abs() < 1e-9, "{operations}");
    for shape in
        ["ResNet-32 1x32x32x16 to 32, stride 2", "demo 1x28x28x1 to 16, stride 2", "demo 1x4x4x64 to 128, stride 2"]
    {
        assert!(rows.iter().any(|r| r.name == "conv2d_weight_grad" && r.shape == shape), "{shape}: {rows:?}");
    }
    let text = serde_json::to_string(&rows).expect("JSON");
    let back: Vec<Row> = serde_json::from_str(&text).expect("JSON");
    assert_eq!(back.len(), rows.len());
    // As files from before these columns have it.
    let old = r#"{"name": "a", "shape": "b", "milliseconds": 1.0, "gflops": 2.0, "gbytes_per_s": 0.0, "images_per_s": 0.0,
                  "repeats": 5, "spread": 0.1}"#;
    assert_eq!(serde_json::from_str::<Row>(old).expect("an old row").best_milliseconds, None);
}

#[test]
fn nothing_to_measure_is_refused() {
    let options = Options { repeats: 0, ..Options::default() };
    assert!(kernels(&common::unchecked_engine(), &options).is_err());
}

#[test]
fn kernels_that_go_through_memory_once_are_measured_beside_a_copy() {
    let options = Options { rows: 1, repeats: 3, sample: 0.0, ..Options::default() };
    let rows = relabel::bench::elementwise(&common::unchecked_engine(), &options).expect("rows").rows;
    let first = [&rows[0].name, &rows[0].note].map(String::as_str);
    assert_eq!(first, ["ceiling: copy", "100 % of the copy's rate"]);
    assert!(rows[0].shape.ends_with(" MiB"), "{:?}", rows[0]);
    for name in ["relu", "batch_norm_stats", "batch_norm_relu_project", "axpby", "sum_rows", "broadcast_rows"] {
        assert_eq!(rows.iter().filter(|r| r.name == name).count(), 3, "{name}: 3 layers of ResNet-32");
    }
    for row in &rows {
        assert!(row.milliseconds > 0.0 && row.gbytes_per_s > 0.0 && row.spread >= 0.0 && row.repeats == 3, "{row:?}");
        let share = row.note.split(' ').next().and_then(|s| s.parse::<f64>().ok());
        // By processor time where it is known.
        let rate =
            |row: &Row| row.gbytes_per_s * row.milliseconds / row.processor_milliseconds.unwrap_or(row.milliseconds);
        let expected = 100.0 * rate(row) / rate(&rows[0]);
        assert!((share.expect("a share") - expected).abs() <= 0.5, "{row:?} of {:?}", rows[0]);
    }
    let add = rows.iter().find(|r| r.name == "axpby").expect("a sum");
    // Two values read and one written.
    assert!(
        (add.gbytes_per_s * add.milliseconds * 1e6 / (3.0 * 4.0 * 32.0 * 32.0 * 16.0) - 1.0).abs() < 1e-9,
        "{add:?}"
    );
    let none = Options { repeats: 0, ..Options::default() };
    assert!(relabel::bench::elementwise(&common::unchecked_engine(), &none).is_err());
}

#[test]
fn every_kernel_has_a_row_or_is_timed_within_one() {
    let engine = common::unchecked_engine();
    let mut rows = kernels(&engine, &SMALL).expect("products").rows;
    rows.extend(relabel::bench::elementwise(&engine, &SMALL).expect("kernels that go through memory once").rows);
    let rest = relabel::bench::rest(&engine, &SMALL).expect("the rest");
    assert!(rest.left_out.is_empty(), "{:?}", rest.left_out);
    for row in &rest.rows {
        assert!(row.milliseconds > 0.0 && row.repeats == 1, "{row:?}");
        let twice = rest.rows.iter().filter(|other| (&other.name, &other.shape) == (&row.name, &row.shape)).count();
        assert_eq!(twice, 1, "a comparison goes by name and shape: {row:?}");
    }
    rows.extend(rest.rows);
    rows.extend(relabel::bench::images(&engine, &SMALL).expect("crops and colours"));
    let steps = relabel::bench::Case::find(&SMALL, "resnet32 baseline").expect("a step").name();
    let timed = |name: &str| name == steps || rows.iter().any(|row| row.name == name);
    for kernel in REGISTRY.iter().map(|kernel| kernel.shader.name) {
        let own = rows.iter().any(|row| row.name == kernel);
        let within = WITHIN.iter().find(|(name, _)| *name == kernel);
        assert!(own != within.is_some(), "{kernel}: has a row: {own}; is said to be timed within {within:?}");
    }
    for (kernel, row) in WITHIN {
        assert!(REGISTRY.iter().any(|k| k.shader.name == *kernel) && timed(row), "{kernel} within {row}");
    }
    let none = Options { repeats: 0, ..SMALL };
    assert!(relabel::bench::rest(&engine, &none).is_err());
}

#[test]
fn full_runs_go_through_the_activations_and_parameters_of_every_network() {
    let options = Options { rows: 12, full: true, ..SMALL };
    let measured = relabel::bench::elementwise(&common::unchecked_engine(), &options).expect("rows");
    let rows = &measured.rows;
    let has = |name: &str, shape: &str| rows.iter().any(|row| row.name == name && row.shape == shape);
    let own = ["12x32x32x16", "2x112x112x64", "256x32x32x64", "6x2x2x512", "2x55x55x96", "2x4096", "1x14x14x16"];
    for shape in own {
        assert!(has("relu", shape), "{shape}");
        assert_eq!(has("sum_rows of each image", shape), shape != "2x4096", "{shape}");
    }
    // As many values as the first of ResNet-32, and nearly as many as one of ResNet-18.
    assert!(!has("relu", "6x16x16x128") && !has("relu", "6x32x32x64"));
    // AlexNet's parameters pass what a binding of the test device holds, perhaps: then that is told.
    let told = measured.left_out.iter().filter(|text| text.starts_with("adam ")).count();
    assert_eq!(rows.iter().filter(|row| row.name == "adam").count() + told, 5, "networks: {:?}", measured.left_out);
}

#[test]
fn an_iteration_of_label_assignment_is_measured() {
    let options = Options { repeats: 2, sample: 0.0, ..Options::default() };
    let rows = relabel::bench::sinkhorn(&common::unchecked_engine(), &options, &[(300, 20), (700, 131)]).expect("rows");
    let names: Vec<&str> = rows.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["sinkhorn iteration", "ceiling: copy", "sinkhorn iteration", "ceiling: copy"]);
    for row in &rows {
        assert!(row.milliseconds > 0.0 && row.gbytes_per_s > 0.0, "{row:?}");
    }
    for (i, scores) in [(0, 300.0 * 20.0), (2, 700.0 * 131.0)] {
        // Each score is read once; sums of slabs and the rows' maxima come on top.
        let passes = rows[i].gbytes_per_s * rows[i].milliseconds * 1e6 / (4.0 * scores);
        assert!(passes > 1.0 && passes < 1.5, "{passes}: {:?}", rows[i]);
    }
    let none = relabel::bench::sinkhorn(&common::unchecked_engine(), &options, &[(3, 4)]);
    assert!(none.is_err_and(|e| e.to_string().contains("4 clusters for 3 samples")));
}

#[test]
fn a_meta_step_is_measured_beside_a_plain_one() {
    let options = Options { repeats: 2, sample: 0.0, ..Options::default() };
    let rows = relabel::bench::maxl(&common::unchecked_engine(), &options, Size::default()).expect("rows");
    let operations = |i: usize| rows[i].gflops * rows[i].milliseconds;
    let work: Vec<f64> = (0..rows.len()).map(|i| 3.0 * operations(i) / operations(0)).collect();
    // A forward counts 1, a backward 2 (the first layer's a little less): 3 at each of two weights, 2 for the tangent, 3
    // for the generator; twice a forward again; 4 forwards less a tangent; the generator alone.
    for (work, expected) in work.iter().zip([3.0, 11.0, 13.0, 11.0, 3.0]) {
        assert!((work / expected - 1.0).abs() < 0.05, "{work} where {expected} was expected: {rows:?}");
    }
    assert!(rows[2].note.contains("gradient off by 0.0e0"), "{rows:?}");
    for row in &rows {
        let (planned, allocated) = (row.planned_bytes.expect("a plan"), row.allocated_bytes.expect("tensors"));
        assert!(0 < planned && planned < allocated, "{row:?}");
    }
    let known = rows.iter().map(|row| row.processor_milliseconds.is_some()).collect::<Vec<_>>();
    assert_eq!(known, [rows[0].processor_milliseconds.is_some(); 5], "one clock");
    assert!(rows[2].planned_bytes < rows[1].planned_bytes, "what is worked out again is not kept: {rows:?}");
}

#[test]
fn whole_steps_of_each_method_are_measured() {
    // Rows enough that what is not multiplied by views, the optimizer, is little.
    let options = Options { rows: 4, demo_rows: 32, ..SMALL };
    // Of its own, whose memory no other test changes.
    let engine = common::own_engine();
    // What the shares are of is the caller's.
    let seen = |i: usize| Share { name: format!("kernel {i}"), share: 0.125 };
    let mut looks = 0;
    let mut look = |trainer: &mut Trainer| {
        looks += 1;
        trainer.run_unreported(1)?;
        Ok((0..8).map(seen).collect())
    };
    let rows = relabel::bench::steps(&engine, &options, "demo", &mut look).expect("rows").rows;
    assert_eq!(looks, rows.len(), "each step is looked at once");
    let names: Vec<&str> = rows.iter().map(|r| r.name.as_str()).collect();
    let half = engine.features().contains(wgpu::Features::SHADER_F16);
    let units = engine.cooperative().is_some() && engine.info().device_type != wgpu::DeviceType::Cpu;
    let methods = ["baseline", "da", "mt", "sla", "sla-sd", "sela", "maxl"].map(|m| (m, true));
    let precisions = [("sla tf32", units), ("sla f16", half)];
    let there = methods.into_iter().chain(precisions).filter(|(_, there)| *there);
    assert_eq!(names, there.map(|(m, _)| format!("step demo {m}")).collect::<Vec<_>>());
    for row in &rows {
        assert!(row.milliseconds > 0.0 && row.gflops > 0.0 && row.images_per_s > 0.0, "{row:?}");
        // A meta step's second submission waits for its first on a software adapter.
        let waits = row.name.ends_with("maxl") && engine.info().device_type == wgpu::DeviceType::Cpu;
        assert!(row.host_milliseconds.map_or(waits, |ms| ms > 0.0 && !waits), "{row:?}");
        let rest = Share { name: Share::REST.into(), share: 0.5 };
        assert_eq!(row.kernels, [seen(0), seen(1), seen(2), seen(3), rest]);
        assert!(row.idle.is_some_and(|part| (0.0..1.0).contains(&part)), "{row:?}");
        let (planned, allocated) = (row.planned_bytes.expect("a plan"), row.allocated_bytes.expect("tensors"));
        assert!(0 < planned && planned < allocated, "{row:?}");
    }
    let work = |i: usize| rows[i].gflops * rows[i].milliseconds;
    // Four views are four times the work; a meta step is 11 forwards where training is 3, and its labels one more.
    assert!((work(1) / work(0) / 4.0 - 1.0).abs() < 0.05, "{rows:?}");
    assert!((work(6) / work(0) / 5.0 - 1.0).abs() < 0.1, "{rows:?}");
    if half {
        // The same work in less memory.
        let last = rows.len() - 1;
        assert!((work(last) / work(3) - 1.0).abs() < 0.01, "{rows:?}");
        assert!(rows[last].planned_bytes < rows[3].planned_bytes, "{rows:?}");
    }
    // What does not fit is told, and the rest measured.
    let room = rows[0].allocated_bytes.expect("tensors");
    let mut some = relabel::bench::steps(&common::engine_with_memory(room), &options, "demo", &mut |_| Ok(Vec::new()))
        .expect("some rows");
    some.left_out.retain(|text| !text.contains("SHADER_F16") && !text.contains("matrix units"));
    assert!(!some.rows.is_empty() && !some.left_out.is_empty(), "{some:?}");
    assert_eq!(some.rows.len() + some.left_out.len(), rows.len());
    assert!(some.left_out.iter().all(|text| text.starts_with("step demo ") && text.contains("bytes")), "{some:?}");
    assert_eq!(some.rows[0].allocated_bytes, rows[0].allocated_bytes);
    let error = relabel::bench::steps(&engine, &options, "resnet99", &mut |_| Ok(Vec::new()))
        .expect_err("no such step")
        .to_string();
    assert!(error.contains("resnet99") && error.contains("step resnet32 sla"), "{error}");
}

#[test]
fn a_step_is_exported_with_what_a_peer_needs() {
    let options = Options { rows: 4, demo_rows: 8, ..SMALL };
    let mut found = Vec::new();
    relabel::bench::export(&common::unchecked_engine(), &options, "demo", &mut |name, checkpoint| {
        found.push((name.to_owned(), checkpoint.clone()));
        Ok(())
    })
    .expect("files");
    let of = |name: &str| &found.iter().find(|(n, _)| n == name).expect("a file").1;
    let (sla, sela, maxl) = (of("demo-sla"), of("demo-sela"), of("demo-maxl"));
    assert_eq!(sla.get("batch.images").expect("bytes").shape, [3, 2, 28, 28, 1]);
    assert_eq!(sla.get("conv1.weight").expect("PyTorch's layout").shape, [16, 1, 3, 3]);
    assert!(sla.meta.config.contains("\"sla\"") && sla.tensors.iter().all(|t| !t.name.contains("optimizer.")));
    let numbers =
        |checkpoint: &relabel::train::checkpoint::Checkpoint, name: &str| match &checkpoint.get(name).unwrap().data {
            TensorData::F32(values) => values.clone(),
            TensorData::I64(values) => values.iter().map(|&v| v as f32).collect(),
            other => panic!("{name}: {other:?}"),
        };
    // Near ln 40, and no step has the loss of another: weights and batches change.
    let losses = numbers(sla, "losses");
    assert!(losses.iter().all(|loss| (3.0..5.0).contains(loss)) && losses[0] != losses[1] && losses[1] != losses[2]);
    assert!(numbers(sla, "moved")[0] > 0.0 && numbers(sla, "moved")[1] == 0.0);
    assert_eq!(sela.get("batch.assigned").expect("labels").shape, [3, 10, 2]);
    assert!(numbers(sela, "batch.assigned").iter().all(|label| *label < 128.0));
    assert!(numbers(maxl, "moved").iter().all(|moved| *moved > 0.0), "both networks learn");
    assert!(maxl.get("labels.generator.conv1.weight").is_ok());
    assert_ne!(numbers(maxl, "meta.labels"), numbers(maxl, "batch.labels"), "an order of its own");
}
