//! Gradients in one flat buffer, so that the optimizer is one dispatch.

use std::collections::{HashMap, HashSet};

use crate::base::Result;
use crate::gpu::Tensor;
use crate::graph::{NodeId, Source, Store};
use crate::nn::Builder;

/// Sends the gradient of each parameter straight into its place in `store`; returns the nodes that now live there.
/// A gradient that cannot be placed (it is shared by two parameters, or no computed node) is copied.
///
/// # Errors
/// When `store` lacks a parameter.
pub fn place_gradients(
    b: &mut Builder,
    parameters: &[NodeId],
    gradients: &[NodeId],
    store: &Store,
    placed: &mut HashMap<NodeId, Tensor>,
) -> Result<Vec<NodeId>> {
    let mut taken = HashSet::new();
    let mut nodes = Vec::with_capacity(parameters.len());
    for (&parameter, &gradient) in parameters.iter().zip(gradients) {
        let computed = matches!(b.graph.node(gradient).source, Source::Computed(_));
        let fresh = computed && !placed.contains_key(&gradient) && taken.insert(gradient);
        let node = if fresh { gradient } else { b.graph.scale(gradient, 1.0)? };
        placed.insert(node, store.get(&b.graph.node(parameter).name)?.clone());
        nodes.push(node);
    }
    Ok(nodes)
}
