//! A planned graph on a device: its buffers, and the recording that computes it.

use std::collections::HashMap;

use super::fuse::fuse;
use super::half::{Precision, halve};
use super::plan::{Plan, Slot};
use super::{Graph, Io, NodeId, Source};
use crate::base::{DType, Error, Result, Shape};
use crate::gpu::{Engine, Factors, Recording, Tensor, Variants, WAY_OUT};
use crate::kernels::{self, join, sum_part_lists};

/// Buffers and recording of one graph. Replay it by compiling [`Executor::recording`] (with whatever follows it, such
/// as the optimizer) into a [`crate::gpu::Program`].
#[derive(Debug)]
pub struct Executor {
    tensors: HashMap<NodeId, Tensor>,
    recording: Recording,
    bytes: u64,
}

impl Executor {
    /// Fuses and plans the graph, allocates its buffers and records it.
    ///
    /// `placed` holds every parameter and state that is used, inputs that share a tensor with another graph, and
    /// computed nodes whose value goes to a given place (gradients into their flat buffer). Inputs that are not placed
    /// get a buffer of their own. `outputs` can be read after a run.
    ///
    /// # Errors
    /// When memory does not suffice, a parameter or state is not placed, or a shape does not fit.
    pub fn new(
        engine: &Engine,
        graph: &Graph,
        outputs: &[NodeId],
        placed: &HashMap<NodeId, Tensor>,
        variants: &Variants,
    ) -> Result<Self> {
        Self::in_precision(engine, graph, outputs, placed, variants, Precision::F32)
    }

    /// [`Executor::new`] with feature maps kept in a precision.
    ///
    /// # Errors
    /// As [`Executor::new`], and when the adapter has no half-precision floats.
    pub fn in_precision(
        engine: &Engine,
        graph: &Graph,
        outputs: &[NodeId],
        placed: &HashMap<NodeId, Tensor>,
        variants: &Variants,
        precision: Precision,
    ) -> Result<Self> {
        let mut graph = fuse(graph, outputs, &|id| placed.contains_key(&id))?;
        if precision == Precision::F16 {
            if !engine.features().contains(wgpu::Features::SHADER_F16) {
                return Err(Error::Config(format!(
                    "precision = \"f16\" needs half-precision floats in shaders, which {} does not offer; leave it at \
                     \"f32\", or choose another adapter (`relabel adapters` shows which have them)",
                    engine.describe()
                )));
            }
            halve(&mut graph, &|id| placed.contains_key(&id) || outputs.contains(&id));
        }
        let graph = &graph;
        let factors = match precision {
            Precision::F32 => variants.factors,
            Precision::Tf32 if some_round(variants) => Factors::Tf32,
            // The forms, and what was measured of them, are those of single precision.
            Precision::Tf32 => variants.factors,
            // Maps are half-precision numbers already: products may round weights too.
            Precision::F16 => Factors::Half,
        };
        let variants = &Variants { factors, ..variants.clone() };
        let plan = Plan::new(graph, outputs, &|id| placed.contains_key(&id));
        check(engine, graph, &plan, placed)?;
        let mut pool = Vec::with_capacity(plan.sizes.len());
        for (bytes, name) in plan.sizes.iter().zip(&plan.largest) {
            let shape = Shape::new(&[(*bytes / 4) as usize]);
            pool.push(engine.tensor(name, shape, DType::F32)?);
        }
        let mut bytes = plan.bytes();
        let mut tensors: HashMap<NodeId, Tensor> = HashMap::new();
        for &id in &plan.order {
            let node = graph.node(id);
            let tensor = match (&node.source, placed.get(&id)) {
                (_, Some(tensor)) => {
                    tensor.expect(&node.name, node.shape.sizes())?;
                    tensor.clone()
                }
                (Source::Input, None) => {
                    bytes += node.shape.bytes_of(node.dtype);
                    engine.tensor(&node.name, node.shape.clone(), node.dtype)?
                }
                (Source::Parameter | Source::State, None) => {
                    return Err(Error::Shape(format!("`{}` has no tensor", node.name)));
                }
                (Source::Constant(value), None) => {
                    let tensor = view(&pool, plan.slots[&id], &node.shape, node.dtype);
                    engine.write(&tensor, &vec![*value; node.shape.elements()]);
                    tensor
                }
                (Source::Table(values), None) => {
                    let tensor = view(&pool, plan.slots[&id], &node.shape, node.dtype);
                    engine.write(&tensor, values);
                    tensor
                }
                (Source::Computed(op), None) if op.in_place() => {
                    let state = node.inputs.last().ok_or_else(|| Error::Shape(format!("{}: no state", node.name)))?;
                    tensors[state].clone()
                }
                (Source::Computed(_), None) => view(&pool, plan.slots[&id], &node.shape, node.dtype),
            };
            tensors.insert(id, tensor);
        }
        let mut recording = engine.settled(variants, |variants| {
            let mut recording = record(graph, &plan, &pool, &tensors, variants)?;
            join::join(&mut recording)?;
            Ok(recording)
        })?;
        bytes += sum_part_lists::collect(engine, &mut recording)?;
        Ok(Self { tensors, recording, bytes })
    }

