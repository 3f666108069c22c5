//! From a graph to buffers: what runs in which order, which tensors share a buffer, how much memory that takes.

use std::collections::HashMap;

use super::forward::needed;
use super::{Graph, NodeId, Source};
use crate::base::Shape;

/// In-place operations: they run although nobody reads them.
pub fn effects(graph: &Graph) -> Vec<NodeId> {
    let all = (0..graph.nodes().len() as u32).map(NodeId);
    all.filter(|&id| matches!(&graph.node(id).source, Source::Computed(op) if op.in_place())).collect()
}

/// Which buffer of the plan's pool a tensor lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(pub usize);

/// Order, buffers and memory of a graph.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Nodes to record, in order.
    pub order: Vec<NodeId>,
    /// Where each computed node and constant that is not placed from outside lives.
    pub slots: HashMap<NodeId, Slot>,
    /// Scratch buffers of each node, alive during that node alone.
    pub scratch: HashMap<NodeId, Vec<(Slot, Shape)>>,
    /// Size of each pool buffer in bytes.
    pub sizes: Vec<u64>,
    /// Name of the largest tensor of each pool buffer, for messages.
    pub largest: Vec<String>,
}

impl Plan {
    /// Plans `outputs` and every in-place operation. Tensors in `placed` live elsewhere (leaves, gradients that go
    /// straight into a flat buffer); `outputs` keep their buffer to the end.
    ///
    /// Buffers are separate device buffers, because one dispatch must not read and write the same one and barriers are
    /// per buffer. A tensor takes the free buffer whose size fits best; sizes are settled at the end, so a buffer that
    /// is too small grows.
    pub fn new(graph: &Graph, outputs: &[NodeId], placed: &dyn Fn(NodeId) -> bool) -> Self {
        let mut wanted = outputs.to_vec();
        wanted.extend(effects(graph));
        let order = needed(graph, &wanted);
        let mut last_use: HashMap<NodeId, usize> = HashMap::new();
        for (at, &id) in order.iter().enumerate() {
            last_use.insert(id, at);
            for &input in &graph.node(id).inputs {
                last_use.insert(input, at);
            }
        }
        for &output in outputs {
            last_use.insert(output, usize::MAX);
        }
        let mut plan = Self {
            order: order.clone(),
            slots: HashMap::new(),
            scratch: HashMap::new(),
            sizes: Vec::new(),
            largest: Vec::new(),
        };
        let mut free: Vec<usize> = Vec::new();
        for (at, &id) in order.iter().enumerate() {
            let node = graph.node(id);
            let in_place = matches!(&node.source, Source::Computed(op) if op.in_place());
            match &node.source {
                Source::Constant(_) | Source::Table(_) => {
                    // Written once before the first run, so it never shares.
                    let slot = plan.grow(node.shape.bytes_of(node.dtype), &node.name);
                    plan.slots.insert(id, Slot(slot));
                }
                Source::Computed(op) => {
                    if !in_place && !placed(id) {
                        let slot = plan.take(&mut free, node.shape.bytes_of(node.dtype), &node.name);
                        plan.slots.insert(id, Slot(slot));
                    }
                    let inputs: Vec<&Shape> = node.inputs.iter().map(|&i| graph.shape(i)).collect();
                    let mut held = Vec::new();
                    for shape in op.scratch(&inputs, &node.shape) {
                        let slot = plan.take(&mut free, shape.bytes(), &format!("{} (scratch)", node.name));
                        held.push((Slot(slot), shape));
                    }
                    free.extend(held.iter().map(|(slot, _)| slot.0));
                    plan.scratch.insert(id, held);
                }
                _ => {}
            }
            let mut ended: Vec<NodeId> = node.inputs.clone();
            ended.push(id);
            ended.sort_unstable();
            ended.dedup();
            for id in ended {
                let computed = matches!(graph.node(id).source, Source::Computed(_));
                if computed
                    && last_use[&id] == at
                    && let Some(slot) = plan.slots.get(&id)
                {
                    free.push(slot.0);
                }
            }
        }
        plan
    }

    /// Bytes of all pool buffers.
    pub fn bytes(&self) -> u64 {
        self.sizes.iter().sum()
    }

    fn grow(&mut self, bytes: u64, name: &str) -> usize {
        self.sizes.push(bytes);
        self.largest.push(name.to_owned());
        self.sizes.len() - 1
    }

    fn take(&mut self, free: &mut Vec<usize>, bytes: u64, name: &str) -> usize {
        let fits =
            free.iter().enumerate().filter(|(_, s)| self.sizes[**s] >= bytes).min_by_key(|(_, s)| self.sizes[**s]);
        let place = fits.or_else(|| free.iter().enumerate().max_by_key(|(_, s)| self.sizes[**s])).map(|(i, _)| i);
        let Some(place) = place else { return self.grow(bytes, name) };
        let slot = free.swap_remove(place);
        if self.sizes[slot] < bytes {
            self.sizes[slot] = bytes;
            name.clone_into(&mut self.largest[slot]);
        }
        slot
    }
}
