//! Floor 4: labels by optimal transport. Rows of all samples kept on the device, and the Sinkhorn-Knopp iteration that
//! shares the samples out over clusters of given sizes (SeLa: Asano, Rupprecht, Vedaldi, ICLR 2020).

pub mod balance;
pub mod marginals;
pub mod plan;
mod programs;
pub mod report;
pub mod row_store;
pub mod solver;

pub use balance::{Balanced, balance};
pub use marginals::Marginals;
pub use plan::{Half, Plan, Room, Sizes};
pub use report::{Outcome, Report, Solution};
pub use row_store::RowStore;
pub use solver::{Candidates, Settings, Solver, Source};
