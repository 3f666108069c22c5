//! The kernel bench runs, measures every kernel that it promises, and its rows survive JSON.

use relabel::bench::maxl::Size;
use relabel::bench::{Options, Row, kernels};

use crate::common;

#[test]
fn small_kernels_are_measured() {
    let options = Options { rows: 1, demo_rows: 1, side: 16, repeats: 3, sample: 0.0 };
    let rows = kernels(&common::unchecked_engine(), &options).expect("a bench of small kernels");
    for name in ["conv2d", "conv2d_input_grad", "conv2d_weight_grad"] {
        assert_eq!(rows.iter().filter(|r| r.name == name).count(), 7, "{name}: 3 layers of ResNet-32, 4 of the demo");
    }
    assert_eq!(rows.iter().filter(|r| r.name == "matmul").count(), 4, "all transposes");
    for row in &rows {
        assert!(row.milliseconds > 0.0 && row.gbytes_per_s > 0.0 && row.spread >= 0.0 && row.repeats == 3, "{row:?}");
        assert_eq!(row.gflops > 0.0, row.name != "ceiling: copy", "{row:?}");
    }
    let layer = rows.iter().find(|r| r.name == "conv2d" && r.shape.contains("32x32x16")).expect("ResNet-32's first");
    // 32 x 32 pixels, 9 taps, 16 by 16 channels, two operations each.
    let operations = layer.gflops * layer.milliseconds * 1e6;
    assert!((operations / (32.0 * 32.0 * 9.0 * 16.0 * 16.0 * 2.0) - 1.0).abs() < 1e-9, "{operations}");
    let text = serde_json::to_string(&rows).expect("JSON");
    let back: Vec<Row> = serde_json::from_str(&text).expect("JSON");
    assert_eq!(back.len(), rows.len());
}

#[test]
fn nothing_to_measure_is_refused() {
    let options = Options { repeats: 0, ..Options::default() };
    assert!(kernels(&common::unchecked_engine(), &options).is_err());
}

#[test]
fn kernels_that_go_through_memory_once_are_measured_beside_a_copy() {
    let options = Options { rows: 1, repeats: 3, sample: 0.0, ..Options::default() };
    let rows = relabel::bench::elementwise(&common::unchecked_engine(), &options).expect("rows");
    assert_eq!((rows[0].name.as_str(), rows[0].shape.as_str()), ("ceiling: copy", "16 MiB: 100 % of the copy's rate"));
    for name in ["relu", "batch_norm_stats", "batch_norm_relu_project", "axpby", "sum_rows", "broadcast_rows"] {
        assert_eq!(rows.iter().filter(|r| r.name == name).count(), 3, "{name}: 3 layers of ResNet-32");
    }
    for row in &rows {
        assert!(row.milliseconds > 0.0 && row.gbytes_per_s > 0.0 && row.spread >= 0.0 && row.repeats == 3, "{row:?}");
        let share =
            row.shape.rsplit_once(": ").and_then(|(_, s)| s.split(' ').next()).and_then(|s| s.parse::<f64>().ok());
        let expected = 100.0 * row.gbytes_per_s / rows[0].gbytes_per_s;
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
    assert!(rows[2].shape.contains("gradient off by 0.0e0"), "{rows:?}");
}
