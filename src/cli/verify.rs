//! `relabel verify`: golden cases on this machine's adapter.

use std::path::PathBuf;

use clap::Args;

/// Run golden cases on an adapter and compare with their answers.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// Golden files (safetensors) or folders of them.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
