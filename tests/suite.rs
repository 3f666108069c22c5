//! The one integration-test binary: one process, one device.

mod common;
mod data;
mod gradients;
mod kernels;
mod tidy;
