//! Labels by optimal transport: the store of rows, and the solver against float64.

mod reference;
mod row_store;
mod solver;
