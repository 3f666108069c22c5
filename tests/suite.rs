//! The one integration-test binary: one process, one device.

mod bench;
mod checkpoint;
mod cli;
mod common;
mod config;
mod data;
mod golden_losses;
mod gradients;
mod kernels;
mod tidy;
