//! The examples, as a reader of the documents would run them.

#[path = "../examples/build_a_graph.rs"]
mod build_a_graph;
#[path = "../examples/load_a_dataset.rs"]
mod load_a_dataset;
#[path = "../examples/predict_from_a_checkpoint.rs"]
mod predict_from_a_checkpoint;
#[path = "../examples/train_with_a_method.rs"]
mod train_with_a_method;

use relabel::gpu::Options;
use relabel::session;
use relabel::train::checkpoint::LAST;
use relabel::train::events::Silent;

use super::common::engine;
use super::small::{Pictures, config};

fn options() -> Options {
    let adapter = std::env::var("RELABEL_TEST_ADAPTER").unwrap_or_else(|_| "auto".into()).parse().unwrap();
    Options { adapter, ..Options::default() }
}

#[test]
fn a_graph_agrees_with_the_interpreter() {
    let error = build_a_graph::run(&options()).unwrap();
    // Sums of 8 products of size 1 in float32.
    assert!(error > 0.0 && error < 1e-5, "{error:e}");
}

#[test]
fn a_dataset_is_loaded() {
    let labels = load_a_dataset::run().unwrap();
    assert_eq!(labels.len(), 16);
    assert!(labels.iter().all(|&l| l < 10) && labels.iter().any(|&l| l != labels[0]), "{labels:?}");
    assert_eq!(load_a_dataset::run().unwrap(), labels);
}

#[test]
fn a_method_trains() {
    let metrics = train_with_a_method::run(&options()).unwrap();
    let names: Vec<&str> = metrics.iter().map(|(n, _)| n.as_str()).collect();
    assert!(names.contains(&"aggregated_accuracy") && names.contains(&"single_accuracy"), "{names:?}");
    let aggregated = metrics.iter().find(|(n, _)| n == "aggregated_accuracy").unwrap().1;
    // Ten classes: chance is 0.1.
    assert!(aggregated > 0.2 && aggregated <= 1.0, "{metrics:?}");
}

#[test]
fn a_checkpoint_predicts() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = Pictures { train: 90, ..Pictures::default() };
    let data = pictures.npz(dir.path(), "set.npz");
    let settings =
        config(&data, &["method=baseline", "train.steps=60", "optimizer.lr=0.1", "evaluate.every=0", "log.every=60"]);
    let mut trainer = session::trainer(&engine(), settings).unwrap();
    trainer.run(Some(dir.path()), None, &mut Silent, &|| false).unwrap();
    let files: Vec<_> = (0..9).map(|i| dir.path().join(format!("{i}.png"))).collect();
    files.iter().enumerate().for_each(|(i, file)| pictures.png(100 + i, file));
    let classes = predict_from_a_checkpoint::run(&options(), &dir.path().join(LAST), &files).unwrap();
    let expected: Vec<usize> = (0..9).map(|i| usize::from(pictures.image(100 + i).0)).collect();
    let right = classes.iter().zip(&expected).filter(|(a, b)| a == b).count();
    assert!(classes.len() == 9 && right >= 8, "{classes:?} {expected:?}");
}
