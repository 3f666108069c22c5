//! Labels by optimal transport: the store of rows, and (below) the solver against float64.

mod balance;
mod marginals;
mod row_store;
