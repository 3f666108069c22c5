//! Floor 6: what every training run shares: settings, learning-rate schedule, checkpoints, events.

pub mod checkpoint;
pub mod config;
pub mod events;
pub mod schedule;
