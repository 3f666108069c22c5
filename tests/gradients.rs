//! Walks the operations' examples: device against interpreter, both derivatives against finite differences in float64,
//! reverse against forward mode. Each operation stands mid-graph under a random weighting, so that a rule that ignores
//! its upstream gradient fails.

use std::collections::HashMap;

use relabel::base::compare::relative_error;
use relabel::base::{Array, DType};
use relabel::gpu::{Engine, Program, Tensor, Variants, readback};
use relabel::graph::interpret::interpret;
use relabel::graph::ops::{Example, examples};
use relabel::graph::{Executor, Graph, NodeId, Source, forward, reverse};

use crate::common;

/// A step at which central differences of float64 functions are exact to about 1e-9.
const STEP: f64 = 1e-5;
/// Room for the difference quotient's own error, relative to the largest value.
const DIFFERENCE: f64 = 1e-6;

struct Built {
    graph: Graph,
    leaves: Vec<NodeId>,
    values: HashMap<NodeId, Array>,
    output: NodeId,
}

fn build(example: &Example) -> Result<Built, String> {
    let mut graph = Graph::new();
    let mut values = HashMap::new();
    let mut leaves = Vec::new();
    for (i, (array, dtype)) in example.inputs.iter().enumerate() {
        let leaf = if example.in_place && i + 1 == example.inputs.len() {
            graph.state("state", array.sizes())
        } else if *dtype == DType::U32 {
            graph.input(&format!("x{i}"), array.sizes(), DType::U32)
        } else {
            graph.parameter(&format!("x{i}"), array.sizes())
        };
        values.insert(leaf, array.clone());
        leaves.push(leaf);
    }
    let output = (example.build)(&mut graph, &leaves).map_err(|e| e.to_string())?;
    Ok(Built { graph, leaves, values, output })
}

fn close(what: &str, actual: &Array, expected: &Array, bound: f64) -> Result<(), String> {
    let largest = expected.data.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
    for (i, (a, e)) in actual.data.iter().zip(&expected.data).enumerate() {
        // NaN is not within.
        let within = (a - e).abs() <= bound * largest;
        if !within {
            return Err(format!("{what}: at {i} {a} where {e} was expected (largest {largest}, bound {bound})"));
        }
    }
    Ok(())
}

fn shifted(values: &HashMap<NodeId, Array>, directions: &[(NodeId, Array)], step: f64) -> HashMap<NodeId, Array> {
    let mut moved = values.clone();
    for (id, v) in directions {
        let x = moved[id].zip(v, |x, v| x + step * v);
        moved.insert(*id, x);
    }
    moved
}

