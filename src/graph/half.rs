//! How finely a graph computes, and which of its values are kept in half precision: feature maps and their gradients. Weights, their gradients,
//! statistics, logits and losses stay in single precision, and kernels compute in it: what is halved is memory and its
//! traffic, as PyTorch's autocast does for convolutions.

use std::any::Any;

use serde::{Deserialize, Serialize};

use super::ops::conv2d::Conv2dWeightGrad;
use super::{Graph, NodeId, Source};
use crate::base::DType;

/// How feature maps are kept and multiplied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// 32-bit floats, rounded to 11 bits where matrix units multiply them.
    Tf32,
    /// 16-bit floats.
    F16,
}

/// Keeps feature maps in half precision, but for those that `stays` names: they are read back, or live outside the plan.
pub fn halve(graph: &mut Graph, stays: &dyn Fn(NodeId) -> bool) {
    let mut maps = vec![false; graph.nodes().len()];
    for (i, node) in graph.nodes().iter().enumerate() {
        let images: Vec<NodeId> = node.inputs.iter().copied().filter(|&input| graph.shape(input).rank() == 4).collect();
        maps[i] = node.shape.rank() == 4
            && node.dtype == DType::F32
            && match &node.source {
                Source::Input => true,
                // What is made of weights alone are weights: those of a look-ahead step, directions.
                Source::Computed(operation) => {
                    let operation: &dyn Any = &**operation;
                    !operation.is::<Conv2dWeightGrad>()
                        && (images.is_empty() || images.iter().any(|input| maps[input.0 as usize]))
                }
                _ => false,
            };
    }
    for id in (0..maps.len() as u32).map(NodeId) {
        let kept = match &graph.node(id).source {
            Source::Computed(operation) => operation.in_place() || stays(id),
            _ => true,
        };
        if maps[id.0 as usize] && !kept {
            graph.keep_as(id, DType::F16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::reverse;
    use crate::kernels::conv2d::Convolution;

    #[test]
    fn feature_maps_and_their_gradients_are_halved_and_nothing_else() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[2, 6, 6, 4], DType::F32);
        let w = graph.parameter("w", &[3, 3, 4, 8]);
        let rate = graph.input("rate", &[1], DType::F32);
        let convolution = Convolution { stride: 1, padding: 1 };
        let pass = |graph: &mut Graph, w| {
            let map = graph.conv2d(x, w, convolution).expect("fits");
            let map = graph.relu(map).expect("fits");
            let loss = graph.mean_all(map).expect("fits");
            let slope = reverse(graph, loss, &[w]).expect("differentiable")[0];
            (map, loss, slope)
        };
        let (map, _, slope) = pass(&mut graph, w);
        let ahead = graph.add_scaled(w, slope, rate, -1.0).expect("fits");
        let (map_ahead, loss, slope_ahead) = pass(&mut graph, ahead);
        let kept = map_ahead;
        halve(&mut graph, &|id| id == kept);
        let halves = |id: NodeId| graph.node(id).dtype == DType::F16;
        assert!(halves(map));
        assert!(![x, w, slope, ahead, slope_ahead, loss, kept].into_iter().any(halves));
        let gradients = graph.nodes().iter().filter(|n| n.dtype == DType::F16).count();
        assert_eq!(gradients, 7, "three maps, and two gradients of each pass");
    }
}
