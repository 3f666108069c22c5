//! Floor 4: how self-supervised results are judged: clusters against true labels, rankings, nearest neighbours.

pub mod clusters;
pub mod information;
pub mod knn;
pub mod ranking;
pub mod within;

pub use clusters::{Contingency, Sizes};
pub use ranking::auroc;
pub use within::WithinClasses;
