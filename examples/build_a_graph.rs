//! Builds a small network as a graph, takes its gradient, and runs it on the device and on the float64 interpreter.
//!
//!     cargo run --release --example build_a_graph

use std::collections::HashMap;

use relabel::base::{Array, DType, Result};
use relabel::gpu::{Engine, Options, Program, Variants, readback};
use relabel::graph::interpret::interpret;
use relabel::graph::{Executor, Graph, reverse};

/// Prints the loss and the largest difference between device and interpreter, and returns the difference.
pub fn run(options: &Options) -> Result<f64> {
    let engine = Engine::open(options)?;

    // y = relu(x·w + b), loss = mean(y²): everything is appended to one graph, the gradient too.
    let mut graph = Graph::new();
    let x = graph.input("x", &[5, 8], DType::F32);
    let w = graph.parameter("w", &[8, 3]);
    let b = graph.parameter("b", &[3]);
    let product = graph.linear(x, w)?;
    let sum = graph.add_bias(product, b)?;
    let y = graph.relu(sum)?;
    let square = graph.mul(y, y)?;
    let loss = graph.mean_all(square)?;
    let gradients = reverse(&mut graph, loss, &[w, b])?;

    let values = HashMap::from([
        (x, Array::normal(&[5, 8], 1.0, 1)),
        (w, Array::normal(&[8, 3], 0.5, 2)),
        (b, Array::normal(&[3], 0.1, 3)),
    ]);
    let mut placed = HashMap::new();
    for (&node, array) in &values {
        let tensor = engine.tensor(&graph.node(node).name, array.shape.clone(), DType::F32)?;
        engine.write(&tensor, &array.to_f32());
        placed.insert(node, tensor);
    }
    let outputs = [loss, gradients[0], gradients[1]];
    let executor = Executor::new(&engine, &graph, &outputs, &placed, &Variants::default())?;
    Program::new(&engine, executor.recording())?.run(&engine, 1)?;

    let expected = interpret(&graph, &values, &outputs)?;
    let mut worst = 0.0f64;
    for node in outputs {
        let found: Vec<f32> = readback::read(&engine, executor.tensor(node)?)?;
        for (a, e) in found.iter().zip(&expected[&node].data) {
            worst = worst.max((f64::from(*a) - e).abs());
        }
    }
    println!(
        "loss {:.6} on {}; device and interpreter differ by {worst:.1e}",
        expected[&loss].data[0],
        engine.describe()
    );
    Ok(worst)
}

#[allow(dead_code, reason = "the tests include this file as a module and call `run`")]
fn main() -> Result<()> {
    run(&Options::default()).map(drop)
}
