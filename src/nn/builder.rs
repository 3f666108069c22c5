//! Appends layers to a graph under PyTorch's names and keeps the list of their tensors.

use std::collections::HashMap;

use super::{Initialiser, Layout, TensorSpec};
use crate::base::{DType, Error, Result, pad4};
use crate::graph::ops::conv2d::Convolution;
use crate::graph::{Graph, NodeId};

/// How batch normalisation and dropout act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Batch statistics; `update` moves the running ones.
    Train {
        /// Whether the running statistics move in this pass.
        update: bool,
    },
    /// Running statistics.
    Evaluate,
}

/// PyTorch's default `eps` of batch normalisation.
pub const BATCH_NORM_EPS: f32 = 1e-5;
/// PyTorch's default `momentum` of batch normalisation.
pub const BATCH_NORM_MOMENTUM: f32 = 0.1;

/// A graph under construction, with the tensors that its layers asked for.
#[derive(Debug)]
pub struct Builder {
    /// The graph so far.
    pub graph: Graph,
    /// How layers act from here on.
    pub phase: Phase,
    /// Seed of the dropout masks.
    pub seed: u64,
    parameters: Vec<TensorSpec>,
    states: Vec<TensorSpec>,
    prefix: Vec<String>,
    values: HashMap<String, NodeId>,
    step: Option<NodeId>,
    dropouts: u32,
}

impl Builder {
    /// An empty graph.
    pub fn new(phase: Phase) -> Self {
        Self {
            graph: Graph::new(),
            phase,
            seed: 0,
            parameters: Vec::new(),
            states: Vec::new(),
            prefix: Vec::new(),
            values: HashMap::new(),
            step: None,
            dropouts: 0,
        }
    }

    /// The leaf with the settings of a step, `step (8)` unsigned: word 0 its number, 1 to 3 the optimizer's, 4 the
    /// micro-batch. One node however often it is asked for.
    pub fn step(&mut self) -> NodeId {
        *self.step.get_or_insert_with(|| self.graph.input("step", &[8], DType::U32))
    }

    /// Trained tensors, in the order in which layers asked for them.
    pub fn parameters(&self) -> &[TensorSpec] {
        &self.parameters
    }

    /// Running statistics, in the order in which layers asked for them.
    pub fn states(&self) -> &[TensorSpec] {
        &self.states
    }

    /// Runs `build` with `name.` in front of all names (`layer1`, `0`).
    ///
    /// # Errors
    /// Those of `build`.
    pub fn within<T>(&mut self, name: &str, build: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.prefix.push(name.to_owned());
        let out = self.scope(name, build);
        self.prefix.pop();
        out
    }

    /// Runs `build` with `name.` in front of the nodes' names alone: tensors keep theirs. For a network that stands in a
    /// graph more than once.
    ///
    /// # Errors
    /// Those of `build`.
    pub fn scope<T>(&mut self, name: &str, build: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.graph.open_scope(name);
        let out = build(self);
        self.graph.close_scope();
        out
    }

    /// Runs `build` with given nodes, by name, in place of the parameters that its layers ask for: the same network at
    /// other weights.
    ///
    /// # Errors
    /// Those of `build`.
    pub fn at<T>(&mut self, weights: HashMap<String, NodeId>, build: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let outer = std::mem::replace(&mut self.values, weights);
        let out = build(self);
        self.values = outer;
        out
    }

    /// How many dropouts stand in the graph, those that repeat masks not counted: the number of the next one.
    pub fn dropouts(&self) -> u32 {
        self.dropouts
    }

    /// Runs `build` with the dropout masks from number `first` on: those of the pass that began there. The same network
    /// once more is the same function then.
    ///
    /// # Errors
    /// Those of `build`.
    pub fn with_masks<T>(&mut self, first: u32, build: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let outer = std::mem::replace(&mut self.dropouts, first);
        let out = build(self);
        self.dropouts = outer.max(self.dropouts);
        out
    }

    fn full(&self, name: &str) -> String {
        let mut parts: Vec<&str> = self.prefix.iter().map(String::as_str).collect();
        parts.push(name);
        parts.join(".")
    }

    fn parameter(&mut self, name: &str, layout: Layout, start: [Initialiser; 2], fans: [usize; 2]) -> NodeId {
        let spec = TensorSpec { name: self.full(name), layout, start, fans };
        let node = match self.values.get(&spec.name) {
            Some(&value) => value,
            None => self.graph.parameter(&spec.name, spec.shape().sizes()),
        };
        if !self.parameters.iter().any(|p| p.name == spec.name) {
            self.parameters.push(spec);
        }
        node
    }

