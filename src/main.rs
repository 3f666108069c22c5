//! The relabel program.

fn main() {}
