//! Floor 9: timings of kernels at the sizes that matter, beside what the adapter can do at most.

pub mod kernels;

pub use kernels::{Options, Row, kernels};
