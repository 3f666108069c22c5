//! relabel: trains image classifiers with labels that the program makes for itself, on any GPU that WebGPU reaches.
//!
//! The floors, from the ground up: [`base`], [`gpu`], [`kernels`], [`graph`] and [`data`], [`nn`], [`transport`],
//! [`kmeans`] and [`eval`], [`models`], [`train`], [`methods`], [`session`] and [`verify`], [`assess`]. A module uses only lower floors.
//! Most programs start at [`session`].

pub mod assess;
pub mod base;
pub mod bench;
pub mod cli;
pub mod data;
pub mod eval;
pub mod gpu;
pub mod graph;
pub mod kernels;
pub mod kmeans;
pub mod methods;
pub mod models;
pub mod nn;
pub mod profile;
pub mod report;
pub mod session;
pub mod train;
pub mod transport;
pub mod verify;
