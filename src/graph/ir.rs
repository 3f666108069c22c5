//! The graph: nodes with an operation, inputs, a shape and a name.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use crate::base::{Array, DType, Error, Result, Shape};
use crate::gpu::{Recording, Tensor};

/// A node's place in its graph. Inputs always stand before the node that uses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// Where a node's value comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Written from outside before each run: images, labels, step settings.
    Input,
    /// A trained tensor, looked up by the node's name.
    Parameter,
    /// A tensor that survives between runs and may be updated in place: running statistics, counters.
    State,
    /// A fixed fill value (pads are zero).
    Constant(f32),
    /// Fixed whole numbers: which columns belong to a class.
    Table(Arc<[u32]>),
    /// Computed from the inputs.
    Computed(Arc<dyn Operation>),
}

/// One node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where its value comes from.
    pub source: Source,
    /// What it reads.
    pub inputs: Vec<NodeId>,
    /// Logical sizes.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
    /// Unique for leaves; scope and operation for the rest ([`super::Place`] reads it). Labels on the device are these
    /// names.
    pub name: String,
}

/// The tensors of one node while it is recorded.
#[derive(Debug)]
pub struct Io<'a> {
    /// In the order of the node's inputs.
    pub inputs: &'a [&'a Tensor],
    /// What to write. For an in-place operation it is the same tensor as the last input.
    pub output: &'a Tensor,
    /// In the order of [`Operation::scratch`].
    pub scratch: &'a [&'a Tensor],
}

/// An operation: its shape rule, its kernels, its twin, and both of its derivatives, all in its own file.
///
/// Contract of the derivatives:
/// - `vjp` must consume `upstream`: the gradient of an input is linear in it. (A rule that assumes 1 makes a weighted
///   loss silently wrong; the tests put every operation in the middle of a graph for that reason.)
/// - `jvp` is linear in the tangents: no tangent in, no tangent out.
/// - Both build nodes in the same graph, with operations of the same closed set.
/// - Operations that only [`super::fuse`] makes have neither: they stand for nodes that had, in a copy of the graph that
///   is planned and never differentiated.
pub trait Operation: Any + Debug + Send + Sync {
    /// Name in reports, after PyTorch's where there is one.
    fn name(&self) -> &'static str;

    /// The output's shape.
    ///
    /// # Errors
    /// When the inputs do not fit: say which, expected and seen.
    fn infer(&self, inputs: &[&Shape]) -> Result<Shape>;

    /// Type of the output.
    fn dtype(&self) -> DType {
        DType::F32
    }

    /// Temporary tensors that `record` needs (partial sums of two-stage reductions).
    fn scratch(&self, _inputs: &[&Shape], _output: &Shape) -> Vec<Shape> {
        Vec::new()
    }

    /// Whether the output is the last input, updated (counters, running statistics).
    fn in_place(&self) -> bool {
        false
    }

    /// Records the kernels.
    ///
    /// # Errors
    /// When a kernel's shape check fails.
    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()>;

    /// The float64 twin. Shapes have been checked by `infer`.
    fn interpret(&self, inputs: &[&Array]) -> Array;

    /// Reverse rule: the gradient of each wanted input, given the gradient `upstream` of the output.
    ///
    /// # Errors
    /// When an input that is wanted has no derivative.
    fn vjp(
        &self,
        graph: &mut Graph,
        inputs: &[NodeId],
        output: NodeId,
        upstream: NodeId,
        wanted: &[bool],
    ) -> Result<Vec<Option<NodeId>>>;

    /// Forward rule: the tangent of the output, given the inputs' tangents (`None` is zero).
    ///
    /// # Errors
    /// When an input with a tangent has no derivative.
    fn jvp(
        &self,
        graph: &mut Graph,
        inputs: &[NodeId],
        output: NodeId,
        tangents: &[Option<NodeId>],
    ) -> Result<Option<NodeId>>;
}

/// The error of a rule that does not exist.
pub fn no_derivative(operation: &str, what: &str) -> Error {
    Error::Shape(format!("{operation}: no derivative with respect to {what}"))
}

/// The error of an operation that only [`super::fuse`] makes.
pub(super) fn fused(operation: &str) -> Error {
    no_derivative(operation, "anything: it stands in a planned graph; differentiate the graph that was planned")
}

