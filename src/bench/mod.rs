//! Floor 9: timings of kernels, label assignment and training steps at the sizes that matter, beside what the adapter can do at most.

mod cases;
mod clock;
pub mod compare;
pub mod elementwise;
pub mod export;
pub mod images;
pub mod kernels;
pub mod maxl;
mod networks;
mod products;
pub mod rest;
pub mod sela;
pub mod sinkhorn;
pub mod steps;

pub use cases::{Case, foreseen};
pub use compare::{Comparison, Report};
pub use elementwise::elementwise;
pub use export::export;
pub use images::images;
pub use kernels::{Measured, Options, Row, kernels};
pub use maxl::maxl;
pub use rest::rest;
pub use sela::sela;
pub use sinkhorn::sinkhorn;
pub use steps::{Look, Share, steps};