    /// `nn.Conv2d(in, out, kernel, stride, padding, bias=False)` with weights from `start`.
    /// Shapes: `x (R, H, W, in)` → `(R, OH, OW, out)`.
    ///
    /// # Errors
    /// When `x` is not an image tensor or the kernel does not fit into it.
    pub fn conv2d(
        &mut self,
        name: &str,
        x: NodeId,
        output: usize,
        kernel: usize,
        convolution: Convolution,
        start: Initialiser,
    ) -> Result<NodeId> {
        let input = match self.graph.shape(x).sizes() {
            &[_, _, _, c] => c,
            _ => {
                return Err(Error::Shape(format!(
                    "{}: takes (R, H, W, C), not {}",
                    self.full(name),
                    self.graph.shape(x)
                )));
            }
        };
        let layout = Layout::Convolution { kernel: [kernel, kernel], input, output };
        let area = kernel * kernel;
        let w = self.parameter(&format!("{name}.weight"), layout, [start; 2], [area * input, area * output]);
        self.graph.scope(name, |g| g.conv2d(x, w, convolution))
    }

    /// [`Builder::conv2d`] with a bias that starts at zero.
    ///
    /// # Errors
    /// As [`Builder::conv2d`].
    pub fn conv2d_biased(
        &mut self,
        name: &str,
        x: NodeId,
        output: usize,
        kernel: usize,
        convolution: Convolution,
        start: Initialiser,
    ) -> Result<NodeId> {
        let y = self.conv2d(name, x, output, kernel, convolution, start)?;
        self.bias(name, y, Initialiser::Zeros, [1, 1])
    }

    /// Adds the bias `name.bias`. Shapes: `x (…, C)` → the same.
    fn bias(&mut self, name: &str, x: NodeId, start: Initialiser, fans: [usize; 2]) -> Result<NodeId> {
        let length = self.graph.shape(x).last();
        let b = self.parameter(&format!("{name}.bias"), Layout::Vector { length }, [start; 2], fans);
        self.graph.scope(name, |g| g.add_bias(x, b))
    }

    /// `nn.Linear(in, out)` with PyTorch's default initialiser. Shapes: `x (R, in)` → `(R, out)`.
    ///
    /// # Errors
    /// When `x` is not a matrix.
    pub fn linear(&mut self, name: &str, x: NodeId, output: usize) -> Result<NodeId> {
        self.linear_from(name, x, output, [Initialiser::KaimingUniform; 2])
    }

    /// [`Builder::linear`] whose weight and bias start as `start` says.
    ///
    /// # Errors
    /// When `x` is not a matrix.
    pub fn linear_from(&mut self, name: &str, x: NodeId, output: usize, start: [Initialiser; 2]) -> Result<NodeId> {
        let input = self.graph.shape(x).last();
        self.matrix(name, x, Layout::Linear { input, output }, [input, output], start)
    }

    /// `heads` layers `nn.Linear(in, out)` called `name0`, `name1` and so on, in one product; each has `pad4(out)` columns, of which
    /// the last are zero where `out` is not a multiple of four. Shapes: `x (R, in)` → `(R, heads · pad4(out))`.
    ///
    /// # Errors
    /// When `x` is not a matrix.
    pub fn linear_heads(
        &mut self,
        name: &str,
        x: NodeId,
        [heads, output]: [usize; 2],
        start: [Initialiser; 2],
    ) -> Result<NodeId> {
        let input = self.graph.shape(x).last();
        let (weight, fans) = (Layout::Heads { heads, input, output }, [input, output]);
        let w = self.parameter(&format!("{name}.weight"), weight, [start[0]; 2], fans);
        let b = self.parameter(&format!("{name}.bias"), Layout::HeadBiases { heads, output }, [start[1]; 2], fans);
        self.graph.scope(name, |g| {
            let y = g.linear(x, w)?;
            g.add_bias(y, b)
        })
    }

    /// `nn.Linear` on `torch.flatten(x, 1)`; its weight meets PyTorch's order of the flattened image in checkpoints.
    /// Shapes: `x (R, H, W, C)`, C a multiple of four → `(R, out)`.
    ///
    /// # Errors
    /// When `x` is not such an image tensor.
    pub fn flattened_linear(
        &mut self,
        name: &str,
        x: NodeId,
        output: usize,
        start: [Initialiser; 2],
    ) -> Result<NodeId> {
        let flat = self.graph.scope(name, |g| g.flatten(x))?;
        let sizes = self.graph.shape(x).sizes();
        let image = [sizes[1], sizes[2], sizes[3]];
        let fans = [self.graph.shape(flat).last(), output];
        self.matrix(name, flat, Layout::FlattenedLinear { image, output }, fans, start)
    }

    /// `x · weight + bias`.
    fn matrix(
        &mut self,
        name: &str,
        x: NodeId,
        layout: Layout,
        fans: [usize; 2],
        start: [Initialiser; 2],
    ) -> Result<NodeId> {
        let w = self.parameter(&format!("{name}.weight"), layout, [start[0]; 2], fans);
        debug_assert_eq!(self.graph.shape(w).sizes()[0], pad4(fans[0]));
        let y = self.graph.scope(name, |g| g.linear(x, w))?;
        self.bias(name, y, start[1], fans)
    }

    /// `nn.Dropout(p)`: nothing in evaluation. In training the mask is a function of [`Builder::seed`], of how many
    /// dropouts stand before this one, and of the step's number and micro-batch. Shapes: `x (…, C)` → the same.
    ///
    /// # Errors
    /// When `p` lies outside [0, 1).
    pub fn dropout(&mut self, x: NodeId, p: f32) -> Result<NodeId> {
        if self.phase == Phase::Evaluate {
            return Ok(x);
        }
        let step = self.step();
        let layer = self.dropouts;
        self.dropouts += 1;
        self.graph.dropout(x, step, p, self.seed, layer)
    }

