//! Floor 0: errors, shapes, host arrays, counter-based random numbers, comparison with tolerances.

pub mod array;
pub mod compare;
pub mod error;
pub mod folder;
pub mod hash;
pub mod labels;
pub mod nearest;
pub mod philox;
pub mod shape;
pub mod transforms;

pub use array::Array;
pub use error::{Error, Result};
pub use folder::folder_of;
pub use labels::LabelRule;
pub use nearest::nearest;
pub use shape::{DType, Shape, pad4};
pub use transforms::TransformSet;
