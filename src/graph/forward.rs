//! Forward mode: appends the nodes that compute a directional derivative.

use std::collections::HashMap;

use super::place::tangent_of;
use super::{Graph, NodeId, Source};
use crate::base::{Error, Result};

/// The tangents of `outputs` when each `(node, tangent)` of `directions` moves; `None` where an output does not
/// depend on any of them.
///
/// # Errors
/// When a tangent's shape is not its node's, or an operation on the way has no derivative.
pub fn forward(graph: &mut Graph, directions: &[(NodeId, NodeId)], outputs: &[NodeId]) -> Result<Vec<Option<NodeId>>> {
    let mut tangents: HashMap<NodeId, NodeId> = HashMap::new();
    for &(node, tangent) in directions {
        if graph.shape(node) != graph.shape(tangent) {
            let name = &graph.node(node).name;
            return Err(Error::Shape(format!("{name} {}: tangent {}", graph.shape(node), graph.shape(tangent))));
        }
        tangents.insert(node, tangent);
    }
    let needed = needed(graph, outputs);
    for id in needed {
        if tangents.contains_key(&id) {
            continue;
        }
        let node = graph.node(id).clone();
        let Source::Computed(operation) = &node.source else { continue };
        let moving: Vec<Option<NodeId>> = node.inputs.iter().map(|i| tangents.get(i).copied()).collect();
        if moving.iter().all(Option::is_none) {
            continue;
        }
        let scope = tangent_of(&node.name);
        if let Some(tangent) = graph.scope(&scope, |g| operation.jvp(g, &node.inputs, id, &moving))? {
            if graph.shape(tangent) != &node.shape {
                return Err(Error::Shape(format!("{}: tangent {} of {}", node.name, graph.shape(tangent), node.shape)));
            }
            tangents.insert(id, tangent);
        }
    }
    Ok(outputs.iter().map(|id| tangents.get(id).copied()).collect())
}

/// Ancestors of `outputs` (themselves included) in evaluation order.
pub(crate) fn needed(graph: &Graph, outputs: &[NodeId]) -> Vec<NodeId> {
    let mut wanted = vec![false; graph.nodes().len()];
    let mut stack: Vec<NodeId> = outputs.to_vec();
    while let Some(id) = stack.pop() {
        if !std::mem::replace(&mut wanted[id.0 as usize], true) {
            stack.extend(&graph.node(id).inputs);
        }
    }
    (0..wanted.len() as u32).map(NodeId).filter(|id| wanted[id.0 as usize]).collect()
}
