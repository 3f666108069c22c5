//! The one integration-test binary: one process, one device.

mod checkpoint;
mod common;
mod data;
mod config;
mod gradients;
mod kernels;
mod tidy;
