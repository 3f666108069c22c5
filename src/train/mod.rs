//! Floor 6: what every training run shares. The trainer knows the [`Method`] trait and no method.

pub mod autoencoder;
pub mod checkpoint;
pub mod config;
pub mod datasets;
pub mod events;
pub mod extract;
pub mod feed;
mod finite;
pub mod gradients;
pub mod images;
pub mod inference;
pub mod labeller;
pub mod loss_scale;
pub mod losses;
pub mod meta;
pub mod method;
pub mod network;
pub mod optimizer;
pub mod preview;
pub mod probe;
pub mod schedule;
pub mod snapshot;
pub mod soft_labels;
pub mod trainer;
mod unreported;
pub mod views;

pub use gradients::place_gradients;
pub use labeller::Labeller;
pub use method::{Batch, Context, IGNORED, Measure, Method, Metric, Objective, Prediction};
pub use network::Network;
pub use trainer::Trainer;
