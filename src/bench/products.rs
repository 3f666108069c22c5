//! Every distinct product of the networks that matter: what a training step of each convolves and multiplies, taken from
//! the graph of its step.

use super::Options;
use super::kernels::{Measured, measure};
use super::networks::{NETWORKS, Network};
use crate::base::{DType, Result, Shape};
use crate::gpu::{Engine, Tensor};
use crate::graph::{Io, Source};
use crate::kernels::ceilings::noise;

/// The products of each network's training step, each distinct one once.
pub(super) fn products(engine: &Engine, options: &Options, measured: &mut Measured) -> Result<()> {
    let mut networks = NETWORKS.iter().filter(|n| options.full || !n.full);
    networks.try_for_each(|network| of(engine, options, network, measured))
}

fn of(engine: &Engine, options: &Options, network: &Network, measured: &mut Measured) -> Result<()> {
    let (graph, nodes) = network.step(options)?;
    let mut seen = Vec::new();
    for id in nodes {
        let node = graph.node(id);
        let Source::Computed(op) = &node.source else { continue };
        if !["conv2d", "linear"].iter().any(|kind| op.name().starts_with(kind)) {
            continue;
        }
        let shapes: Vec<&Shape> = node.inputs.iter().map(|&input| graph.shape(input)).collect();
        let key = format!("{op:?} {shapes:?}");
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        let shape = format!("{} {}", network.label, sizes(op.name(), [shapes[0], shapes[1], &node.shape]));
        let row = engine.passing(|| {
            let inputs = shapes.iter().map(|s| noise(engine, s.sizes())).collect::<Result<Vec<Tensor>>>()?;
            let inputs: Vec<&Tensor> = inputs.iter().collect();
            let output = engine.tensor("output", node.shape.clone(), DType::F32)?;
            let scratch = op.scratch(&shapes, &node.shape).into_iter();
            let scratch = scratch.map(|s| engine.tensor("scratch", s, DType::F32)).collect::<Result<Vec<Tensor>>>()?;
            let scratch: Vec<&Tensor> = scratch.iter().collect();
            let io = Io { inputs: &inputs, output: &output, scratch: &scratch };
            measure(engine, options, op.name(), &shape, |r| op.record(r, &io))
        });
        measured.add(op.name(), &shape, row)?;
    }
    Ok(())
}

/// Sizes in words; a layer's three directions have the same. `shapes` are those of both factors and of the result.
fn sizes(name: &str, shapes: [&Shape; 3]) -> String {
    let [first, second, result] = shapes.map(Shape::sizes);
    let (x, w, y) = match name {
        "conv2d" | "linear" => (first, second, result),
        "conv2d_input_grad" | "linear_input_grad" => (result, second, first),
        _ => (first, result, second),
    };
    match (x, w, y) {
        (&[r, h, width, c], &[kernel, ..], &[_, out, _, n]) => {
            // The border may leave less than a whole step.
            let stride = (h as f64 / out as f64).round() as usize;
            let border = ((out - 1) * stride + kernel).saturating_sub(h).div_ceil(2);
            let border = if border == kernel / 2 { String::new() } else { format!(", border {border}") };
            let kernel = if kernel == 3 { String::new() } else { format!(", {kernel}x{kernel}") };
            format!("{r}x{h}x{width}x{c} to {n}, stride {stride}{kernel}{border}")
        }
        (&[r, d], _, &[_, n]) => format!("{r}x{d} to {n}"),
        _ => format!("{x:?} to {y:?}"),
    }
}
