//! relabel: trains image classifiers with labels that the program makes for itself, on any GPU that WebGPU reaches.

pub mod base;
pub mod cli;
pub mod data;
pub mod gpu;
pub mod graph;
pub mod kernels;
pub mod report;
pub mod train;
