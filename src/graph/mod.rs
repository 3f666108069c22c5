//! Floor 3: a network as data. Building it, taking its gradient and taking its tangent are all graph → graph.

pub mod executor;
pub mod forward;
pub mod fuse;
pub mod half;
pub mod interpret;
pub mod ir;
pub mod ops;
pub mod place;
pub mod plan;
pub mod reverse;
pub mod store;

pub use executor::Executor;
pub use forward::forward;
pub use half::Precision;
pub use ir::{Graph, Io, NodeId, Operation, Source};
pub use place::{Place, Way};
pub use reverse::reverse;
pub use store::Store;
