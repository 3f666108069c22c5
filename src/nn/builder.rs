//! Appends layers to a graph under PyTorch's names and keeps the list of their tensors.

use super::{Initialiser, Layout, TensorSpec};
use crate::base::{Error, Result, pad4};
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
    parameters: Vec<TensorSpec>,
    states: Vec<TensorSpec>,
    prefix: Vec<String>,
}

impl Builder {
    /// An empty graph.
    pub fn new(phase: Phase) -> Self {
        Self { graph: Graph::new(), phase, parameters: Vec::new(), states: Vec::new(), prefix: Vec::new() }
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
        let out = build(self);
        self.prefix.pop();
        out
    }

    fn full(&self, name: &str) -> String {
        let mut parts: Vec<&str> = self.prefix.iter().map(String::as_str).collect();
        parts.push(name);
        parts.join(".")
    }

    fn parameter(&mut self, name: &str, layout: Layout, start: [Initialiser; 2], fans: [usize; 2]) -> NodeId {
        let spec = TensorSpec { name: self.full(name), layout, start, fans };
        let node = self.graph.parameter(&spec.name, spec.shape().sizes());
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
        let scope = self.full(name);
        self.graph.scope(&scope, |g| g.conv2d(x, w, convolution))
    }

    /// `nn.Linear(in, out)` with PyTorch's default initialiser. Shapes: `x (R, in)` → `(R, out)`.
    ///
    /// # Errors
    /// When `x` is not a matrix.
    pub fn linear(&mut self, name: &str, x: NodeId, output: usize) -> Result<NodeId> {
        let input = self.graph.shape(x).last();
        let start = [Initialiser::KaimingUniform; 2];
        let fans = [input, output];
        let w = self.parameter(&format!("{name}.weight"), Layout::Linear { input, output }, start, fans);
        let b = self.parameter(&format!("{name}.bias"), Layout::Vector { length: output }, start, fans);
        debug_assert_eq!(self.graph.shape(w).sizes()[0], pad4(input));
        let scope = self.full(name);
        self.graph.scope(&scope, |g| {
            let y = g.linear(x, w)?;
            g.add_bias(y, b)
        })
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
        let scope = self.full(name);
        let phase = self.phase;
        self.graph.scope(&scope, |g| match phase {
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
