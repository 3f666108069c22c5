//! What is computed in one pass over memory: patterns of nodes that become one operation. It works on a copy of a
//! finished graph, right before the plan; derivatives are taken of the small operations and know nothing of it.
//!
//! - batch normalisation, then a rectified linear unit: one pass; with a residual added between, too,
//! - the gradient of that: both passes of batch normalisation's work out again what the unit let through,
//! - the sum of two gradients, then a unit's derivative: one pass,
//! - factors of a sum, and of what is accumulated: part of those; multiples and copies of a constant: constants.
//!
//! A value that something else reads, or that is asked for, is stored as before.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::forward::needed;
use super::ops::add::{Add, Scale};
use super::ops::batch_norm::{Project, Train};
use super::ops::batch_norm_form::{Apply, Sums};
use super::ops::batch_norm_relu::{BatchNormRelu, BatchNormReluProject, BatchNormReluSums};
use super::ops::counters::Accumulate;
use super::ops::relu::{Relu, ReluDerivative};
use super::ops::relu_derivative_sum::ReluDerivativeSum;
use super::ops::sum_all::{Broadcast, SumAll};
use super::{Graph, NodeId, Operation, Source, plan};
use crate::base::Result;
use crate::kernels::batch_norm::Form;

/// A node's new operation and inputs.
type Change = (NodeId, Arc<dyn Operation>, Vec<NodeId>);

/// The graph with its patterns fused. Nodes keep their numbers and shapes; those that nothing needs any more stay, and
/// the plan leaves them out. `outputs` and nodes that are `placed` outside keep their value.
///
/// # Errors
/// When an operation's shape rule refuses what it should replace.
pub fn fuse(graph: &Graph, outputs: &[NodeId], placed: &dyn Fn(NodeId) -> bool) -> Result<Graph> {
    let graph = &with_constants(graph, &|id| placed(id) || outputs.contains(&id));
    let view = View::new(graph, outputs, placed);
    let mut fused = graph.clone();
    for &id in &view.order {
        let mut changes = view.masked(id);
        if changes.is_empty() {
            let one = view.normalised(id).or_else(|| view.summed(id)).or_else(|| view.scaled_sum(id));
            changes.extend(one.or_else(|| view.accumulated(id)));
        }
        for (id, operation, inputs) in changes {
            fused.replace(id, operation, inputs)?;
        }
    }
    Ok(fused)
}

/// The graph with multiples and copies of constants as constants, but for those that are `kept`: the gradient of a mean is
/// one. Maps stay computed: a constant's memory is nobody else's.
fn with_constants(graph: &Graph, kept: &dyn Fn(NodeId) -> bool) -> Graph {
    let mut folded = graph.clone();
    for id in (0..graph.nodes().len() as u32).map(NodeId).filter(|&id| graph.shape(id).rank() < 4 && !kept(id)) {
        let Some(factor) = operation::<Scale>(&folded, id)
            .map(|scale| scale.factor)
            .or_else(|| operation::<Broadcast>(&folded, id).map(|broadcast| broadcast.factor))
        else {
            continue;
        };
        if let Source::Constant(value) = folded.node(folded.node(id).inputs[0]).source {
            folded.settle(id, factor * value);
        }
    }
    folded
}

/// The node's operation, if it is of this type.
fn operation<T: Operation>(graph: &Graph, id: NodeId) -> Option<&T> {
    let Source::Computed(operation) = &graph.node(id).source else { return None };
    let operation: &dyn Any = operation.as_ref();
    operation.downcast_ref()
}

/// Batch normalisation as a node has it.
#[derive(PartialEq)]
struct Normalised {
    x: NodeId,
    stats: NodeId,
    affine: NodeId,
    eps: f32,
}

/// A graph, and who reads what of the nodes that are needed.
struct View<'a> {
    graph: &'a Graph,
    order: Vec<NodeId>,
    readers: HashMap<NodeId, Vec<NodeId>>,
    kept: HashSet<NodeId>,
    /// States that an operation updates in place: reading one later is reading another value.
    updated: HashSet<NodeId>,
}

