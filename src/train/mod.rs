//! Floor 6: what every training run shares. The trainer knows the `Method` trait and no method.

pub mod checkpoint;
pub mod config;
pub mod schedule;
