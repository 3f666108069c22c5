//! The slow oracle: the same graph on the float64 twins.

use std::collections::HashMap;

use super::forward::needed;
use super::{Graph, NodeId, Source};
use crate::base::{Array, Error, Result};

/// Evaluates `outputs` and every in-place operation. `leaves` holds inputs, parameters and states.
/// In-place operations see and replace their state's value, in evaluation order.
///
/// # Errors
/// When a leaf that is needed has no value, or one of another shape.
pub fn interpret(graph: &Graph, leaves: &HashMap<NodeId, Array>, outputs: &[NodeId]) -> Result<HashMap<NodeId, Array>> {
    let mut values: HashMap<NodeId, Array> = HashMap::new();
    let mut wanted = outputs.to_vec();
    wanted.extend(super::plan::effects(graph));
    for id in needed(graph, &wanted) {
        let node = graph.node(id);
        let value = match &node.source {
            Source::Constant(value) => Array::full(node.shape.sizes(), f64::from(*value)),
            Source::Table(values) => Array::from_fn(node.shape.sizes(), |i| f64::from(values[i])),
            Source::Computed(operation) => {
                let inputs: Vec<&Array> = node.inputs.iter().map(|i| &values[i]).collect();
                operation.interpret(&inputs)
            }
            _ => leaves
                .get(&id)
                .cloned()
                .ok_or_else(|| Error::Shape(format!("the leaf `{}` has no value", node.name)))?,
        };
        if value.shape != node.shape {
            return Err(Error::Shape(format!(
                "{}: value {} where {} was declared",
                node.name, value.shape, node.shape
            )));
        }
        if let Source::Computed(operation) = &node.source
            && operation.in_place()
            && let Some(state) = node.inputs.last()
        {
            values.insert(*state, value.clone());
        }
        values.insert(id, value);
    }
    Ok(values)
}