fn check(engine: &Engine, example: &Example) -> Result<(), String> {
    let text = |e: relabel::base::Error| e.to_string();
    let Built { mut graph, leaves, mut values, output } = build(example)?;
    let plain = graph.clone();
    let moving: Vec<NodeId> =
        leaves.iter().zip(&example.differentiable).filter(|(_, d)| **d).map(|(l, _)| *l).collect();
    let mut outputs = vec![output];
    if !moving.is_empty() {
        let sizes = graph.shape(output).sizes().to_vec();
        let weight = graph.input("weight", &sizes, DType::F32);
        values.insert(weight, Array::normal(&sizes, 1.0, 901));
        let weighted = graph.mul(output, weight).map_err(text)?;
        let loss = graph.sum_all(weighted, 0.5).map_err(text)?;
        let gradients = reverse(&mut graph, loss, &moving).map_err(text)?;
        let mut directions = Vec::new();
        for (i, &leaf) in moving.iter().enumerate() {
            let sizes = graph.shape(leaf).sizes().to_vec();
            let direction = graph.input(&format!("direction{i}"), &sizes, DType::F32);
            values.insert(direction, Array::normal(&sizes, 1.0, 700 + i as u64));
            directions.push((leaf, direction));
        }
        if forward(&mut graph, &[], &[output]).map_err(text)?[0].is_some() {
            return Err("jvp: a tangent without a direction".into());
        }
        let tangent = forward(&mut graph, &directions, &[output]).map_err(text)?[0].ok_or("jvp: no tangent")?;
        let mut twice = Vec::new();
        for &(leaf, direction) in &directions {
            twice.push((leaf, graph.scale(direction, 2.0).map_err(text)?));
        }
        let doubled = forward(&mut graph, &twice, &[output]).map_err(text)?[0].ok_or("jvp: no tangent")?;
        outputs.extend(&gradients);
        outputs.push(tangent);

        let mut all = outputs.clone();
        all.extend([loss, doubled]);
        let found = interpret(&graph, &values, &all).map_err(text)?;
        let directions: Vec<(NodeId, Array)> = directions.iter().map(|(l, d)| (*l, values[d].clone())).collect();
        let at = |step: f64, along: &[(NodeId, Array)]| -> Result<Array, String> {
            Ok(interpret(&plain, &shifted(&values, along, step), &[output]).map_err(text)?[&output].clone())
        };
        let up = at(STEP, &directions)?;
        let quotient = up.zip(&at(-STEP, &directions)?, |a, b| (a - b) / (2.0 * STEP));
        close("jvp against differences", &found[&tangent], &quotient, DIFFERENCE)?;
        if quotient.data.iter().all(|v| v.abs() < 1e-9) {
            return Err("jvp: the tangent is zero, this example proves nothing".into());
        }
        close("jvp is linear", &found[&doubled], &found[&tangent].map(|v| 2.0 * v), 1e-12)?;
        let w = &values[&weight];
        for (&leaf, gradient) in moving.iter().zip(&gradients) {
            let mut expected = Array::zeros(graph.shape(leaf).sizes());
            for i in 0..expected.data.len() {
                let mut one = Array::zeros(expected.sizes());
                one.data[i] = 1.0;
                let along = [(leaf, one)];
                let change = at(STEP, &along)?.zip(&at(-STEP, &along)?, |a, b| (a - b) / (2.0 * STEP));
                expected.data[i] = 0.5 * change.zip(w, |c, w| c * w).data.iter().sum::<f64>();
            }
            close(&format!("vjp of {}", graph.node(leaf).name), &found[gradient], &expected, DIFFERENCE)?;
        }
        let dot = |a: &Array, b: &Array| a.zip(b, |x, y| x * y).data.iter().sum::<f64>();
        let by_forward = 0.5 * dot(&found[&tangent], w);
        let by_reverse: f64 = gradients.iter().zip(&directions).map(|(g, (_, d))| dot(&found[g], d)).sum();
        if (by_forward - by_reverse).abs() > 1e-9 * (1.0 + by_forward.abs()) {
            return Err(format!("reverse {by_reverse} and forward {by_forward} disagree"));
        }
    }
    device(engine, example, &graph, &values, &outputs)
}

fn device(
    engine: &Engine,
    example: &Example,
    graph: &Graph,
    values: &HashMap<NodeId, Array>,
    outputs: &[NodeId],
) -> Result<(), String> {
    let text = |e: relabel::base::Error| e.to_string();
    let expected = interpret(graph, values, outputs).map_err(text)?;
    let mut placed: HashMap<NodeId, Tensor> = HashMap::new();
    for (&id, array) in values {
        let node = graph.node(id);
        placed.insert(id, engine.upload(&node.name, array, node.dtype).map_err(text)?);
    }
    let executor = Executor::new(engine, graph, outputs, &placed, &Variants::default()).map_err(text)?;
    let program = Program::new(engine, executor.recording()).map_err(text)?;
    program.run(engine, 1).map_err(text)?;
    for &id in outputs {
        let node = graph.node(id);
        let tensor = executor.tensor(id).map_err(text)?;
        let actual: Vec<f32> = match node.dtype {
            DType::F32 | DType::F16 => readback::read(engine, tensor).map_err(text)?,
            DType::U32 => readback::read::<u32>(engine, tensor).map_err(text)?.iter().map(|&v| v as f32).collect(),
        };
        let error = relative_error(&actual, &expected[&id].data);
        let all_zero = expected[&id].data.iter().all(|&v| v == 0.0);
        let within = error <= example.tolerance || all_zero && actual.iter().all(|&v| v == 0.0);
        if !within {
            return Err(format!("device: {} is off by {error} (allowed {})", node.name, example.tolerance));
        }
    }
    Ok(())
}

#[test]
fn operations_and_both_derivatives() {
    let engine = common::engine();
    let only = std::env::var("RELABEL_TEST_OP").ok();
    let all = examples();
    assert!(all.len() > 3, "no examples");
    let mut failures = Vec::new();
    for example in all.iter().filter(|e| only.as_deref().is_none_or(|o| e.name.starts_with(o))) {
        if let Err(text) = check(&engine, example) {
            failures.push(format!("{}: {text}", example.name));
        }
    }
    assert!(failures.is_empty(), "{} of {} examples failed:\n{}", failures.len(), all.len(), failures.join("\n"));
}

#[test]
fn leaves_without_values_are_refused() {
    let mut graph = Graph::new();
    let x = graph.parameter("x", &[2, 3]);
    let y = graph.relu(x).expect("shapes");
    assert!(matches!(graph.node(x).source, Source::Parameter));
    let error = interpret(&graph, &HashMap::new(), &[y]).expect_err("no value");
    assert!(error.to_string().contains("`x`"), "{error}");
}