impl<'a> View<'a> {
    fn new(graph: &'a Graph, outputs: &[NodeId], placed: &dyn Fn(NodeId) -> bool) -> Self {
        let effects = plan::effects(graph);
        let updated = effects.iter().filter_map(|&id| graph.node(id).inputs.last().copied()).collect();
        let mut wanted = outputs.to_vec();
        wanted.extend(effects);
        let order = needed(graph, &wanted);
        let mut readers: HashMap<NodeId, Vec<NodeId>> = HashMap::new();
        for &id in &order {
            for &input in &graph.node(id).inputs {
                readers.entry(input).or_default().push(id);
            }
        }
        let kept = wanted.into_iter().chain(order.iter().copied().filter(|&id| placed(id))).collect();
        Self { graph, order, readers, kept, updated }
    }

    fn inputs(&self, id: NodeId) -> &'a [NodeId] {
        &self.graph.node(id).inputs
    }

    /// The node's operation, if it is of this type.
    fn operation<T: Operation>(&self, id: NodeId) -> Option<&'a T> {
        operation(self.graph, id)
    }

    /// Whether the value is the same wherever it is read.
    fn stays(&self, id: NodeId) -> bool {
        match &self.graph.node(id).source {
            Source::Computed(operation) => !operation.in_place(),
            _ => !self.updated.contains(&id),
        }
    }

    /// What a multiple is of, and its factor.
    fn multiple(&self, id: NodeId) -> Option<(NodeId, f32)> {
        let Scale { factor } = *self.operation(id)?;
        Some((self.inputs(id)[0], factor)).filter(|(of, _)| self.stays(*of))
    }

    /// Whether one node alone reads the value, once.
    fn passes_through(&self, id: NodeId) -> bool {
        !self.kept.contains(&id) && self.readers.get(&id).is_some_and(|r| r.len() == 1)
    }

    /// The two terms of a plain sum.
    fn terms(&self, id: NodeId) -> Option<[NodeId; 2]> {
        let Add { alpha, beta } = self.operation(id)?;
        (*alpha == 1.0 && *beta == 1.0).then(|| [self.inputs(id)[0], self.inputs(id)[1]])
    }

    /// Batch normalisation, with its own statistics or running ones.
    fn batch_norm(&self, id: NodeId) -> Option<Normalised> {
        let eps = match (self.operation::<Train>(id), self.operation::<Apply>(id)) {
            (Some(train), _) => train.eps,
            (_, Some(Apply { form })) => form.eps.filter(|&eps| *form == Form::normalise(eps))?,
            _ => return None,
        };
        let [x, stats, affine] = *self.inputs(id) else { return None };
        self.stays(stats).then_some(Normalised { x, stats, affine, eps })
    }

    /// A unit after batch normalisation, with or without a residual between.
    fn normalised(&self, id: NodeId) -> Option<Change> {
        self.operation::<Relu>(id)?;
        let inner = self.inputs(id)[0];
        if !self.passes_through(inner) {
            return None;
        }
        let (n, residual) = match (self.batch_norm(inner), self.terms(inner)) {
            (Some(n), _) => (n, None),
            (None, Some([a, b])) => {
                let of = |term, residual| {
                    let n = self.batch_norm(term).filter(|_| self.passes_through(term))?;
                    Some((n, Some(residual)))
                };
                of(a, b).or_else(|| of(b, a))?
            }
            (None, None) => return None,
        };
        let mut inputs = vec![n.x, n.stats, n.affine];
        inputs.extend(residual);
        Some((id, Arc::new(BatchNormRelu { eps: n.eps }), inputs))
    }

    /// A unit's derivative of a sum.
    fn summed(&self, id: NodeId) -> Option<Change> {
        self.operation::<ReluDerivative>(id)?;
        let [x, u] = *self.inputs(id) else { return None };
        let [a, b] = self.terms(u).filter(|_| self.passes_through(u))?;
        Some((id, Arc::new(ReluDerivativeSum), vec![x, a, b]))
    }

    /// A multiple of a sum.
    fn scaled_sum(&self, id: NodeId) -> Option<Change> {
        let (sum, factor) = self.multiple(id)?;
        let SumAll { factor: own } = *self.operation(sum).filter(|_| self.passes_through(sum))?;
        let x = self.inputs(sum)[0];
        self.stays(x).then(|| (id, Arc::new(SumAll { factor: own * factor }) as _, vec![x]))
    }

    /// What accumulates multiples.
    fn accumulated(&self, id: NodeId) -> Option<Change> {
        let Accumulate { slot, factors } = self.operation(id)?;
        let (mut factors, mut inputs) = (factors.clone(), self.inputs(id).to_vec());
        for (factor, input) in factors.iter_mut().zip(&mut inputs) {
            while let Some((of, more)) = self.multiple(*input).filter(|_| self.scaled_sum(*input).is_none()) {
                (*input, *factor) = (of, *factor * more);
            }
        }
        (inputs != self.inputs(id)).then(|| (id, Arc::new(Accumulate { slot: *slot, factors }) as _, inputs))
    }

    /// All readers of a unit's derivative, where they are the passes of the gradient of the batch normalisation in front of
    /// the unit.
    fn masked(&self, id: NodeId) -> Vec<Change> {
        let n = (|| {
            self.operation::<ReluDerivative>(id)?;
            self.operation::<Relu>(self.inputs(id)[0])?;
            self.batch_norm(self.inputs(self.inputs(id)[0])[0])
        })();
        let Some(n) = n.filter(|_| !self.kept.contains(&id)) else { return Vec::new() };
        let u = self.inputs(id)[1];
        let readers = self.readers.get(&id).map_or(&[][..], Vec::as_slice);
        readers.iter().map(|&r| self.pass(r, id, &n, u)).collect::<Option<_>>().unwrap_or_default()
    }

    /// A pass over the gradient `masked` of `n`, as one over the gradient `u` behind the unit.
    fn pass(&self, id: NodeId, masked: NodeId, n: &Normalised, u: NodeId) -> Option<Change> {
        let Normalised { x, stats, affine, eps } = *n;
        if let Some(Sums { form }) = self.operation(id) {
            let same = *form == Form::normalise(eps) && self.inputs(id) == [x, stats, masked];
            return same.then(|| (id, Arc::new(BatchNormReluSums { eps }) as _, vec![x, stats, affine, u]));
        }
        let project: &Project = self.operation(id)?;
        let [.., sums, _] = *self.inputs(id) else { return None };
        let same = project.eps == eps && self.inputs(id) == [x, stats, masked, sums, affine];
        same.then(|| (id, Arc::new(BatchNormReluProject { eps }) as _, vec![x, stats, u, sums, affine]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Array, DType};
    use crate::graph::interpret::interpret;
    use crate::graph::reverse;

    /// A graph with values for its leaves.
    struct Made {
        graph: Graph,
        leaves: HashMap<NodeId, Array>,
    }

    impl Made {
        fn new() -> Self {
            Self { graph: Graph::new(), leaves: HashMap::new() }
        }

        fn leaf(&mut self, name: &str, sizes: &[usize]) -> NodeId {
            let id = self.graph.parameter(name, sizes);
            self.leaves.insert(id, Array::normal(sizes, 1.0, self.leaves.len() as u64));
            id
        }

        fn batch_norm(&mut self, name: &str, x: NodeId) -> NodeId {
            let affine = self.leaf(name, &[2, 5]);
            let stats = self.graph.batch_norm_stats(x).unwrap();
            self.graph.batch_norm_train(x, stats, affine, 1e-2).unwrap()
        }

        /// Names of the operations that a plan of `outputs` would record, without those of leaves.
        fn recorded(graph: &Graph, outputs: &[NodeId]) -> Vec<&'static str> {
            let name = |id: NodeId| match &graph.node(id).source {
                Source::Computed(operation) => Some(operation.name()),
                _ => None,
            };
            needed(graph, outputs).into_iter().filter_map(name).collect()
        }

        /// Fuses, and checks that every output keeps its value; returns the operations before and after.
        fn fused(&self, outputs: &[NodeId], placed: &[NodeId]) -> [Vec<&'static str>; 2] {
            let after = fuse(&self.graph, outputs, &|id| placed.contains(&id)).unwrap();
            let all = [outputs, placed].concat();
            let expected = interpret(&self.graph, &self.leaves, &all).unwrap();
            let found = interpret(&after, &self.leaves, &all).unwrap();
            for id in &all {
                for (a, e) in found[id].data.iter().zip(&expected[id].data) {
                    assert!((a - e).abs() <= 1e-12 * e.abs().max(1.0), "{}: {a} and {e}", self.graph.node(*id).name);
                }
            }
            [&self.graph, &after].map(|g| Self::recorded(g, outputs))
        }
    }

    fn count(names: &[&str], name: &str) -> usize {
        names.iter().filter(|n| **n == name).count()
    }

    /// Stem, then a residual block whose input goes around it, then the loss.
    #[test]
    fn a_residual_block_and_its_gradient_keep_their_values() {
        let mut m = Made::new();
        let x = m.leaf("x", &[3, 2, 2, 5]);
        let y = m.batch_norm("bn0", x);
        let stem = m.graph.relu(y).unwrap();
        let y = m.batch_norm("bn1", stem);
        let y = m.graph.relu(y).unwrap();
        let y = m.batch_norm("bn2", y);
        let y = m.graph.add(stem, y).unwrap();
        let first = m.graph.relu(y).unwrap();
        let y = m.batch_norm("bn3", first);
        let y = m.graph.add(y, first).unwrap();
        let y = m.graph.relu(y).unwrap();
        let weight = m.leaf("weight", &[3, 2, 2, 5]);
        let y = m.graph.mul(y, weight).unwrap();
        let loss = m.graph.sum_all(y, 1.0).unwrap();
        let wrt = m.graph.parameters();
        let mut outputs = reverse(&mut m.graph, loss, &wrt).unwrap();
        outputs.push(loss);
        let [before, after] = m.fused(&outputs, &[]);
        for name in ["relu", "batch_norm_train"] {
            assert!(count(&before, name) == 4 && count(&after, name) == 0, "{name}: {before:?} to {after:?}");
        }
        assert_eq!(count(&after, "batch_norm_relu"), 4);
        // Those of the stem and of the block's inner unit; of the two units after a sum, the first gets two gradients.
        assert_eq!((count(&before, "relu_derivative"), count(&after, "relu_derivative")), (4, 1));
        assert_eq!(count(&after, "relu_derivative_sum"), 1);
        assert_eq!(["batch_norm_relu_sums", "batch_norm_relu_project"].map(|n| count(&after, n)), [2, 2]);
        assert_eq!(["batch_norm_sums", "batch_norm_project"].map(|n| count(&after, n)), [2, 2]);
        // Four normalisations, two sums and two masked gradients of values, one sum of gradients.
        assert_eq!(after.len() + 9, before.len(), "{before:?} to {after:?}");
    }

    #[test]
    fn running_statistics_are_fused_unless_they_move() {
        for moves in [false, true] {
            let mut m = Made::new();
            let (x, affine) = (m.leaf("x", &[4, 5]), m.leaf("affine", &[2, 5]));
            let running = m.graph.state("running", &[2, 5]);
            m.leaves.insert(running, Array::normal(&[2, 5], 1.0, 9).map(f64::abs));
            let stats = m.graph.batch_norm_stats(x).unwrap();
            let y = m.graph.batch_norm_eval(x, running, affine, 1e-2).unwrap();
            if moves {
                m.graph.update_running(stats, running, 0.1, 4).unwrap();
            }
            let y = m.graph.relu(y).unwrap();
            let [_, after] = m.fused(&[y], &[]);
            assert_eq!(count(&after, "batch_norm_relu"), usize::from(!moves), "{after:?}");
        }
    }

    #[test]
    fn what_is_read_elsewhere_is_stored() {
        let mut m = Made::new();
        let x = m.leaf("x", &[4, 5]);
        let inner = m.batch_norm("bn", x);
        let y = m.graph.relu(inner).unwrap();
        let weight = m.leaf("weight", &[4, 5]);
        let product = m.graph.mul(y, weight).unwrap();
        let loss = m.graph.sum_all(product, 1.0).unwrap();
        let gradient = reverse(&mut m.graph, loss, &[x]).unwrap()[0];
        let mut ids = (0..m.graph.nodes().len() as u32).map(NodeId);
        let masked = ids.rfind(|&id| m.graph.node(id).name.ends_with("relu_derivative")).unwrap();
        let changed = |after: &[&str]| after.iter().filter(|n| n.contains("relu_") || **n == "batch_norm_relu").count();
        let [before, after] = m.fused(&[gradient, y], &[]);
        assert_eq!(changed(&before), 1, "{before:?}");
        assert_eq!(
            ["batch_norm_relu", "batch_norm_relu_sums", "batch_norm_relu_project"].map(|n| count(&after, n)),
            [1; 3]
        );
        // Asked for, or placed outside: what is fused away would never be written.
        for (outputs, placed) in [(vec![gradient, y, inner, masked], vec![]), (vec![gradient, y], vec![inner, masked])]
        {
            let [before, after] = m.fused(&outputs, &placed);
            assert_eq!(
                before.len(),
                after.len() + 1,
                "only the gradient of the sum is a constant: {before:?} to {after:?}"
            );
            assert_eq!(changed(&before), changed(&after));
        }
        // Another reader of the masked gradient.
        m.graph.scale(masked, 2.0).unwrap();
        let other = NodeId(m.graph.nodes().len() as u32 - 1);
        let [_, after] = m.fused(&[gradient, other], &[]);
        assert_eq!(count(&after, "batch_norm_relu_sums"), 0);
        assert_eq!(count(&after, "relu_derivative"), 1);
    }

    #[test]
    fn factors_of_numbers_cost_no_dispatch() {
        let mut m = Made::new();
        let (x, unit) = (m.leaf("x", &[4, 5]), m.leaf("unit", &[1]));
        let sums = m.graph.state("sums", &[3]);
        m.leaves.insert(sums, Array::normal(&[3], 1.0, 9));
        let sum = m.graph.sum_all(x, 0.25).unwrap();
        let loss = m.graph.scale(sum, 3.0).unwrap();
        let other = m.graph.sum_all(x, 0.5).unwrap();
        let half = m.graph.scale(other, 0.5).unwrap();
        let quarter = m.graph.scale(half, 0.5).unwrap();
        let third = m.graph.scale(unit, 3.0).unwrap();
        let moved = m.graph.accumulate(&[loss, quarter, third], sums, 0).unwrap();
        let gradient = reverse(&mut m.graph, loss, &[x]).unwrap()[0];
        let doubled = m.graph.weighted_sum(gradient, 1.0, x, 1.0).unwrap();
        let [before, after] = m.fused(&[moved, loss, doubled], &[]);
        assert_eq!(["scale", "broadcast", "sum_all"].map(|n| count(&before, n)), [5, 1, 2], "{before:?}");
        assert_eq!(["scale", "broadcast", "sum_all"].map(|n| count(&after, n)), [0, 0, 2], "{after:?}");
        // What is asked for is computed.
        let [_, after] = m.fused(&[moved, gradient, half, third], &[]);
        assert_eq!(["scale", "broadcast"].map(|n| count(&after, n)), [1, 1], "{after:?}");
    }

    #[test]
    fn what_moves_between_is_read_where_it_was() {
        let mut m = Made::new();
        let (one, sums) = (m.leaf("one", &[1]), m.graph.state("sums", &[1]));
        m.leaves.insert(sums, Array::scalar(2.0));
        let first = m.graph.scale(sums, 0.5).unwrap();
        let whole = m.graph.sum_all(sums, 1.0).unwrap();
        let second = m.graph.scale(whole, 0.25).unwrap();
        let moved = m.graph.accumulate(&[one], sums, 0).unwrap();
        let again = m.graph.scale(moved, 2.0).unwrap();
        let others = m.graph.state("others", &[3]);
        m.leaves.insert(others, Array::normal(&[3], 1.0, 9));
        let out = m.graph.accumulate(&[first, second, again], others, 0).unwrap();
        let [_, after] = m.fused(&[out], &[]);
        assert_eq!(after, ["scale", "sum_all", "accumulate", "scale", "accumulate"], "the sum's factor alone");
    }

    #[test]
    fn weighted_sums_and_foreign_shapes_are_left() {
        let mut m = Made::new();
        let small = m.graph.input("small", &[3, 5], DType::F32);
        let (x, u) = (m.leaf("x", &[4, 5]), m.leaf("u", &[4, 5]));
        let half = m.graph.weighted_sum(u, 0.5, x, 1.0).unwrap();
        let y = m.graph.relu_derivative(x, half).unwrap();
        let [before, after] = m.fused(&[y], &[]);
        assert_eq!(before, after);
        let error = m.graph.clone().replace(y, Arc::new(ReluDerivativeSum), vec![small, small, small]);
        assert!(error.is_err(), "a node of another shape");
        let fused = fuse(&m.graph, &[y], &|_| false).unwrap();
        assert_eq!(fused.nodes().len(), m.graph.nodes().len());
    }
}
