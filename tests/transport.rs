//! Labels by optimal transport: the store of rows, and the solver against float64.

mod balance;
mod marginals;
mod reference;
mod row_store;
mod solver;
