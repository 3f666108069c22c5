//! `relabel bench`: speed of kernels and training steps.

use std::path::PathBuf;

use clap::Args;

/// Time kernels and training steps on an adapter.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// Only those whose name holds this text.
    pub filter: Option<String>,
    /// Also write the results to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Least time for each, in seconds.
    #[arg(long, default_value_t = 1.0)]
    pub seconds: f64,
}
