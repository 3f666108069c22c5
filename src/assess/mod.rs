//! Floor 9: how good a self-labelling network is, and the labels that a network gives.

mod auxiliary;
mod judge;
mod labels;

pub use auxiliary::{Agreement, Auxiliary, Truth, auxiliary};
pub use judge::{HeadReport, Judgement, Options, classes_of, judge};
pub use labels::{Origin, labels};