    /// The dispatches that compute the graph.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// A node's tensor. Only inputs, placed nodes and outputs hold their value after a run.
    ///
    /// # Errors
    /// When the plan left the node out because nothing needs it.
    pub fn tensor(&self, id: NodeId) -> Result<&Tensor> {
        self.tensors.get(&id).ok_or_else(|| Error::Shape(format!("node {} is not part of the plan", id.0)))
    }

    /// Bytes of the buffers that were made for this graph.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Whether a kernel is named that has forms which round factors.
fn some_round(variants: &Variants) -> bool {
    let mut named = variants.kernels.keys().copied().chain(variants.classes.values().map(|form| form.0));
    let rounds = |name| kernels::named(name).is_some_and(|kernel| kernel.shader.variants.iter().any(|v| v.rounds()));
    named.any(rounds)
}

/// A slot of the pool as a tensor.
fn view(pool: &[Tensor], slot: Slot, shape: &Shape, dtype: DType) -> Tensor {
    Tensor { buffer: pool[slot.0].buffer.clone(), offset: 0, shape: shape.clone(), dtype }
}

fn record(
    graph: &Graph,
    plan: &Plan,
    pool: &[Tensor],
    tensors: &HashMap<NodeId, Tensor>,
    variants: &Variants,
) -> Result<Recording> {
    let mut recording = Recording::new();
    recording.variants.clone_from(variants);
    for &id in &plan.order {
        let node = graph.node(id);
        let Source::Computed(op) = &node.source else { continue };
        let inputs: Vec<&Tensor> = node.inputs.iter().map(|i| &tensors[i]).collect();
        let scratch: Vec<Tensor> =
            plan.scratch[&id].iter().map(|(slot, shape)| view(pool, *slot, shape, DType::F32)).collect();
        let scratch: Vec<&Tensor> = scratch.iter().collect();
        recording.label(&node.name);
        let io = Io { inputs: &inputs, output: &tensors[&id], scratch: &scratch };
        op.record(&mut recording, &io).map_err(|e| Error::Shape(format!("{}: {e}", node.name)))?;
    }
    Ok(recording)
}

/// Refuses a plan that does not fit, before anything is allocated.
fn check(engine: &Engine, graph: &Graph, plan: &Plan, placed: &HashMap<NodeId, Tensor>) -> Result<()> {
    let limits = engine.limits();
    let most = limits.max_buffer_size.min(limits.max_storage_buffer_binding_size);
    for (bytes, name) in plan.sizes.iter().zip(&plan.largest) {
        if *bytes > most {
            return Err(Error::Memory(format!(
                "the plan does not fit: {name} needs {bytes} bytes in one binding, {} allows {most}. {WAY_OUT}",
                engine.describe()
            )));
        }
    }
    let is_made = |id: &&NodeId| matches!(graph.node(**id).source, Source::Input) && !placed.contains_key(id);
    let inputs: u64 =
        plan.order.iter().filter(is_made).map(|&id| graph.node(id)).map(|node| node.shape.bytes_of(node.dtype)).sum();
    let needed = plan.bytes() + inputs;
    if let Some(there) = engine.memory_left()
        && needed > there
    {
        return Err(Error::Memory(format!(
            "the plan does not fit: it needs {needed} bytes beside the {} in use, {} has {there} left. {WAY_OUT}",
            engine.allocated(),
            engine.describe()
        )));
    }
    Ok(())
}
