//! The one integration-test binary: one process, one device.

mod checkpoint;
mod cli;
mod common;
mod config;
mod gradients;
mod kernels;
