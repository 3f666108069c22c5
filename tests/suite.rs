//! The one integration-test binary: one process, one device.

mod bad_input;
mod bench;
mod checkpoint;
mod cli;
mod common;
mod config;
mod data;
mod eval;
mod examples;
mod fusion;
mod gradients;
mod images;
mod kernels;
mod maxl;
mod maxl_eval;
mod maxl_runs;
mod networks;
mod probe;
mod profile;
mod sela;
mod small;
mod tidy;
mod training;
mod transport;
mod verify;
