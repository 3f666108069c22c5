//! The test binary: one module for each subject.

mod data;
