//! The one integration-test binary: one process, one device.

mod common;
mod gradients;
mod kernels;
