//! Floor 4: layers as plain functions that append nodes to a graph, and the tensors they train.

pub mod builder;
pub mod initialise;
pub mod tensor_spec;

pub use builder::{Builder, Phase};
pub use initialise::Initialiser;
pub use tensor_spec::{Layout, TensorSpec, TorchTensor};
