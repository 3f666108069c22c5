//! What is written comes back, from the host and from a graph, in one window and in several.

use std::collections::HashMap;

use relabel::base::{Array, DType, Shape};
use relabel::gpu::{Program, Tensor, Variants};
use relabel::graph::{Executor, Graph};
use relabel::transport::RowStore;

use crate::common::engine;

/// Float16's rounding errs by 2⁻¹¹ of a value, at most.
fn near(a: &[f32], b: &[f32], half: bool) {
    assert_eq!(a.len(), b.len());
    let bound = if half { 2f32.powi(-11) } else { 0.0 };
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        assert!((x - y).abs() <= bound * y.abs().max(1e-4), "at {i}: {x}, written {y}");
    }
}

#[test]
fn rows_come_back() {
    for (rows, columns, most) in [(13, 5, None), (13, 5, Some(4)), (8, 6, Some(4)), (7, 9, Some(1)), (1, 1, None)] {
        for half in [false, true] {
            let store = RowStore::new(&engine(), "rows", rows, columns, half, most).unwrap();
            assert_eq!(store.windows().len(), rows.div_ceil(most.unwrap_or(rows)));
            let values = Array::normal(&[rows, columns], 3.0, 1).to_f32();
            store.write(&engine(), &values).unwrap();
            let back = store.read(&engine()).unwrap();
            near(&back, &values, half);
            assert_eq!(half, back != values, "float16 rounds, float32 does not");
        }
    }
}

#[test]
fn what_passes_float16_stays_finite() {
    let store = RowStore::new(&engine(), "rows", 1, 3, true, None).unwrap();
    store.write(&engine(), &[1e6, -1e6, 1.0]).unwrap();
    assert_eq!(store.read(&engine()).unwrap(), [65504.0, -65504.0, 1.0]);
}

#[test]
fn wrong_sizes_are_refused() {
    assert!(RowStore::new(&engine(), "rows", 0, 3, false, None).is_err());
    let store = RowStore::new(&engine(), "rows", 2, 3, false, None).unwrap();
    let text = store.write(&engine(), &[0.0; 5]).unwrap_err().to_string();
    assert!(text.contains("5 values for 2 rows of 3"), "{text}");
}

/// Batches in a shuffled order, the last one padded, through a graph that writes every window.
#[test]
fn a_graph_fills_a_store() {
    let engine = engine();
    let (rows, columns, batch) = (11, 6, 4);
    for half in [false, true] {
        let store = RowStore::new(&engine, "rows", rows, columns, half, Some(5)).unwrap();
        let mut graph = Graph::new();
        let values = graph.input("values", &[batch, columns], DType::F32);
        let draws = graph.input("draws", &[batch, 4], DType::U32);
        let labels = graph.input("labels", &[batch], DType::U32);
        let mut placed = HashMap::new();
        let leaf = |node, name: &str, sizes: &[usize], dtype| {
            let tensor: Tensor = engine.tensor(name, Shape::new(sizes), dtype).unwrap();
            (node, tensor)
        };
        placed.extend([
            leaf(values, "values", &[batch, columns], DType::F32),
            leaf(draws, "draws", &[batch, 4], DType::U32),
            leaf(labels, "labels", &[batch], DType::U32),
        ]);
        for (i, window) in store.windows().iter().enumerate() {
            let state = graph.state(&format!("window {i}"), window.shape.sizes());
            placed.insert(state, window.clone());
            graph.scatter_rows(values, draws, labels, state, i * store.window_rows(), half).unwrap();
        }
        let executor = Executor::new(&engine, &graph, &[], &placed, &Variants::default()).unwrap();
        let program = Program::new(&engine, executor.recording()).unwrap();
        let all = Array::normal(&[rows, columns], 1.0, 5).to_f32();
        let order: Vec<usize> = (0..rows).map(|i| i * 4 % rows).collect();
        for chunk in order.chunks(batch) {
            let sample = |b: usize| chunk.get(b).copied();
            let rows: Vec<f32> = (0..batch)
                .flat_map(|b| match sample(b) {
                    Some(s) => all[s * columns..(s + 1) * columns].to_vec(),
                    None => vec![99.0; columns],
                })
                .collect();
            let words: Vec<u32> = (0..batch).flat_map(|b| [0, sample(b).unwrap_or(chunk[0]) as u32, 0, 0]).collect();
            let counted: Vec<u32> = (0..batch).map(|b| sample(b).map_or(u32::MAX, |_| 3)).collect();
            engine.write(&placed[&values], &rows);
            engine.write(&placed[&draws], &words);
            engine.write(&placed[&labels], &counted);
            program.run(&engine, 1).unwrap();
        }
        near(&store.read(&engine).unwrap(), &all, half);
    }
}
