//! Reverse mode: appends the nodes that compute gradients.

use std::collections::{HashMap, HashSet};

use super::place::gradient_of;
use super::{Graph, NodeId, Source};
use crate::base::{Error, Result, Shape};

/// The gradients of a scalar by each of `wrt`, as nodes of the same graph. A node that `loss` does not depend on gets
/// a gradient of zeros.
///
/// # Errors
/// When `loss` is not a scalar, or an operation on the way has no derivative.
pub fn reverse(graph: &mut Graph, loss: NodeId, wrt: &[NodeId]) -> Result<Vec<NodeId>> {
    if *graph.shape(loss) != Shape::scalar() {
        return Err(Error::Shape(format!("reverse starts at a scalar, not {}", graph.shape(loss))));
    }
    let one = graph.constant(&[1], 1.0);
    reverse_from(graph, &[(loss, one)], wrt)
}

/// The gradients of `Σ ⟨cotangent, output⟩` over the given pairs, by each of `wrt`.
///
/// # Errors
/// When an operation on the way has no derivative.
pub fn reverse_from(graph: &mut Graph, seeds: &[(NodeId, NodeId)], wrt: &[NodeId]) -> Result<Vec<NodeId>> {
    let last = seeds.iter().map(|(output, _)| output.0).max().map_or(0, |n| n + 1);
    let reached = descendants(graph, wrt, last);
    let mut upstream: HashMap<NodeId, NodeId> = HashMap::new();
    for &(output, cotangent) in seeds {
        accumulate(graph, &mut upstream, output, cotangent)?;
    }
    for id in (0..last).rev().map(NodeId) {
        if !reached.contains(&id) {
            continue;
        }
        let Some(&dy) = upstream.get(&id) else { continue };
        let node = graph.node(id).clone();
        let Source::Computed(operation) = &node.source else { continue };
        let wanted: Vec<bool> = node.inputs.iter().map(|i| reached.contains(i)).collect();
        let scope = gradient_of(&node.name);
        let parts = graph.scope(&scope, |g| operation.vjp(g, &node.inputs, id, dy, &wanted))?;
        if parts.len() != node.inputs.len() {
            return Err(Error::Shape(format!("{}: {} gradients for {} inputs", node.name, parts.len(), wanted.len())));
        }
        for ((&input, part), wanted) in node.inputs.iter().zip(parts).zip(wanted) {
            if let (Some(part), true) = (part, wanted) {
                accumulate(graph, &mut upstream, input, part)?;
            }
        }
    }
    Ok(wrt
        .iter()
        .map(|id| {
            upstream.get(id).copied().unwrap_or_else(|| {
                let sizes = graph.shape(*id).sizes().to_vec();
                graph.constant(&sizes, 0.0)
            })
        })
        .collect())
}

fn accumulate(graph: &mut Graph, sums: &mut HashMap<NodeId, NodeId>, of: NodeId, part: NodeId) -> Result<()> {
    if graph.shape(of) != graph.shape(part) {
        let name = &graph.node(of).name;
        return Err(Error::Shape(format!("{name}: gradient {} of a value {}", graph.shape(part), graph.shape(of))));
    }
    let sum = match sums.get(&of) {
        Some(&so_far) => {
            let scope = gradient_of(&graph.node(of).name);
            graph.scope(&scope, |g| g.add(so_far, part))?
        }
        None => part,
    };
    sums.insert(of, sum);
    Ok(())
}

/// Nodes before `end` that depend on any of `roots`, the roots included.
pub(super) fn descendants(graph: &Graph, roots: &[NodeId], end: u32) -> HashSet<NodeId> {
    let mut reached: HashSet<NodeId> = roots.iter().copied().collect();
    for id in (0..end).map(NodeId) {
        if graph.node(id).inputs.iter().any(|i| reached.contains(i)) {
            reached.insert(id);
        }
    }
    reached
}
