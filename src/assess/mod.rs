//! Floor 9: how good a self-labelling network is, and the labels it gives.

mod judge;
mod labels;

pub use judge::{HeadReport, Judgement, Options, classes_of, judge};
pub use labels::{Origin, labels};
