//! Labels by optimal transport: the store of rows, and (below) the solver against float64.

mod row_store;
