//! What a node's name says: on which way through the graph it stands, in which layer, which operation it is.
//!
//! A name is its scopes and its operation with dots between: `layer1.0.conv1.conv2d`. `reverse` and `forward` name the
//! nodes of a derivative after the node that they differentiate: `grad.layer1.0.conv1.conv2d.conv2d_weight_grad`. What
//! moves weights begins with `update.`. Labels of dispatches are these names.

use std::fmt;

/// On which way through the graph a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// Inputs, layers, losses, metrics.
    Forward,
    /// What reverse mode appended.
    Backward,
    /// What forward mode appended.
    Tangent,
    /// New weights from gradients.
    Update,
}

impl Way {
    /// All, in the order of a training step.
    pub const ALL: [Self; 4] = [Self::Forward, Self::Backward, Self::Tangent, Self::Update];
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
            Self::Tangent => "tangent",
            Self::Update => "update",
        })
    }
}

const GRADIENT: &str = "grad.";
const TANGENT: &str = "tangent.";
const UPDATE: &str = "update.";

/// The scope of nodes that reverse mode appends for the node `name`.
pub(super) fn gradient_of(name: &str) -> String {
    format!("{GRADIENT}{name}")
}

/// The scope of nodes that forward mode appends for the node `name`.
pub(super) fn tangent_of(name: &str) -> String {
    format!("{TANGENT}{name}")
}

/// The name of what moves weights.
pub fn update(name: &str) -> String {
    format!("{UPDATE}{name}")
}

/// A name taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// On which way.
    pub way: Way,
    /// The scope of the layer, also of its derivatives; the operation where there is no scope.
    pub layer: &'a str,
}

impl<'a> Place<'a> {
    /// What `name` says.
    pub fn of(name: &'a str) -> Self {
        let (mut rest, mut way, mut derivatives) = (name, None, 0);
        if let Some(inner) = rest.strip_prefix(UPDATE) {
            (rest, way) = (inner, Some(Way::Update));
        }
        loop {
            let (inner, found) = match (rest.strip_prefix(GRADIENT), rest.strip_prefix(TANGENT)) {
                (Some(inner), _) => (inner, Way::Backward),
                (_, Some(inner)) => (inner, Way::Tangent),
                _ => break,
            };
            // The outermost derivative is the one that appended the node.
            way = way.or(Some(found));
            (rest, derivatives) = (inner, derivatives + 1);
        }
        let mut layer = rest;
        for _ in 0..=derivatives {
            layer = layer.rsplit_once('.').map_or(layer, |(scope, _)| scope);
        }
        Self { way: way.unwrap_or(Way::Forward), layer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::DType;
    use crate::graph::{Graph, NodeId, forward, reverse};

    fn place(name: &str) -> (Way, &str) {
        let Place { way, layer } = Place::of(name);
        (way, layer)
    }

    #[test]
    fn names_say_way_and_layer() {
        assert_eq!(place("layer1.0.conv1.conv2d"), (Way::Forward, "layer1.0.conv1"));
        assert_eq!(place("grad.layer1.0.conv1.conv2d.conv2d_weight_grad"), (Way::Backward, "layer1.0.conv1"));
        assert_eq!(place("tangent.head.add_bias.add_bias"), (Way::Tangent, "head"));
        assert_eq!(place("grad.tangent.head.linear.matmul.matmul"), (Way::Backward, "head"));
        assert_eq!(place("update.optimizer"), (Way::Update, "optimizer"));
        assert_eq!(place("update.ahead.conv1.weight.add_scaled"), (Way::Update, "ahead.conv1.weight"));
        assert_eq!(place("cross_entropy"), (Way::Forward, "cross_entropy"));
        assert_eq!(place("grad.cross_entropy.cross_entropy_grad"), (Way::Backward, "cross_entropy"));
        assert_eq!(place("gradient.relu"), (Way::Forward, "gradient"));
    }

    /// Every node that the two modes append, sums of several gradients included, is found in its layer.
    #[test]
    fn derivatives_stand_in_the_layer_of_what_they_differentiate() {
        let mut g = Graph::new();
        let x = g.input("x", &[2, 4], DType::F32);
        let w = g.parameter("head.weight", &[4, 4]);
        let twice: NodeId = g.scope("head", |g| {
            let y = g.linear(x, w).expect("shapes");
            let r = g.relu(y).expect("shapes");
            g.mul(r, y).expect("shapes")
        });
        let loss = g.scope("loss", |g| g.mean_all(twice)).expect("shapes");
        let count = g.nodes().len();
        reverse(&mut g, loss, &[w]).expect("derivatives");
        let backward = g.nodes().len();
        let t = g.input("t", &[4, 4], DType::F32);
        forward(&mut g, &[(w, t)], &[twice]).expect("derivatives");
        let mut layers = std::collections::HashSet::new();
        for (i, node) in
            g.nodes().iter().enumerate().filter(|(_, n)| matches!(n.source, super::super::Source::Computed(_)))
        {
            let (way, layer) = place(&node.name);
            let expected = if i < count {
                Way::Forward
            } else if i < backward {
                Way::Backward
            } else {
                Way::Tangent
            };
            assert_eq!(way, expected, "{}", node.name);
            assert!(layer == "head" || layer == "loss", "{}", node.name);
            layers.insert((way, layer.to_owned()));
        }
        assert!(
            g.nodes().iter().any(
                |n| n.name == "grad.head.linear.add" || n.name.starts_with("grad.head") && n.name.ends_with(".add")
            ),
            "a sum of gradients"
        );
        assert_eq!(layers.len(), 5, "{layers:?}");
    }
}