    /// `nn.BatchNorm2d(C)` (or 1d): batch statistics in training, running ones in evaluation; weight 1, bias 0.
    /// Shapes: `x (…, C)` → the same.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn batch_norm(&mut self, name: &str, x: NodeId) -> Result<NodeId> {
        let channels = self.graph.shape(x).last();
        let affine = Layout::Rows { channels, names: ["bias", "weight"] };
        let start = [Initialiser::Zeros, Initialiser::Ones];
        let affine = self.parameter(&format!("{name}.affine"), affine, start, [1, 1]);
        let spec = TensorSpec {
            name: self.full(&format!("{name}.running")),
            layout: Layout::Rows { channels, names: ["running_mean", "running_var"] },
            start,
            fans: [1, 1],
        };
        let running = self.graph.state(&spec.name, spec.shape().sizes());
        if !self.states.iter().any(|s| s.name == spec.name) {
            self.states.push(spec);
        }
        let phase = self.phase;
        self.graph.scope(name, |g| match phase {
            Phase::Evaluate => g.batch_norm_eval(x, running, affine, BATCH_NORM_EPS),
            Phase::Train { update } => {
                let stats = g.batch_norm_stats(x)?;
                if update {
                    let count = g.shape(x).rows();
                    g.update_running(stats, running, BATCH_NORM_MOMENTUM, count)?;
                }
                g.batch_norm_train(x, stats, affine, BATCH_NORM_EPS)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_stands_at_other_weights() {
        let mut b = Builder::new(Phase::Train { update: false });
        let x = b.graph.input("x", &[2, 4], DType::F32);
        let here = b.linear("head", x, 3).expect("shapes");
        let weight = b.graph.parameter("head.weight", &[4, 3]);
        let moved = b.graph.scale(weight, 2.0).expect("shapes");
        let there = b.at([("head.weight".to_owned(), moved)].into(), |b| b.linear("head", x, 3)).expect("shapes");
        let again = b.linear("head", x, 3).expect("shapes");
        let weight_of = |y: NodeId| b.graph.node(b.graph.node(y).inputs[0]).inputs[1];
        assert_eq!([weight_of(here), weight_of(there), weight_of(again)], [weight, moved, weight]);
        assert_eq!(b.parameters().len(), 2);
    }

    #[test]
    fn a_pass_repeats_its_masks_only_when_asked() {
        let mut b = Builder::new(Phase::Train { update: false });
        let x = b.graph.parameter("x", &[2, 5]);
        let pass = |b: &mut Builder| {
            let first = b.dropout(x, 0.5)?;
            b.dropout(first, 0.5)
        };
        let kind = |b: &Builder, node: NodeId| format!("{:?}", b.graph.node(node).source);
        b.dropout(x, 0.5).expect("p in range");
        let start = b.dropouts();
        let once = pass(&mut b).expect("p in range");
        let other = pass(&mut b).expect("p in range");
        let again = b.with_masks(start, pass).expect("p in range");
        assert_eq!(kind(&b, again), kind(&b, once));
        assert_ne!(kind(&b, other), kind(&b, once));
        let next = pass(&mut b).expect("p in range");
        assert!([once, other].iter().all(|&node| kind(&b, node) != kind(&b, next)), "numbers go on behind all");
    }

    #[test]
    fn nodes_are_named_after_their_layers() {
        let mut b = Builder::new(Phase::Train { update: false });
        let x = b.graph.input("x", &[2, 4], DType::F32);
        let layer = |b: &mut Builder| b.within("layer1", |b| b.within("0", |b| b.linear("fc", x, 3)));
        let y = layer(&mut b).expect("shapes");
        let after = b.graph.relu(y).expect("shapes");
        let again = b.scope("ahead", layer).expect("shapes");
        let name = |node: NodeId| b.graph.node(node).name.as_str();
        assert_eq!(
            [y, after, again].map(name),
            ["layer1.0.fc.add_bias", "layer1.0.fc.relu", "ahead.layer1.0.fc.add_bias"]
        );
        assert_eq!(b.parameters().len(), 2, "the second stands at the same weights");
    }

    #[test]
    fn dropout_acts_in_training_alone_and_shares_the_step_leaf() {
        let mut b = Builder::new(Phase::Train { update: true });
        let x = b.graph.parameter("x", &[2, 5]);
        let first = b.dropout(x, 0.5).expect("p in range");
        let second = b.dropout(first, 0.5).expect("p in range");
        let step = b.step();
        for node in [first, second] {
            assert_eq!(b.graph.node(node).inputs[1], step);
        }
        let kind = |node: NodeId| format!("{:?}", b.graph.node(node).source);
        assert_ne!(kind(first), kind(second), "two dropouts with one mask");
        b.phase = Phase::Evaluate;
        assert_eq!(b.dropout(x, 0.5).expect("nothing to do"), x);
    }
}