/// A directed acyclic graph in evaluation order.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    scope: Vec<String>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// All nodes in evaluation order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// A node's shape.
    pub fn shape(&self, id: NodeId) -> &Shape {
        &self.node(id).shape
    }

    /// A leaf that is written from outside.
    pub fn input(&mut self, name: &str, sizes: &[usize], dtype: DType) -> NodeId {
        self.push(Source::Input, Vec::new(), Shape::new(sizes), dtype, name.to_owned())
    }

    /// A trained tensor. Asking twice for one name gives the same node.
    pub fn parameter(&mut self, name: &str, sizes: &[usize]) -> NodeId {
        self.leaf(name, sizes, Source::Parameter)
    }

    /// A tensor that survives between runs. Asking twice for one name gives the same node.
    pub fn state(&mut self, name: &str, sizes: &[usize]) -> NodeId {
        self.leaf(name, sizes, Source::State)
    }

    /// A tensor filled with one value.
    pub fn constant(&mut self, sizes: &[usize], value: f32) -> NodeId {
        let name = format!("constant {value}");
        self.push(Source::Constant(value), Vec::new(), Shape::new(sizes), DType::F32, name)
    }

    /// Fixed whole numbers `(n)`, unsigned.
    pub fn table(&mut self, values: &[u32]) -> NodeId {
        let shape = Shape::new(&[values.len()]);
        self.push(Source::Table(values.into()), Vec::new(), shape, DType::U32, "table".into())
    }

    /// Appends a computed node. Outside all scopes it stands in that of the first computed node that it reads: a ReLU
    /// belongs to the layer before it.
    ///
    /// # Errors
    /// When the operation's shape rule refuses the inputs; the message carries the scope.
    pub fn apply(&mut self, operation: impl Operation + 'static, inputs: &[NodeId]) -> Result<NodeId> {
        let shapes: Vec<&Shape> = inputs.iter().map(|&i| self.shape(i)).collect();
        let name = match self.scope.is_empty() {
            true => self.following(operation.name(), inputs),
            false => self.scoped(operation.name()),
        };
        let shape = operation.infer(&shapes).map_err(|e| Error::Shape(format!("{name}: {e}")))?;
        let dtype = operation.dtype();
        Ok(self.push(Source::Computed(Arc::new(operation)), inputs.to_vec(), shape, dtype, name))
    }

    /// Runs `build` with `name` added to the scope of the nodes' names.
    pub fn scope<T>(&mut self, name: &str, build: impl FnOnce(&mut Self) -> T) -> T {
        self.scope.push(name.to_owned());
        let out = build(self);
        self.scope.pop();
        out
    }

    /// Adds a name to the scope until [`Graph::close_scope`]; for builders that a closure does not suit.
    pub fn open_scope(&mut self, name: &str) {
        self.scope.push(name.to_owned());
    }

    /// Takes the last name off the scope.
    pub fn close_scope(&mut self) {
        self.scope.pop();
    }

    /// `name` with the scope of the first computed input in front.
    fn following(&self, name: &str, inputs: &[NodeId]) -> String {
        let mut inputs = inputs.iter().map(|&input| self.node(input));
        let before = inputs.find(|node| matches!(node.source, Source::Computed(_)));
        match before.and_then(|node| node.name.rsplit_once('.')) {
            Some((scope, _)) => format!("{scope}.{name}"),
            None => name.to_owned(),
        }
    }

    /// `name` with the current scope in front.
    pub fn scoped(&self, name: &str) -> String {
        let mut parts: Vec<&str> = self.scope.iter().map(String::as_str).collect();
        parts.push(name);
        parts.join(".")
    }

    /// The leaves of one kind: `(node, name, shape)` in order of creation.
    pub fn parameters(&self) -> Vec<NodeId> {
        self.leaves(|s| matches!(s, Source::Parameter))
    }

    /// All states, in order of creation.
    pub fn states(&self) -> Vec<NodeId> {
        self.leaves(|s| matches!(s, Source::State))
    }

    /// Computes a node's value by another operation from other nodes before it; what reads the node is left as it is.
    ///
    /// # Errors
    /// When the operation's shape rule refuses the inputs or gives another shape.
    pub(super) fn replace(&mut self, id: NodeId, operation: Arc<dyn Operation>, inputs: Vec<NodeId>) -> Result<()> {
        assert!(inputs.iter().all(|&i| i < id), "an input stands after its user");
        let shapes: Vec<&Shape> = inputs.iter().map(|&i| self.shape(i)).collect();
        let shape = operation.infer(&shapes)?;
        let node = &mut self.nodes[id.0 as usize];
        if shape != node.shape {
            return Err(Error::Shape(format!("{}: {} gives {shape}", node.name, operation.name())));
        }
        node.source = Source::Computed(operation);
        node.inputs = inputs;
        Ok(())
    }

    /// Puts a constant in the place of a computed node.
    pub(super) fn settle(&mut self, id: NodeId, value: f32) {
        let node = &mut self.nodes[id.0 as usize];
        node.source = Source::Constant(value);
        node.inputs.clear();
    }

    /// Sets the type that a computed node's value is kept in.
    pub(super) fn keep_as(&mut self, id: NodeId, dtype: DType) {
        self.nodes[id.0 as usize].dtype = dtype;
    }

    fn leaves(&self, wanted: impl Fn(&Source) -> bool) -> Vec<NodeId> {
        (0..self.nodes.len() as u32).map(NodeId).filter(|&i| wanted(&self.node(i).source)).collect()
    }

    fn leaf(&mut self, name: &str, sizes: &[usize], source: Source) -> NodeId {
        let kind = std::mem::discriminant(&source);
        let same = |n: &Node| std::mem::discriminant(&n.source) == kind && n.name == name;
        if let Some(place) = self.nodes.iter().position(same) {
            assert_eq!(self.nodes[place].shape.sizes(), sizes, "{name} asked for with two shapes");
            return NodeId(place as u32);
        }
        self.push(source, Vec::new(), Shape::new(sizes), DType::F32, name.to_owned())
    }

    fn push(&mut self, source: Source, inputs: Vec<NodeId>, shape: Shape, dtype: DType, name: String) -> NodeId {
        assert!(inputs.iter().all(|i| (i.0 as usize) < self.nodes.len()), "an input stands after its user");
        self.nodes.push(Node { source, inputs, shape, dtype, name });
        NodeId(self.nodes.len() as u32 - 1)
    }
}
